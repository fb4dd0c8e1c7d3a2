"""The graph lane as its worker sees it: claim one task, end it, give it back; all fenced by owner and attempt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from seedcore.config.settings import Settings
from seedcore.db.rows import fetch, fetch_one
from seedcore.graph.store import Conn
from seedcore.graph.tasks.inputs import queries


@dataclass(frozen=True, slots=True)
class Claimed:
    """A graph task of which this worker holds the lease.

    Attributes:
        id: UUID text.
        attempts: The fencing token.
        params_json: The payload as JSON text.
        snapshot_id: Its policy snapshot, or None.
        created_s: Unix time of its submission.
        wait_s: Seconds between due and claimed.
    """

    id: str
    attempts: int
    params_json: str
    snapshot_id: int | None
    created_s: float
    wait_s: float

    def params(self) -> dict[str, Any]:
        """Return the payload.

        Raises:
            ValueError: It can't be read.
        """
        document: Any = json.loads(self.params_json)
        return cast("dict[str, Any]", document) if isinstance(document, dict) else {}


class GraphLane:
    """The statements of one owner.

    Args:
        owner: Owner id of its leases.
        locked_by: The worker's logical id.
        settings: Lease and attempts.
        domains: Take only tasks of these domains; empty = all.
    """

    def __init__(
        self, owner: str, locked_by: str, settings: Settings, domains: Sequence[str] = ()
    ) -> None:
        self._owner = owner
        self._given = {
            "owner": owner,
            "locked_by": locked_by,
            "lease_s": settings.graph_lease_extension_s,
            "domains": list(domains) or None,
            "default_max": settings.max_task_attempts,
        }

    def claim(self, conn: Conn) -> Claimed | None:
        """Take the most urgent due task, or None."""
        row = fetch_one(conn, queries.claim, self._given)
        if row is None:
            return None
        return Claimed(
            row["id"],
            row["attempts"],
            row["params"],
            row["snapshot_id"],
            row["created_s"],
            row["wait_s"],
        )

    def complete(self, conn: Conn, task: Claimed, result: str) -> bool:
        """Store a result; False when the lease was lost."""
        return bool(fetch(conn, queries.complete, self._with(task) | {"result": result}))

    def fail(
        self, conn: Conn, task: Claimed, reason: str, result: str, *, retryable: bool
    ) -> str | None:
        """Store a failure; returns the task's status, or None when the lease was lost."""
        given = self._with(task) | {"reason": reason, "result": result, "retryable": retryable}
        row = fetch_one(conn, queries.retry_or_fail, given)
        return None if row is None else row["status"]

    def give_back(self, conn: Conn, task: Claimed) -> bool:
        """Return a task without spending its attempt; False when the lease was lost."""
        return bool(fetch(conn, queries.give_back, self._with(task)))

    def declare_waiting(self, conn: Conn) -> None:
        """Ask submitters to call."""
        conn.execute(queries.declare_waiting, self._given)

    def withdraw(self, conn: Conn) -> None:
        """Take that back."""
        conn.execute(queries.withdraw_waiting, self._given)

    def left_over(self, conn: Conn) -> int:
        """Count the tasks that are due."""
        return fetch(conn, queries.left_over)[0]["due"]

    def is_drained(self, conn: Conn) -> bool:
        """Whether nothing is due, delayed or running, with whichever worker."""
        return bool(fetch(conn, queries.is_drained, self._given)[0]["drained"])

    def _with(self, task: Claimed) -> dict[str, Any]:
        return {**self._given, "id": task.id, "attempts": task.attempts}
