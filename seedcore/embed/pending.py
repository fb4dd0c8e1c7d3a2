"""Leave embedding to a graph worker: what is due becomes pending, and one graph task works it off.

`enqueue` does it when somebody asks; `backfill` is what graph workers do by themselves now and then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg

from seedcore.config.settings import Settings
from seedcore.db.errors import translated
from seedcore.db.rows import Row, fetch
from seedcore.embed.encoders import queries
from seedcore.embed.run import TASKS, Source, Wanted, run
from seedcore.embed.selection import choose
from seedcore.task.service import submit
from seedcore.task.submission import NewTask

_MOST = 1_000_000
_BACKFILL = "seedcore.embed.backfill"


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
    """Make the vectors pending that are missing or stale, and submit a task that embeds them.

    Of facts nothing is noted: the task itself looks for what is due when it runs.

    Args:
        conn: A connection in autocommit.
        settings: The largest params document.
        source: `TASKS`, `MULTIMODAL` or `FACTS`.
        ids: Only these; None = all.
        limit: At most so many.
        actor: Who is recorded for the task.
        dry_run: Do everything and take it back.

    Returns:
        kind, pending, and task_id, which is None when nothing is due.
    """
    task_id = None
    with translated(), conn.transaction(force_rollback=dry_run):
        if source.space is None:
            wanted = Wanted(ids=ids, limit=limit or 0, dry_run=True)
            choice = choose(conn, settings, keep=False)
            pending = run(conn, choice, source, wanted).embedded
        elif ids is None:
            parameters = {"space": source.space, "limit": limit or _MOST}
            pending = fetch(conn, queries.enqueue_missing, parameters)[0]["pending"]
        else:
            parameters = {"space": source.space, "ids": list(ids)[: limit or _MOST]}
            pending = fetch(conn, queries.enqueue_ids, parameters)[0]["pending"]
        if pending:
            new = _task(f"embed {pending} texts of {source.kind}", source, ids, limit)
            submitted = submit(conn, new, params_max_bytes=settings.params_max_bytes, actor=actor)
            task_id = None if dry_run else submitted.id
    return {"kind": source.kind, "pending": pending, "task_id": task_id}


def backfill(conn: psycopg.Connection[Any], settings: Settings, actor: str) -> Row | None:
    """Make a batch of tasks' missing and stale vectors pending, and see that a task embeds what is.

    Workers that do it at the same time don't wait for each other, and all of them together have one such
    task waiting or running at most.

    Args:
        conn: A connection in autocommit.
        settings: `task_embed_label`, `task_embed_backfill_batch`, and the encoder where none serves yet.
        actor: Who is recorded for the task.

    Returns:
        pending, how many were made so, and task_id, which is None when nothing is due. None when another
        worker is at it.

    Raises:
        SeedcoreError: The database failed, or the encoder is not configured.
    """
    stored = choose(conn, settings, keep=False).stored
    parameters: dict[str, Any] = {
        "label": settings.task_embed_label,
        "encoder_id": stored.encoder_id,
        "model": stored.identity.model,
        "limit": settings.task_embed_backfill_batch,
    }
    with translated(), conn.transaction():
        if not fetch(conn, queries.try_lock_here, {"name": _BACKFILL})[0]["locked"]:
            return None
        pending = conn.execute(queries.make_due, parameters).rowcount
        if not fetch(conn, queries.is_any_due)[0]["due"]:
            return {"pending": pending, "task_id": None}
        new = replace(_task("embed what is due", TASKS), idempotency_key=_BACKFILL)
        submitted = submit(conn, new, unique="unfinished", actor=actor)
    return {"pending": pending, "task_id": submitted.id if submitted.created else None}


def _task(
    description: str, source: Source, ids: Sequence[str] | None = None, limit: int | None = None
) -> NewTask:
    config: dict[str, Any] = {"scope": "pending", "space": source.space}
    inputs: dict[str, Any] = {}
    if source.space is None:
        if ids is None:
            config = {"scope": "pending", "kind": source.kind, "limit": limit or 0}
        else:
            config, inputs = {}, {"start_fact_ids": list(ids)[: limit or _MOST]}
    return NewTask(
        type="graph",
        description=description,
        params={
            "graph_op": "nim_embed",
            "graph": {"op": "nim_embed", "inputs": inputs, "config": config},
        },
    )
