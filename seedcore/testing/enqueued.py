"""Did the program submit what it should have? And if not, what did it submit instead?"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, LiteralString, cast

import psycopg

from seedcore.task.model import TaskStatus
from seedcore.task.store import Row, fetch

_WAITING = (TaskStatus.CREATED, TaskStatus.QUEUED, TaskStatus.RETRY)
_SHOWN = 10

_FOUND: LiteralString = """
SELECT id, type, status::text AS status, params, domain, description, priority, run_after,
       idempotency_key, (%(type)s::text IS NULL OR type = %(type)s)
                        AND params @> %(params)s::jsonb
                        AND (%(domain)s::text IS NULL OR domain = %(domain)s) AS is_meant
  FROM tasks
 WHERE status = ANY (%(statuses)s::taskstatus[])
 ORDER BY is_meant DESC, type = %(type)s DESC, created_at DESC, id DESC
 LIMIT 1000
"""


def assert_enqueued(
    conn: psycopg.Connection[Any],
    type: str | None = None,
    *,
    params: Mapping[str, Any] | None = None,
    tool: str | None = None,
    args: Mapping[str, Any] | None = None,
    domain: str | None = None,
    count: int | None = None,
    statuses: Collection[str] = _WAITING,
) -> list[Row]:
    """Check that tasks were submitted, and return them, the youngest first.

    Args:
        conn: A connection.
        type: Their type.
        params: A part of their params, at any depth, as PostgreSQL's `@>` compares.
        tool: A tool that one of their `tool_calls` names.
        args: A part of that call's arguments.
        domain: Their domain.
        count: How many there must be, 0 included. Default: at least one.
        statuses: Where they stand. Default: they wait (created, queued or retry).

    Raises:
        AssertionError: There are others than that; the message shows what is there instead, and where
            it differs.
    """
    wanted: dict[str, Any] = dict(params or {})
    if tool is not None:
        wanted["tool_calls"] = [{"name": tool, **({"args": dict(args)} if args else {})}]
    rows = fetch(
        conn,
        _FOUND,
        {
            "type": type,
            "params": json.dumps(wanted),
            "domain": domain,
            "statuses": [str(status) for status in statuses],
        },
    )
    meant = [row for row in rows if row["is_meant"]]
    if len(meant) == count or (count is None and meant):
        for row in meant:
            del row["is_meant"]
        return meant
    raise AssertionError(_message(rows, type, wanted, domain, count, len(meant)))


def _message(
    rows: list[Row],
    type: str | None,
    wanted: dict[str, Any],
    domain: str | None,
    count: int | None,
    found: int,
) -> str:
    what = "task" if count == 1 else "tasks"
    text = f"expected {'at least one task' if count is None else f'{count} {what}'}"
    text += f" of type {type!r}" if type else ""
    text += f" with params {json.dumps(wanted)}" if wanted else ""
    text += f" in domain {domain!r}" if domain else ""
    lines = [f"{text}, found {found}"]
    if not rows:
        lines.append("nothing is enqueued at all")
    else:
        lines.append("enqueued:" if len(rows) <= _SHOWN else f"the first {_SHOWN} enqueued:")
    for row in rows[:_SHOWN]:
        mark = "=" if row["is_meant"] else " "
        lines.append(f"  {mark} {row['type']} ({row['status']}) {_short(row['params'])}")
        if not row["is_meant"] and (why := _differs(row, type, wanted, domain)):
            lines.append(f"      {why}")
    return "\n".join(lines)


def _differs(row: Row, type: str | None, wanted: dict[str, Any], domain: str | None) -> str:
    if type is not None and row["type"] != type:
        return ""
    if domain is not None and row["domain"] != domain:
        return f"its domain is {row['domain']!r}"
    return _difference(wanted, row["params"], "") or ""


def _difference(wanted: Any, found: Any, pointer: str) -> str | None:
    """Say where a document is not part of another, or None."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        there = cast("dict[str, Any]", found)
        for key, value in cast("dict[str, Any]", wanted).items():
            if key not in there:
                return f"{pointer}/{key} is missing"
            if why := _difference(value, there[key], f"{pointer}/{key}"):
                return why
        return None
    if isinstance(wanted, list) and isinstance(found, list):
        items = cast("list[Any]", found)
        for index, value in enumerate(cast("list[Any]", wanted)):
            reasons = [_difference(value, item, f"{pointer}/{n}") for n, item in enumerate(items)]
            if all(reasons):
                return reasons[0] if len(reasons) == 1 else f"{pointer} has no {_short(value)}"
            if not reasons:
                return f"{pointer}/{index} is missing"
        return None
    return None if wanted == found else f"{pointer or '/'} is {_short(found)}, not {_short(wanted)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:199] + "…"
