"""What policy called for on behalf of a task, as it was recorded when it acted."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg

from seedcore.db.rows import Row, fetch, fetch_one
from seedcore.pkg.validation import queries


def steps_of(conn: psycopg.Connection[Any], task_id: UUID | str) -> list[Row]:
    """Return the tasks that policy called for: which rules, by which snapshot, and how they stand now.

    Args:
        conn: A connection.
        task_id: The task that policy was asked about.

    Returns:
        Rows of step, task_id, status (None = purged since), rules, waits_for (steps), snapshot
        (version and environment), snapshot_id; empty when policy called for nothing.
    """
    row = fetch_one(conn, queries.plan_of, {"id": task_id})
    if row is None or row["source"] != "pkg":
        return []
    plan = row["plan"]
    steps: list[dict[str, Any]] = plan.get("steps", [])
    ids = [step["task_id"] for step in steps]
    states = {s["id"]: s["status"] for s in fetch(conn, queries.states_of, {"ids": ids})}
    edges: list[dict[str, Any]] = plan.get("edges", [])
    label = None if row["version"] is None else f"{row['version']}@{row['env']}"
    return [
        {
            "step": step["id"],
            "task_id": step["task_id"],
            "status": states.get(step["task_id"]),
            "rules": step.get("rules", []),
            "waits_for": [edge["from"] for edge in edges if edge["to"] == step["id"]],
            "snapshot": label,
            "snapshot_id": row["snapshot_id"],
        }
        for step in steps
    ]
