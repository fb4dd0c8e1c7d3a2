"""A `Selection` as SQL: conditions put together from fixed parts, every value a parameter."""

from __future__ import annotations

import json
from typing import Any, Final, LiteralString, cast

from psycopg import sql
from psycopg.types.json import Jsonb

from seedcore.errors import UsageError
from seedcore.task.model import Selection

SORTS: Final[dict[str, LiteralString]] = {
    "created_at": "t.created_at",
    "updated_at": "t.updated_at",
    "started_at": "t.started_at",
    "finished_at": "t.finished_at",
    "run_after": "coalesce(t.run_after, t.created_at)",
    "priority": "t.priority",
    "attempts": "t.attempts",
    "status": "t.status",
    "type": "t.type",
    "domain": "t.domain",
}
"""What a list may be sorted by, and the expression that does."""

COLUMNS: Final[LiteralString] = """
       t.id, t.status::text AS status, t.type, t.domain, t.description, t.priority, t.attempts,
       t.max_attempts, t.lapses, t.idempotency_key, t.concurrency_key,
       extract(epoch FROM clock_timestamp() - t.created_at)::float8 AS age_s,
       t.owner_id AS owner, t.run_after, t.deadline_at, t.expires_at,
       t.created_at, t.updated_at, t.started_at, t.finished_at, t.lease_expires_at, t.last_heartbeat,
       t.error,
       (SELECT jsonb_build_object('done', p.done, 'total', p.total, 'message', p.message)
          FROM task_progress p WHERE p.task_id = t.id AND p.done IS NOT NULL) AS progress"""
"""What a list shows; params and results are shown by `inspect` only, as they may be large."""

# Each condition as it stands in SQL, by the selection's field.
_CONDITIONS: Final[dict[str, LiteralString]] = {
    "ids": "t.id = ANY (%(ids)s::uuid[])",
    "statuses": "t.status = ANY (%(statuses)s::taskstatus[])",
    "types": "t.type = ANY (%(types)s::text[])",
    "domains": "t.domain = ANY (%(domains)s::text[])",
    "owner": "(t.owner_id = %(owner)s OR t.locked_by = %(owner)s)",
    "since": "t.created_at >= %(since)s",
    "until": "t.created_at < %(until)s",
    "search": "strpos(lower(t.description), lower(%(search)s)) > 0",
}
_STALE: Final[LiteralString] = "t.status = 'running' AND t.lease_expires_at < clock_timestamp()"
_DUE: Final[LiteralString] = (
    "t.status IN ('queued', 'retry') AND coalesce(t.run_after, t.created_at) <= clock_timestamp()"
)


def conditions(selection: Selection) -> tuple[sql.Composed, dict[str, Any]]:
    """Return what follows WHERE, for a table called `t`, and its parameters."""
    parts: list[sql.Composable] = []
    parameters: dict[str, Any] = {}
    for name, text in _CONDITIONS.items():
        value: Any = getattr(selection, name)
        if value not in (None, (), ""):
            parts.append(sql.SQL(text))
            parameters[name] = (
                list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else value
            )
    if selection.stale:
        parts.append(sql.SQL(_STALE))
    if selection.due:
        parts.append(sql.SQL(_DUE))
    for number, (path, value) in enumerate(selection.params):
        # A word such as 5 or true may be meant as it is or as text; the index on params knows both.
        names = f"json_{number}", f"text_{number}"
        parts.append(
            sql.SQL("(t.params @> {} OR t.params @> {})").format(*map(sql.Placeholder, names))
        )
        parameters[names[0]] = Jsonb(_nested(path, _as_json(value)))
        parameters[names[1]] = Jsonb(_nested(path, value))
    return sql.SQL(" AND ").join(parts or [sql.SQL("true")]), parameters


def order(sort: str) -> tuple[LiteralString, LiteralString]:
    """Return the expression and the direction of a sort such as `priority:desc`.

    Raises:
        UsageError: There is no such field or direction.
    """
    name, _, direction = sort.partition(":")
    if name not in SORTS or direction not in ("", "asc", "desc"):
        raise UsageError(
            f'can\'t sort by "{sort}"',
            code="usage.bad_sort",
            hint=f"FIELD or FIELD:desc, with one of {', '.join(SORTS)}",
        )
    return SORTS[name], "DESC NULLS LAST" if direction == "desc" else "ASC NULLS LAST"


def _nested(path: str, value: Any) -> Any:
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


def _as_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
