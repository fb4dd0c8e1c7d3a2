"""A worker that claims through the pick functions, as `tasks_claim` does from revision 127 on."""

from __future__ import annotations

from collections.abc import Sequence

from tests.integration.task.worker import Row, Worker


class PickingWorker(Worker):
    """Claims as the lane's controls and the tasks' keys allow."""

    def claim(
        self,
        limit: int = 1,
        *,
        lane: str = "queue",
        lease_s: float = 60.0,
        types: Sequence[str] | None = None,
        domains: Sequence[str] | None = None,
    ) -> list[Row]:
        """See `Worker.claim`."""
        filters = [lane, limit, types, domains]
        with self.conn.transaction():
            (state,) = self.rows("SELECT * FROM queue_lanes WHERE lane = %s", [lane])
            if state["paused"]:
                return []
            if state["restricted"]:
                picked = "tasks_pick_restricted(%s, %s, %s::text[], %s::text[])"
            else:
                picked = (
                    "tasks_pick_keyed(%s, %s, %s::text[], %s::text[],"
                    " tasks_pick_in_order(%s, %s, %s::text[], %s::text[]))"
                )
                filters = filters * 2
            (row,) = self.rows(f"SELECT {picked} AS ids", filters)
            rows = self.rows(
                "UPDATE tasks SET status = 'running', attempts = attempts + 1, owner_id = %s,"
                " locked_by = %s, locked_at = clock_timestamp(), started_at = clock_timestamp(),"
                " last_heartbeat = clock_timestamp(),"
                " lease_expires_at = clock_timestamp() + make_interval(secs => %s)"
                " WHERE id = ANY (%s) RETURNING *",
                [self.owner, self.owner, lease_s, row["ids"]],
            )
        self.held |= {row["id"]: row["attempts"] for row in rows}
        return sorted(
            rows, key=lambda r: (-r["priority"], r["run_after"] or r["created_at"], r["id"])
        )
