"""Policy in the worker: a thread with a connection of its own, asked about claimed tasks in batches.

While no snapshot is active nothing is asked, and all that it costs is one look a second. The tasks that come
while a batch is being decided are the next batch, so a busy worker pays one round of statements for many.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from seedcore.capability.registry import CapabilityMonitor, CapabilityRegistry
from seedcore.config.settings import Settings
from seedcore.db.connection import connect
from seedcore.errors import Conflict, SeedcoreError, Unavailable
from seedcore.pkg import signature
from seedcore.pkg.enactment import FORGOTTEN_AT_ONCE, Asked, Enactor, Verdict
from seedcore.task.engine import attentive
from seedcore.task.exchange import ClaimedTask
from workers.metrics import Metrics

log = logging.getLogger(__name__)

_BATCH = 64
_FIRST_LOOK_S = 10.0
_BACKOFF_S = (0.1, 5.0)
_SWEEP_S = 60.0


class TaskPolicy(Protocol):
    """What is asked about a task before it runs."""

    @property
    def is_active(self) -> bool:
        """Whether there is anything to ask."""
        ...

    async def consult(self, task: ClaimedTask) -> Verdict:
        """Ask about a claimed task; whatever goes wrong is a verdict with an error."""
        ...


class _Waiting:
    """A task that waits for its verdict."""

    __slots__ = ("asked", "future")

    def __init__(self, asked: Asked, future: asyncio.Future[Verdict]) -> None:
        self.asked = asked
        self.future = future


class PolicyDesk:
    """Asks the policies in the database.

    Args:
        settings: Environment, region, mode, limits.
        conninfo: Returns where the database is.
        owner: Whose leases these are.
        metrics: Counted here: evaluations.
        capabilities: Kept as the served snapshot has them, for whoever grants tools by them.

    Raises:
        ConfigError: PKG_VERIFY_KEY can't be read, or holds no key.
    """

    def __init__(
        self,
        settings: Settings,
        conninfo: Callable[[], str],
        owner: str,
        metrics: Metrics,
        capabilities: CapabilityRegistry | None = None,
    ) -> None:
        self._settings = settings
        self._conninfo = conninfo
        self._owner = owner
        known = CapabilityRegistry() if capabilities is None else capabilities
        self._capabilities = CapabilityMonitor(known, settings.pkg_env)
        self._is_spelled_well = True
        self._metrics = metrics
        signature.required_key(settings)  # one that is gone ends the start, and not task by task
        self._must_consent = settings.pkg_mode == "control"
        self._inbox: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._looked = threading.Event()
        self._closed = False
        self._active = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._connection: Any = None
        self._enactor: Enactor | None = None

    @property
    def is_active(self) -> bool:
        """Whether a snapshot is active, or none may be missing."""
        return self._active or self._must_consent

    async def start(self) -> None:
        """Look for an active policy, and from then on again and again."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name="policy", daemon=True)
        self._thread.start()
        await asyncio.to_thread(self._looked.wait, _FIRST_LOOK_S)

    async def consult(self, task: ClaimedTask) -> Verdict:
        """Ask about a claimed task."""
        future: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        asked = Asked(
            id=task.id,
            attempts=task.attempts,
            type=task.type,
            domain=task.domain,
            description=task.description,
            priority=task.priority,
            drift_score=task.drift_score,
            params=task.params,
        )
        self._inbox.put(_Waiting(asked, future))
        verdict = await future
        if verdict.outcome == "skipped" and self._must_consent and verdict.holds:
            verdict = Verdict("error", error=f"no snapshot of {self._settings.pkg_env} is active")
        self._metrics.pkg_evaluations.labels(verdict.engine, verdict.outcome).inc()
        return verdict

    async def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._inbox.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, 5.0)

    # -- the thread ---------------------------------------------------------------------------

    def _work(self) -> None:
        failures = 0
        next_look = 0.0
        next_sweep = time.monotonic() + _SWEEP_S
        while not self._closed:
            batch = self._next_batch(max(next_look - time.monotonic(), 0.0))
            try:
                enactor = self._ready()
                if batch:
                    self._answer(batch, enactor.decide([one.asked for one in batch]))
                if time.monotonic() >= next_look:
                    self._active = enactor.is_active()
                    if self._active:
                        self._learn_capabilities()
                    next_look = time.monotonic() + self._settings.pkg_poll_s
                    self._looked.set()
                if not batch and time.monotonic() >= next_sweep:
                    # A full slice says that there are more.
                    is_through = enactor.forget() < FORGOTTEN_AT_ONCE
                    next_sweep = time.monotonic() + (_SWEEP_S if is_through else 0.0)
                failures = 0
            except Exception as error:
                self._fail(batch, error)
                pause = min(_BACKOFF_S[0] * 2**failures, _BACKOFF_S[1])
                failures += 1
                next_look = time.monotonic() + pause
            finally:
                self._looked.set()
        self._fail(self._next_batch(0.0), Unavailable("the worker ends", code="worker.stopping"))
        if self._enactor is not None:
            self._enactor.close()
        self._disconnect()

    def _next_batch(self, wait_s: float) -> list[_Waiting]:
        """Return what waits, after at most so many seconds; empty when it is time for a look."""
        batch: list[_Waiting] = []
        with contextlib.suppress(queue.Empty):
            first = self._inbox.get(timeout=wait_s) if wait_s > 0 else self._inbox.get_nowait()
            while True:
                if first is not None:
                    batch.append(first)
                if len(batch) == _BATCH:
                    break
                first = self._inbox.get_nowait()
        return batch

    def _ready(self) -> Enactor:
        """Return the enactor, connected."""
        if self._connection is None or self._connection.closed:
            self._connection = connect(
                self._settings,
                application_name="seedcore worker policy",
                text=attentive(self._conninfo()),
            )
            # Behind a pooler in transaction mode the next statement may run in another session.
            self._connection.prepare_threshold = None
            if self._enactor is None:
                self._enactor = Enactor(self._settings, self._owner, self._connection)
            self._enactor.use(self._connection)
        assert self._enactor is not None  # noqa: S101 - made with the first connection
        return self._enactor

    def _learn_capabilities(self) -> None:
        """Keep the capabilities as the served snapshot has them."""
        try:
            self._capabilities.look(self._connection)
            self._is_spelled_well = True
        except Conflict as error:
            # What was known stays, and is that of another snapshot: it widens nobody's role.
            if self._is_spelled_well:
                log.warning(
                    "Capabilities contradict each other",
                    extra={"event": "pkg.capabilities", "error": error.message},
                )
            self._is_spelled_well = False

    def _answer(self, batch: Sequence[_Waiting], verdicts: Sequence[Verdict]) -> None:
        def settle() -> None:
            for one, verdict in zip(batch, verdicts, strict=True):
                if not one.future.done():
                    one.future.set_result(verdict)

        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is over, and nobody waits
                loop.call_soon_threadsafe(settle)

    def _fail(self, batch: Sequence[_Waiting], error: Exception) -> None:
        """Tell those who wait that there is no answer, and begin anew."""
        self._disconnect()
        if isinstance(error, SeedcoreError):
            said = f"{error.code}: {error.message}"
            if not self._closed:
                log.warning(
                    "Could not ask policy",
                    extra={"event": "pkg.lost", "error": error.message, "code": error.code},
                )
        else:
            said = f"{type(error).__name__}: {error}"
            log.error("Asking policy broke", exc_info=error, extra={"event": "pkg.broke"})
        self._answer(batch, [Verdict("error", error=said)] * len(batch))

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()
