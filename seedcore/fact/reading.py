"""Look at facts: by words, by what they are about, by when they held."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import dict_row, tuple_row

from seedcore.db.errors import translated
from seedcore.db.id_prefix import MOST_CANDIDATES, resolve
from seedcore.errors import NotFound
from seedcore.fact.intake import plain_text
from seedcore.fact.model import QUESTION_MAX_CHARS, Selection
from seedcore.fact.selection import COLUMNS, conditions, limited
from seedcore.fact.store import Row, fetch, fetch_one, queries
from seedcore.task.plain import compact_json

# Only a bounded number of matches is ranked: a word that half of a million facts hold says little. The
# newest of them are, so that what is ranked does not depend on the plan.
_SEARCH: Final[LiteralString] = """
WITH question AS (SELECT lexemes_query(%(question)s) AS words),
found AS MATERIALIZED (
    SELECT f.* FROM facts f, question q
     WHERE to_tsvector('english', f.text) @@ q.words AND {where}
     ORDER BY f.created_at DESC, f.id
     LIMIT 10000)
SELECT ts_rank(to_tsvector('english', f.text), q.words, 1)::float8 AS score, {columns}
  FROM found f, question q
 ORDER BY score DESC, f.created_at DESC, f.id
 {limit}
"""
_LIST: Final[LiteralString] = """
SELECT {columns}
  FROM facts f
 WHERE {where}
 ORDER BY {order}
 {limit}
"""
_NEWEST: Final[LiteralString] = "f.created_at DESC, f.id"
_BY_KEY: Final[LiteralString] = (
    "f.namespace, f.subject NULLS LAST, f.predicate, f.valid_from DESC NULLS LAST, f.created_at DESC, f.id"
)
_LINES: Final[LiteralString] = """
SELECT f.id::text, f.text, f.subject, f.predicate, f.object_data::text, f.tags, f.namespace,
       nullif(f.valid_from, '-infinity'), nullif(f.valid_to, 'infinity'),
       (SELECT s.env::text || '/' || s.version FROM pkg_snapshots s WHERE s.id = f.snapshot_id),
       f.pkg_rule_id, f.pkg_provenance::text, f.meta_data::text, f.created_by
  FROM facts f
 WHERE {where}
 ORDER BY f.created_at, f.id
 {limit}
