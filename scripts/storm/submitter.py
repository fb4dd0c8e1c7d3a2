"""A steady submitter that keeps the queue from running empty, and cancels a task now and then."""

from __future__ import annotations

import random
import threading
import time
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from seedcore.task.ids import new_id

BATCH = 50

# Ids and keys are the submitter's own, so a batch whose answer got lost is sent again as it was.
SUBMIT = """
SELECT submitted.id::text
  FROM unnest(%s::uuid[], %s::text[], %s::jsonb[], %s::int[], %s::uuid[]) AS u (id, key, params, priority, parent),
       LATERAL task_submit(p_type => 'chaos', p_id => u.id, p_idempotency_key => u.key,
                           p_params => u.params, p_priority => u.priority,
                           p_depends_on => CASE WHEN u.parent IS NOT NULL THEN ARRAY[u.parent] END) AS submitted
"""
WAITING = "SELECT count(*) FROM tasks WHERE status IN ('created', 'queued', 'retry')"
CANCEL = "SELECT tasks_cancel(ARRAY[%s]::uuid[], 'chaos')"


class Submitter(threading.Thread):
    """Submits until told to stop.

    Args:
        url: The database.
        backlog: Tasks that are to wait at any time.
        seconds: Mean run time of a task.
        lease_s: A few tasks take two leases.
    """

    def __init__(self, url: str, *, backlog: int, seconds: float, lease_s: float) -> None:
        super().__init__(name="submitter", daemon=True)
        self._url = url
        self._backlog = backlog
        self._seconds = seconds
        self._lease_s = lease_s
        self._stopped = threading.Event()
        self._random = random.Random(7)  # noqa: S311 - no secret
        self._conn: psycopg.Connection[Any] | None = None
        self.submitted: dict[str, str] = {}
        """Id → how its tool ends."""
        self.cancelled: set[str] = set()
        self.repeated = 0
        """Batches sent again because their answer was lost."""
        self.fault: str | None = None

    def stop(self) -> None:
        """End after the batch under way."""
        self._stopped.set()
        self.join(120)

    def run(self) -> None:
        """See the class."""
        while not self._stopped.is_set():
            waiting = self._insist(WAITING, ())[0][0]
            if waiting >= self._backlog:
                self._stopped.wait(0.2)
                continue
            for _ in range(0, self._backlog - waiting, BATCH):
                self._batch()
        if self._conn is not None:
            self._conn.close()

    def _batch(self) -> None:
        ids = [str(new_id()) for _ in range(BATCH)]
        outcomes = self._random.choices(["ok", "flaky", "bad"], [94, 4, 2], k=BATCH)
        # A child waits for one that will complete; a long chain would outlast the storm.
        parents: list[UUID | None] = [None] * BATCH
        good = [n for n, outcome in enumerate(outcomes) if outcome != "bad"]
        if len(good) > 2:
            parents[good[-1]] = UUID(ids[good[0]])
        params = [Jsonb(self._params(outcome)) for outcome in outcomes]
        keys = [f"chaos-{len(self.submitted) + n}" for n in range(BATCH)]
        priorities = self._random.choices([2, 5, 8], k=BATCH)
        stored = self._insist(SUBMIT, (ids, keys, params, priorities, parents))
        self.submitted |= dict(zip(ids, outcomes, strict=True))
        if {row[0] for row in stored} != set(ids):
            self.fault = "a submit answered with other tasks than it was given"
        # Not one that another waits for: that would cancel both.
        victim = next((n for n in good[1:-1] if priorities[n] == 2), None)
        if victim is not None and self._random.random() < 0.5:
            self.cancelled.add(ids[victim])
            self._insist(CANCEL, (ids[victim],))

    def _params(self, outcome: str) -> dict[str, Any]:
        seconds = self._seconds * self._random.uniform(0.5, 1.5)
        if self._random.random() < 0.005:
            seconds = 2 * self._lease_s
        call = {"name": "chaos.work", "args": {"seconds": round(seconds, 3), "outcome": outcome}}
        return {"tool_calls": [call]}

    def _insist(self, statement: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Run a statement until its answer arrives."""
        is_repeated = False
        while True:
            try:
                if self._conn is None:
                    self._conn = psycopg.connect(
                        self._url, autocommit=True, connect_timeout=5, application_name="submitter"
                    )
                rows = self._conn.execute(statement, parameters).fetchall()
            except psycopg.Error as error:
                if not isinstance(error, psycopg.OperationalError):
                    self.fault = f"the submitter was refused: {error}"
                    raise
                if self._conn is not None:
                    self._conn.close()
                self._conn = None
                is_repeated = True
                time.sleep(0.1)
            else:
                self.repeated += is_repeated
                return rows
