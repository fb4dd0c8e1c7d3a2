"""What another policy would have decided on inputs that were recorded."""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime
from typing import Any

import psycopg

from seedcore.db.rows import Row, fetch
from seedcore.errors import SeedcoreError
from seedcore.pkg import store
from seedcore.pkg.engines.decision import Decision
from seedcore.pkg.engines.document import Input
from seedcore.pkg.engines.loading import TIMEOUT_S, Evaluators
from seedcore.pkg.model import Policy
from seedcore.pkg.validation import queries


def replay(
    conn: psycopg.Connection[Any],
    against: Policy,
    *,
    env: str | None = None,
    since: datetime | None = None,
    limit: int = 1000,
    timeout_s: float = TIMEOUT_S,
) -> Generator[Row]:
    """Yield each recorded evaluation with what another policy decides on its input, newest first.

    What was decided then is decided again by the snapshot of then, which never changes, so that both
    sides are whole decisions and not only digests.

    Args:
        conn: A connection.
        against: The other policy, stored.
        env: Only evaluations of this environment's snapshots.
        since: Only evaluations from then on.
        limit: At most so many; 0 = all that are kept.
        timeout_s: Longest evaluation, in seconds.

    Raises:
        CheckFailed: A snapshot is not what was stored.
        Unavailable: The library of an engine is not installed.
    """
    other = against.snapshot.id if against.snapshot is not None else -1

    def load(snapshot_id: int) -> Policy:
        return against if snapshot_id == other else store.load(conn, snapshot_id)

    engines = Evaluators(load, timeout_s=timeout_s)
    try:
        parameters = {"since": since, "env": env, "limit": limit or None}
        for row in fetch(conn, queries.recorded, parameters):
            before = _outcome(engines, row["snapshot_id"], row["input"])
            after = _outcome(engines, other, row["input"])
            yield {
                "id": row["id"],
                "at": row["at"],
                "task_id": row["task_id"],
                "from_version": row["version"],
                "to_version": against.version,
                "changed": before["digest"] != after["digest"],
                "before": before["short"],
                "after": after["short"],
                "before_decision": before["decision"],
                "after_decision": after["decision"],
            }
    finally:
        engines.close()


def _outcome(engines: Evaluators, snapshot_id: int, raw: Any) -> dict[str, Any]:
    try:
        decision = engines.get(snapshot_id)[1].evaluate(Input.parse(raw))
    except SeedcoreError as error:
        if error.code.startswith("db.") or error.code == "pkg.engine_missing":
            raise
        said = f"error: {error.message}"
        return {"digest": said, "short": said, "decision": {"error": error.message}}
    return {
        "digest": decision.digest(),
        "short": in_short(decision),
        "decision": decision.essence(),
    }


def in_short(decision: Decision) -> str:
    """Return a decision on one line: denied, nothing, or its subtasks and edges."""
    if decision.denied:
        return "denied"
    if not decision.subtasks:
        return "nothing"
    edges = [f"{edge.source}->{edge.target}" for edge in decision.edges]
    return ", ".join([subtask.id for subtask in decision.subtasks] + edges)
