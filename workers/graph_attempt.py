"""One attempt at a graph task: its work in a thread, its heartbeat in another, and how it is stopped."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from seedcore.agent import envelope
from seedcore.config.settings import Settings
from seedcore.errors import SeedcoreError
from seedcore.graph.tasks import operations
from seedcore.graph.tasks.engine import Pool
from seedcore.graph.tasks.failure import Abandoned, GraphTaskFailed, translated
from seedcore.graph.tasks.operations import Work
from seedcore.graph.tasks.queue import Claimed
from seedcore.task.exchange import Lease
from seedcore.task.lease import LeaseKeeper
from seedcore.task.payload import graph_op

log = logging.getLogger(__name__)

_SAFE_SHARE = 0.8
"""A task is let go when this share of its lease passed without a renewal: before others may take it."""


@dataclass(slots=True)
class Ended:
    """How an attempt ended.

    Attributes:
        op: The operation, or `unknown`.
        seconds: How long it took.
        document: The result to be stored, JSON text; None when it was abandoned.
        failure: Why it failed; None = it did not.
        abandoned: Why it was stopped: lost, cancelled or drained; None = it was not.
        embedded: Vectors written, by dimension.
    """

    op: str = "unknown"
    seconds: float = 0.0
    document: str | None = None
    failure: GraphTaskFailed | None = None
    abandoned: str | None = None
    embedded: dict[int, int] = field(default_factory=dict[int, int])


class Attempt:
    """Performs one claimed task.

    Args:
        task: It.
        pool: Where connections come from.
        conninfo: Where the database is, for the heartbeat's own connection.
        owner: Owner id of the lease.
        settings: Time-outs and limits.
    """

    def __init__(
        self, task: Claimed, pool: Pool, conninfo: Callable[[], str], owner: str, settings: Settings
    ) -> None:
        self.task = task
        self._pool = pool
        self._owner = owner
        self._settings = settings
        self._keeper = LeaseKeeper(
            conninfo,
            owner,
            settings.graph_lease_extension_s,
            patience_s=max(settings.graph_heartbeat_ping_s / 2, 0.5),
        )
        self._over = threading.Event()
        self._reason: str | None = None
        self.began = time.monotonic()

    def run(self) -> Ended:
        """Do the work, renewing the lease meanwhile; whatever goes wrong is in the answer."""
        heart = threading.Thread(target=self._beat, name="graph-heartbeat", daemon=True)
        heart.start()
        started_at = time.time()
        ended = Ended()
        value: Any = None
        try:
            value = self._perform(ended)
        except Abandoned:
            ended.abandoned = self._reason or "lost"
        except Exception as error:  # the worker lives on, whatever a task does
            ended.failure = translated(error)
            if ended.failure.error_type == "internal":
                log.exception(
                    "A graph task failed unexpectedly",
                    extra={"event": "task.unexpected", "task_id": self.task.id},
                )
        finally:
            self._over.set()
            heart.join()
        ended.seconds = time.monotonic() - self.began
        if self._reason in ("lost", "cancelled"):
            ended.abandoned = self._reason
        if ended.abandoned is None:
            self._write_down(ended, value, started_at)
        return ended

    def stop(self, reason: str) -> None:
        """Let the work stop at its next step.

        Args:
            reason: lost, cancelled or drained.
        """
        self._reason = self._reason or reason

    def _perform(self, ended: Ended) -> dict[str, Any]:
        try:
            params = self.task.params()
        except ValueError as error:
            raise GraphTaskFailed("bad_payload", f"params can't be read: {error}") from None
        ended.op = operations.operation_of(graph_op(params))
        with self._pool.lend() as conn:
            work = Work(
                conn=conn,
                settings=self._settings,
                owner=self._owner,
                params=params,
                snapshot_id=self.task.snapshot_id,
                as_of_s=self.task.created_s,
                checkpoint=self._checkpoint,
                embedded=ended.embedded,
            )
            ended.embedded.update({128: 0, 1024: 0})
            return operations.perform(work, ended.op)

    def _checkpoint(self) -> None:
        if self._reason is not None:
            raise Abandoned

    # -- the heartbeat, in its own thread -----------------------------------------------------

    def _beat(self) -> None:
        lease = Lease(self.task.id, self.task.attempts)
        renewed_at = self.began
        safe_s = self._settings.graph_lease_extension_s * _SAFE_SHARE
        while not self._over.wait(self._settings.graph_heartbeat_ping_s):
            sent_at = time.monotonic()
            try:
                lost = self._keeper.renew([lease])
            except SeedcoreError as error:
                log.warning(
                    "Could not renew leases",
                    extra={"event": "lease.renew_failed", "error": error.message},
                )
                if time.monotonic() - renewed_at > safe_s:
                    self.stop("lost")
                continue
            renewed_at = sent_at
            if lost:
                self.stop("cancelled" if lost[0].status == "cancelled" else "lost")
                break
        self._keeper.close()

    # -- the result ---------------------------------------------------------------------------

    def _write_down(self, ended: Ended, value: Any, started_at: float) -> None:
        try:
            ended.document = self._document(ended, value, started_at)
        except ValueError as error:
            if self._settings.graph_strict_json_result:
                said = f"the result is no JSON: {error}"
                ended.failure = GraphTaskFailed("bad_result", said)
                value = None
            else:
                value = {"text": repr(value)}
            ended.document = self._document(ended, value, started_at)
        size = len(ended.document.encode())
        if size > self._settings.result_max_bytes:
            cut = {"_truncated": True, "original_size": size}
            ended.document = self._document(ended, cut, started_at)

    def _document(self, ended: Ended, value: Any, started_at: float) -> str:
        failure = ended.failure
        latency_ms = round(ended.seconds * 1000, 3)
        record = envelope.Record(
            index=0,
            name=f"graph.{ended.op}",
            ok=failure is None,
            value=value if failure is None else failure.details or None,
            error=None if failure is None else failure.message,
            error_type=None if failure is None else failure.error_type,
            latency_ms=latency_ms,
            reused=False,
        )
        document = envelope.build(
            task_id=self.task.id,
            task_type="graph",
            attempt=self.task.attempts,
            records=[record],
            started_at=started_at,
            latency_ms=latency_ms,
            error=None if failure is None else failure.message,
            error_type=None if failure is None else failure.error_type,
            retry=failure is not None and failure.retryable,
        )
        # The database's text holds no NUL.
        return json.dumps(document, allow_nan=False).replace("\\u0000", "\\ufffd")
