"""A `Selection` as SQL: conditions put together from fixed parts, every value a parameter."""

from __future__ import annotations

from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from seedcore.fact.model import Selection
from seedcore.fact.store import snapshot_id

COLUMNS: Final[LiteralString] = """
       f.id, f.namespace, f.subject, f.predicate, f.object_data AS object, f.text, f.tags,
       nullif(f.valid_from, '-infinity') AS valid_from, nullif(f.valid_to, 'infinity') AS valid_to,
       coalesce(f.valid_from <= now(), true) AND coalesce(f.valid_to > now(), true) AS holds,
       f.snapshot_id, f.pkg_rule_id AS rule, f.created_by, f.created_at"""
"""What a list shows."""

_CONDITIONS: Final[dict[str, LiteralString]] = {
    "namespace": "f.namespace = %(namespace)s",
    "subject": "f.subject = %(subject)s",
    "predicate": "f.predicate = %(predicate)s",
    "tags": "f.tags @> %(tags)s::text[]",
}
_HOLDS: Final[LiteralString] = (
    "(f.valid_from IS NULL OR f.valid_from <= {0}) AND (f.valid_to IS NULL OR f.valid_to > {0})"
)


def conditions(
    conn: psycopg.Connection[Any], selection: Selection
) -> tuple[sql.Composed, dict[str, Any]]:
    """Return what follows WHERE, for a table called `f`, and its parameters.

    Raises:
        NotFound: There is no such snapshot.
    """
    parts: list[sql.Composable] = []
    parameters: dict[str, Any] = {}
    for name, text in _CONDITIONS.items():
        value: Any = getattr(selection, name)
        if value not in (None, ()):
            parts.append(sql.SQL(text))
            parameters[name] = list(value) if name == "tags" else value
    if selection.snapshot is not None:
        parts.append(sql.SQL("f.snapshot_id = %(snapshot_id)s"))
        parameters["snapshot_id"] = snapshot_id(conn, selection.snapshot)
    if selection.at is not None:
        parts.append(sql.SQL(_HOLDS).format(sql.Placeholder("at")))
        parameters["at"] = selection.at
    elif selection.holding:
        parts.append(sql.SQL(_HOLDS).format(sql.SQL("now()")))
    return sql.SQL(" AND ").join(parts or [sql.SQL("true")]), parameters


def limited(limit: int) -> sql.Composable:
    """Return the LIMIT clause; 0 = none."""
    return sql.SQL("LIMIT {}").format(limit) if limit else sql.SQL("")