"""


def search(conn: psycopg.Connection[Any], text: str | None, selection: Selection) -> list[Row]:
    """Return facts whose words match best; without a text the newest.

    Any word of the text is enough; more of them, and rarer distances, rank higher. Words are compared
    by their English stems.

    Args:
        conn: A connection.
        text: What to look for.
        selection: Among which facts.

    Returns:
        Rows with `score`; it is None without a text. None for a text of stop words alone.

    Raises:
        UsageError: The text is empty, binary or too long.
        NotFound: There is no such snapshot.
    """
    where, parameters = conditions(conn, selection)
    if text is None:
        rows = fetch(conn, _list(where, _NEWEST, selection.limit), parameters)
        return [{"score": None, **row} for row in rows]
    question = plain_text("the text", text, 4 * QUESTION_MAX_CHARS)[:QUESTION_MAX_CHARS]
    statement = sql.SQL(_SEARCH).format(
        where=where, columns=sql.SQL(COLUMNS), limit=limited(selection.limit)
    )
    return fetch(conn, statement, parameters | {"question": question})


def by_ids(conn: psycopg.Connection[Any], ids: Sequence[str]) -> dict[str, Row]:
    """Return the facts with these ids, as far as they are there, by id."""
    statement = _list(sql.Composed([sql.SQL("f.id = ANY (%(ids)s::uuid[])")]), _NEWEST, 0)
    return {str(row["id"]): row for row in fetch(conn, statement, {"ids": list(ids)})}


def held_at(conn: psycopg.Connection[Any], moment: datetime, selection: Selection) -> Iterator[Row]:
    """Yield the facts that held at a moment, by subject and predicate.

    Raises:
        NotFound: There is no such snapshot.
    """
    where, parameters = conditions(conn, replace(selection, at=moment))
    yield from _stream(conn, _list(where, _BY_KEY, selection.limit), parameters)


def history(conn: psycopg.Connection[Any], selection: Selection) -> Iterator[Row]:
    """Yield all versions of what is said of a subject, the newest of each predicate first.

    Raises:
        NotFound: Nothing was ever said of it.
    """
    where, parameters = conditions(conn, selection)
    found = False
    statement = _list(where, _BY_KEY, selection.limit)
    with closing(_stream(conn, statement, parameters)) as rows:
        for row in rows:
            found = True
            yield row
    if not found:
        raise NotFound(
            f'nothing is known of "{selection.subject}"',
            code="fact.subject_not_found",
            hint="seedcore fact search lists facts",
        )


def fact_id(conn: psycopg.Connection[Any], text: str) -> UUID:
    """Return the id of the fact that some digits name.

    Raises:
        NotFound: There is none.
        UsageError: It is no id, or several facts begin so.
    """

    def between(first: UUID, last: UUID) -> list[UUID]:
        found = {"first": first, "last": last, "limit": MOST_CANDIDATES}
        return [row["id"] for row in fetch(conn, queries.between, found)]

    return resolve(
        text,
        between,
        noun="fact",
        code="fact",
        bad_id_hint="seedcore fact search lists ids",
        look="seedcore fact search",
    )


def show(conn: psycopg.Connection[Any], text: str) -> Row:
    """Return everything about one fact: who found it, who read it, its node.

    Args:
        conn: A connection.
        text: Its id, or the first digits.

    Raises:
        NotFound: There is none.
    """
    row = fetch_one(conn, queries.show, {"id": fact_id(conn, text)})
    if row is None:
        raise NotFound(f"there is no fact {text}", code="fact.not_found")
    return row


def stats(conn: psycopg.Connection[Any], namespace: str | None = None, most_tags: int = 20) -> Row:
    """Return counts: total, valid_now, expired, future, triples, governed, and of the commonest tags."""
    row = fetch(conn, queries.stats, {"namespace": namespace})[0]
    tags = fetch(conn, queries.tags, {"namespace": namespace, "limit": most_tags})
    return {**row, "by_tag": {tag["tag"]: tag["facts"] for tag in tags}}


def export(conn: psycopg.Connection[Any], selection: Selection) -> Iterator[str]:
    """Yield each selected fact as one line of JSON that `fact add -f` takes, without the line end.

    All lines are of one moment. JSON travels as text, so nothing in it is bent.

    Raises:
        NotFound: There is no such snapshot.
    """
    where, parameters = conditions(conn, selection)
    statement = sql.SQL(_LINES).format(where=where, limit=limited(selection.limit))
    with (
        translated(),
        conn.transaction(),
        conn.cursor(name="fact_export", row_factory=tuple_row) as rows,
    ):
        rows.itersize = 1000
        for row in rows.execute(statement, parameters):
            yield _line(row)


def _line(row: tuple[Any, ...]) -> str:
    (
        id_, text, subject, predicate, object_, tags, namespace, valid_from, valid_to, snapshot,
        rule, provenance, meta, created_by,
    ) = row  # fmt: skip
    fields: dict[str, Any] = {"id": id_, "text": text, "subject": subject, "predicate": predicate}
    fields |= {"tags": tags or None, "namespace": namespace, "snapshot": snapshot, "rule": rule}
    fields |= {"valid_to": valid_to.isoformat() if valid_to else None, "created_by": created_by}
    kept = {name: value for name, value in fields.items() if value is not None}
    # Null says that it has always held; left out it would hold from the day of the import.
    kept["valid_from"] = valid_from.isoformat() if valid_from else None
    line = compact_json(kept)[:-1]
    for name, value in (("object", object_), ("provenance", provenance), ("meta", meta)):
        if value is not None and not (name == "meta" and value == "{}"):
            line += f',"{name}":{value}'
    return line + "}"


def _list(where: sql.Composed, order: LiteralString, limit: int) -> sql.Composed:
    return sql.SQL(_LIST).format(
        columns=sql.SQL(COLUMNS), where=where, order=sql.SQL(order), limit=limited(limit)
    )


def _stream(
    conn: psycopg.Connection[Any], statement: sql.Composed, parameters: dict[str, Any]
) -> Generator[Row]:
    """Yield rows as the server gives them; there may be millions."""
    with (
        translated(),
        conn.transaction(),
        conn.cursor(name="facts", row_factory=dict_row) as rows,
    ):
        rows.itersize = 1000
        yield from rows.execute(statement, parameters)
