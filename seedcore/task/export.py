"""Tasks as bulk lines, which `task submit -f` takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from seedcore.db.errors import translated
from seedcore.task.lint import compact_json
from seedcore.task.model import Selection
from seedcore.task.selection import conditions, order

# params travels as text from end to end: nothing between two databases reads it, so nothing can bend it.
_LINES: Final[LiteralString] = """
SELECT t.id::text, t.type, t.params::text, t.description, t.domain, t.drift_score, t.priority - t.aged,
       CASE WHEN t.attempts = 0 THEN t.run_after END, t.deadline_at, t.expires_at, t.max_attempts,
       t.idempotency_key, t.concurrency_key, t.concurrency_limit,
       t.status = 'created' AND NOT t.auto_release,
       (SELECT array_agg(CASE WHEN e.required THEN '' ELSE 'ended:' END || e.dst_task_id ORDER BY e.id)
          FROM task_depends_on_task e
         WHERE e.src_task_id = t.id)
  FROM tasks t
 WHERE {where}
 ORDER BY {field} {direction}, t.id
 {limit}
"""


def export(
    conn: psycopg.Connection[Any], selection: Selection, *, ids: bool = True
) -> Iterator[str]:
    """Yield each selected task as one line of JSON, without the line end.

    Sort by `created_at` if the lines are to be submitted again: a task only waits for earlier lines.

    Args:
        conn: A connection in autocommit.
        selection: Which tasks.
        ids: Include ids. With them, lines can be submitted twice without doubling anything, and keep what
            they wait for; without, they make new tasks that wait for nothing.
    """
    where, parameters = conditions(selection)
    field, direction = order(selection.sort)
    statement = sql.SQL(_LINES).format(
        where=where,
        field=sql.SQL(field),
        direction=sql.SQL(direction),
        limit=sql.SQL("LIMIT {}").format(selection.limit) if selection.limit else sql.SQL(""),
    )
    with (
        translated(),
        conn.transaction(),
        conn.cursor(name="task_export", row_factory=tuple_row) as rows,
    ):
        rows.itersize = 1000
        for row in rows.execute(statement, parameters):
            yield _line(row, ids=ids)


def _line(row: tuple[Any, ...], *, ids: bool) -> str:
    (
        task_id, type_, params, description, domain, drift_score, priority, run_after, deadline_at,
        expires_at, max_attempts, key, concurrency_key, concurrency, is_held, depends_on,
    ) = row  # fmt: skip
    fields: dict[str, Any] = {"id": task_id if ids else None, "type": type_}
    fields |= {"description": description, "domain": domain, "drift_score": drift_score or None}
    fields["priority"] = priority
    for name, time in (
        ("run_after", run_after),
        ("deadline_at", deadline_at),
        ("expires_at", expires_at),
    ):
        fields[name] = None if time is None else time.isoformat()
    fields |= {"max_attempts": max_attempts, "idempotency_key": key}
    fields |= {"concurrency_key": concurrency_key, "concurrency": concurrency}
    fields["hold"] = is_held or None
    fields["depends_on"] = depends_on if ids else None
    text = compact_json({name: value for name, value in fields.items() if value is not None})
    return text if params == "{}" else f'{text[:-1]},"params":{params}}}'
