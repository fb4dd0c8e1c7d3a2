"""The index of words: what is in it, how it keeps up, what a question finds."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

Conn = psycopg.Connection[dict[str, Any]]

COUNTS = """
SELECT s.documents, s.total_length,
       s.documents = (SELECT count(*) FROM lexical_document)
       AND s.total_length = (SELECT coalesce(sum(length), 0) FROM lexical_document)
       AND s.total_length = (SELECT coalesce(sum(tf), 0) FROM lexical_posting)
       AND NOT EXISTS (SELECT FROM lexical_term t
                       WHERE t.documents <> (SELECT count(*) FROM lexical_posting p WHERE p.term = t.term)) AS sound
FROM lexical_statistics s
"""


def one(conn: Conn, statement: str, *parameters: Any) -> Any:
    row = conn.execute(statement.encode(), parameters).fetchone()
    assert row is not None
    return next(iter(row.values())) if len(row) == 1 else row


def fact(conn: Conn, text: str, **columns: Any) -> str:
    names = ", ".join(["text", *columns])
    marks = ", ".join(["%s"] * (1 + len(columns)))
    found = f"INSERT INTO facts ({names}) VALUES ({marks}) RETURNING id::text"
    return one(conn, found, text, *columns.values())


def task(conn: Conn, description: str, **columns: Any) -> str:
    names = ", ".join(["id", "type", "status", "description", *columns])
    marks = ", ".join(["%s", "'query'", "'queued'", "%s", *["%s"] * len(columns)])
    found = f"INSERT INTO tasks ({names}) VALUES ({marks}) RETURNING id::text"
    return one(conn, found, uuid4(), description, *columns.values())


def refresh(conn: Conn, limit: int = 2000) -> tuple[int, bool]:
    row = one(conn, "SELECT * FROM lexical_refresh(%s)", limit)
    return row["indexed"], row["waiting"]


def found(conn: Conn, question: str, **scope: Any) -> list[str]:
    words = "".join(f", p_{name} => %({name})s" for name in scope)
    statement = f"SELECT source_id FROM lexical_search(%(question)s{words})"
    return [row["source_id"] for row in conn.execute(statement.encode(), {"question": question, **scope})]  # fmt: skip


def test_any_stem_of_a_question_is_enough(conn: Conn) -> None:
    assert one(conn, "SELECT lexemes_query(%s)::text", "Which pools are opening?") == (
        "'open' | 'pool'"
    )


def test_a_question_of_stop_words_alone_asks_nothing(conn: Conn) -> None:
    assert one(conn, "SELECT lexemes_query('the of and') IS NULL")
    odd = r"it's c:\\temp\x 'quoted' a&b !c :* http://a.de/x?y&z=1"
    words = one(conn, "SELECT to_tsvector('english', %s)", odd)
    assert one(conn, "SELECT %s::tsvector @@ lexemes_query(%s)", words, odd)
    fact(conn, "the of and")
    assert refresh(conn) == (1, False)
    assert found(conn, "the of and") == []


def test_scores_are_those_of_bm25(conn: Conn) -> None:
    texts = ["pool pool bar", "bar", "garden lamp lamp lamp lamp"]
    ids = [fact(conn, text) for text in texts]
    refresh(conn)
    rows = conn.execute("SELECT source_id, score FROM lexical_search('pool bars')").fetchall()

    def score(text: str) -> float:
        words = text.split()
        mean = sum(len(t.split()) for t in texts) / 3
        total = 0.0
        for term in ("pool", "bar"):
            n = sum(term in t.split() for t in texts)
            tf = words.count(term)
            idf = math.log(1 + (3 - n + 0.5) / (n + 0.5))
            total += idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * len(words) / mean))
        return total

    assert [row["source_id"] for row in rows] == ids[:2]
    assert [row["score"] for row in rows] == pytest.approx([score(t) for t in texts[:2]])


def test_the_index_follows_what_is_written_changed_and_deleted(conn: Conn) -> None:
    gym = fact(conn, "The gym opens at nine", subject="gym", predicate="opens", object_data="9")
    pool = task(conn, "Repair the pool")
    late = task(conn, "Clean the pool", created_at="2001-01-01")
    one(conn, "SELECT ensure_skill_node('swimming')")
    assert refresh(conn, 2) == (2, True)
    assert refresh(conn, 2) == (2, True)
    assert refresh(conn, 2) == (0, False)
    assert set(found(conn, "pools")) == {pool, late}
    assert found(conn, "swim") == ["swimming"]
    conn.execute("UPDATE facts SET text = 'The bar opens at ten', subject = 'bar'")
    conn.execute("UPDATE tasks SET description = 'Fill the bar' WHERE id = %s", [pool])
    conn.execute("UPDATE tasks SET priority = 3")
    conn.execute("DELETE FROM tasks WHERE id = %s", [late])
    assert found(conn, "pools") == [pool]  # a deleted task is not found, indexed or not
    assert refresh(conn) == (3, False)
    assert (found(conn, "pool"), found(conn, "gym")) == ([], [])
    assert set(found(conn, "bar")) == {gym, pool}
    conn.execute("UPDATE facts SET valid_to = now() + interval '1 h'")
    assert refresh(conn) == (0, False)
    assert one(conn, COUNTS)["sound"]


def test_a_scope_leaves_out_what_is_not_in_it(conn: Conn) -> None:
    old = fact(conn, "pool", valid_from="2020-01-01", valid_to="2021-01-01", namespace="a")
    new = fact(conn, "pool", valid_from="2021-01-01", namespace="a", tags=["x"])
    other = fact(conn, "pool", namespace="b")
    job = task(conn, "pool", domain="a")
    refresh(conn)
    assert set(found(conn, "pool")) == {new, other, job}
    assert set(found(conn, "pool", namespace="a")) == {new, job}
    assert set(found(conn, "pool", at="2020-06-01")) == {old, other}
    assert found(conn, "pool", filter='{"tags": ["x"]}') == [new]
    assert found(conn, "pool", filter='{"kind": "task", "status": "queued"}') == [job]
    assert found(conn, "pool", snapshot_id=1) == []
    assert one(conn, "SELECT memory_in_scope('fact', %s)", old) is False
    assert one(conn, "SELECT memory_in_scope('fact', %s)", str(uuid4())) is False


def test_what_is_of_no_kind_is_refused(conn: Conn) -> None:
    for call in ("lexical_content('instance', '{}')", "lexical_index('nothing', '{a}')"):
        with pytest.raises(psycopg.Error, match="nothing is remembered of the kind"):
            conn.execute(f"SELECT * FROM {call}".encode())
    with pytest.raises(psycopg.Error, match="at least one document"):
        refresh(conn, 0)
    missing = one(conn, "SELECT count(*) FROM lexical_content('task', %s)", [str(uuid4())])
    assert missing == 0


@pytest.fixture
def other(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A second session, in a transaction."""
    with psycopg.connect(database_url) as connection:
        yield connection


def test_who_indexes_waits_for_nobody_who_writes_and_goes_alone(
    conn: Conn, other: psycopg.Connection[Any], database_url: str
) -> None:
    fact(conn, "pool")
    other.execute("SELECT lexical_refresh()")
    fact(conn, "bar")  # does not wait
    assert refresh(conn) == (0, True)
    index = threading.Thread(target=lambda: one(conn, "SELECT lexical_index('fact', '{}')"))
    index.start()
    with psycopg.connect(database_url, autocommit=True) as looker:
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while looker.execute(waiting).fetchone() == (0,):
            assert index.is_alive()
    other.commit()
    index.join()
    assert refresh(conn) == (1, False)
    assert one(conn, COUNTS)["sound"]
