"""Leave embedding to a graph worker: what is due becomes pending, and one graph task works it off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from seedcore.config.settings import Settings
from seedcore.db.errors import translated
from seedcore.db.rows import Row, fetch
from seedcore.embed.encoders import queries
from seedcore.embed.run import Source
from seedcore.task.service import submit
from seedcore.task.submission import NewTask

_MOST = 1_000_000


def enqueue(
    conn: psycopg.Connection[Any],
    settings: Settings,
    source: Source,
    ids: Sequence[str] | None = None,
    limit: int | None = None,
    *,
    actor: str | None = None,
    dry_run: bool = False,
) -> Row:
    """Make the vectors of tasks pending that are missing or stale, and submit a task that embeds them.

    Args:
        conn: A connection in autocommit.
        settings: The largest params document.
        source: `TASKS` or `MULTIMODAL`.
        ids: Only these tasks; None = all.
        limit: At most so many.
        actor: Who is recorded for the task.
        dry_run: Do everything and take it back.

    Returns:
        kind, pending, and task_id, which is None when nothing is due.
    """
    task_id = None
    with translated(), conn.transaction(force_rollback=dry_run):
        if ids is None:
            parameters = {"space": source.space, "limit": limit or _MOST}
            pending = fetch(conn, queries.enqueue_missing, parameters)[0]["pending"]
        else:
            parameters = {"space": source.space, "ids": list(ids)[: limit or _MOST]}
            pending = fetch(conn, queries.enqueue_ids, parameters)[0]["pending"]
        if pending:
            config = {"scope": "pending", "space": source.space}
            new = NewTask(
                type="graph",
                description=f"embed {pending} texts of {source.kind}",
                params={
                    "graph_op": "nim_embed",
                    "graph": {"op": "nim_embed", "inputs": {}, "config": config},
                },
            )
            submitted = submit(conn, new, params_max_bytes=settings.params_max_bytes, actor=actor)
            task_id = None if dry_run else submitted.id
    return {"kind": source.kind, "pending": pending, "task_id": task_id}
