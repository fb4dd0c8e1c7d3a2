"""Words: a question becomes stems of which any is enough."""

from __future__ import annotations

from typing import Any

import psycopg

Conn = psycopg.Connection[dict[str, Any]]


def value(conn: Conn, statement: str, *parameters: Any) -> Any:
    row = conn.execute(statement.encode(), parameters).fetchone()
    assert row is not None
    (found,) = row.values()
    return found


def test_any_stem_of_a_question_is_enough(conn: Conn) -> None:
    assert value(conn, "SELECT lexemes_query(%s)::text", "Which pools are opening?") == (
        "'open' | 'pool'"
    )


def test_a_question_of_stop_words_alone_asks_nothing(conn: Conn) -> None:
    assert value(conn, "SELECT lexemes_query('the of and') IS NULL")
    odd = r"it's c:\\temp\x 'quoted' a&b !c :* http://a.de/x?y&z=1"
    words = value(conn, "SELECT to_tsvector('english', %s)", odd)
    assert value(conn, "SELECT %s::tsvector @@ lexemes_query(%s)", words, odd)
