"""One instance in the registry, kept alive from a thread of its own.

The thread owns the connection, so that no caller ever waits for a database that does not answer, and
callers with and without an event loop are served alike. A lost database stops nothing: the client
logs it once, tries again every beat, and stands in the registry again as soon as it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID, uuid4

import psycopg

from seedcore.config.loading import load
from seedcore.config.settings import Settings
from seedcore.db.deadline import answers_within
from seedcore.db.whereabouts import Whereabouts
from seedcore.errors import Conflict, SeedcoreError, Unavailable
from seedcore.registry import store
from seedcore.registry.identity import of_this_process
from seedcore.registry.model import InstanceStatus, epoch_id
from seedcore.registry.reply import Reply, in_thread

log = logging.getLogger(__name__)

T = TypeVar("T")

_FAREWELL_S = 2.0
"""Longest wait of `close` for the last word to be written."""


def _nothing(*_: object) -> None:
    return None


class RegistryClient:
    """One instance: it registers, beats, and notices when it was declared dead or its epoch is over.

    `register`, `set_status` and `beat` each do one thing and return a `Reply`: `await` it, ask for its
    `result()`, or go on. `start` does all of them for as long as the process lives.

    Args:
        logical_id: The name that callers look for.
        actor_name: Name of the Ray actor, where it is one.
        serve_route: Where it answers: a route, a URL or a socket.
        cluster_epoch: The epoch that it belongs to; a name that is no UUID is mapped to one. Default:
            `CLUSTER_EPOCH`, else whatever epoch is current.
        settings: Default: those of the environment and the configuration files.
        instance_id: Default: a new one; every start of a process has its own.
        timeout_s: Longest wait of a caller, and of a statement, in seconds.
        may_beat: Asked before each beat of `start`; False leaves it out, so that a process that makes
            no progress falls silent.
        on_epoch: Called, in the client's thread, with the new epoch after registering for it.
        on_drain: Called, in the client's thread, when somebody asked this instance to drain.
    """

    def __init__(
        self,
        logical_id: str,
        actor_name: str | None = None,
        serve_route: str | None = None,
        cluster_epoch: str | UUID | None = None,
        *,
        settings: Settings | None = None,
        instance_id: UUID | None = None,
        timeout_s: float = 5.0,
        may_beat: Callable[[], bool] = lambda: True,
        on_epoch: Callable[[UUID], None] = _nothing,
        on_drain: Callable[[], None] = _nothing,
    ) -> None:
        self._settings = settings or load()
        self.identity = of_this_process(
            self._settings,
            logical_id,
            instance_id=instance_id,
            actor_name=actor_name,
            serve_route=serve_route,
        )
        named = cluster_epoch or self._settings.cluster_epoch
        self._wanted_epoch = epoch_id(str(named)) if named else None
        self._where = Whereabouts(self._settings, f"seedcore registry {logical_id}")
        self._beat_s = self._settings.registry_beat_sec
        self._timeout_s = timeout_s
        self._may_beat, self._on_epoch, self._on_drain = may_beat, on_epoch, on_drain
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = (
            queue.SimpleQueue()
        )
        self._thread: threading.Thread | None = None
        self._thread_made = threading.Lock()
        self._conn: psycopg.Connection[Any] | None = None
        self._epoch: UUID | None = None
        self._wanted: InstanceStatus | None = None  # what `start` and `set_status` asked for
        self._status: InstanceStatus | None = None  # what the database was told last
        self._keeps_beating = False
        self._is_failing = False
        self._is_draining = False

    @property
    def enabled(self) -> bool:
        """Whether there is a registry to report to; without one every call does nothing."""
        return self._settings.enable_runtime_registry

    @property
    def instance_id(self) -> UUID:
        """The id of this start."""
        return self.identity.instance_id

    @property
    def epoch(self) -> UUID | None:
        """The epoch that it is registered for; None = it is not registered."""
        return self._epoch

    # -- single steps -------------------------------------------------------------------------

    def register(self) -> Reply[bool]:
        """Register as starting; the reply is False when the database can't be reached.

        Its reply raises Conflict when it belongs to an epoch that is not current.
        """
        return self._ask(self._register, lost=False)

    def set_status(self, status: InstanceStatus | str) -> Reply[bool]:
        """Move on; the reply is False when the instance is unknown or dead, or the database lost.

        Its reply raises Conflict when that would lead back.
        """
        wanted = InstanceStatus(status)
        return self._ask(lambda: self._move_to(wanted), lost=False)

    def beat(self) -> Reply[bool]:
        """Give one sign of life; the reply tells whether it is on the books afterwards.

        When it was declared dead, or the epoch moved on, it registers again under its logical id.
        """
        return self._ask(self._beat, lost=False)

    # -- for as long as the process lives -----------------------------------------------------

    def start(self, status: InstanceStatus | str = InstanceStatus.ALIVE) -> None:
        """Register, take on the status, and beat until `close`. Returns at once and never raises."""
        self._wanted = InstanceStatus(status)
        self._keeps_beating = True
        self._ask(self._settle, lost=False)

    def advance(self, status: InstanceStatus | str) -> None:
        """Tell a started client its next status. Returns at once and never raises."""
        self._wanted = InstanceStatus(status)
        self._ask(self._settle, lost=False)

    def close(self) -> None:
        """Say good-bye and end the thread; waits for that two seconds at most."""
        thread = self._thread
        if thread is None:
            return
        self._keeps_beating = False
        if self._status is not None:
            self._ask(lambda: self._move_to(InstanceStatus.DEAD), lost=False)
        self._calls.put(None)
        thread.join(_FAREWELL_S)
        self._thread = None

    async def run(self) -> None:
        """Stay registered and alive until cancelled; then say good-bye."""
        self.start()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    # -- the thread ---------------------------------------------------------------------------

    def _ask(self, work: Callable[[], T], *, lost: T) -> Reply[T]:
        """Let the thread do something; `lost` is the answer when the database can't be reached."""
        future: Future[T] = Future()
        if not self.enabled:
            future.set_result(lost)
            return Reply(future, self._timeout_s)

        def guarded() -> T:
            try:
                outcome = work()
            except SeedcoreError as error:
                if isinstance(error, Conflict):
                    raise
                self._lost(error)
                return lost
            self._back()
            return outcome

        self._calls.put((guarded, future))
        with self._thread_made:
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="registry", daemon=True)
                self._thread.start()
        return Reply(future, self._timeout_s)

    def _loop(self) -> None:
        beat_at = time.monotonic() + self._beat_s
        while True:
            try:
                left = max(beat_at - time.monotonic(), 0.0) if self._keeps_beating else None
                call = self._calls.get(timeout=left)
            except queue.Empty:
                beat_at = time.monotonic() + self._beat_s
                if self._may_beat():
                    self._beat_safely()
                continue
            if call is None:
                break
            work, future = call
            try:
                future.set_result(work())
            except BaseException as error:
                log.warning(
                    "The registry refused",
                    extra={"event": "registry.refused", "error": str(error)},
                )
                future.set_exception(error)
        self._disconnect()

    def _beat_safely(self) -> None:
        try:
            self._beat()
        except SeedcoreError as error:
            self._lost(error)
        else:
            self._back()

    # -- what it does there -------------------------------------------------------------------

    def _settle(self) -> bool:
        """Be registered, in the status that is wanted."""
        if self._status is None:
            self._register()
        wanted = self._wanted
        if wanted is not None and wanted is not self._status:
            return self._move_to(wanted)
        return True

    def _register(self, *, adopt: bool = False) -> bool:
        with self._asking() as conn:
            if self._settings.auto_epoch and store.current_epoch(conn) is None:
                store.ensure_epoch(conn, self._wanted_epoch or uuid4())
            self._epoch = store.register(conn, self.identity, self._wanted_epoch, adopt=adopt)
        self._status = InstanceStatus.STARTING
        log.info(
            "Registered",
            extra={
                "event": "registry.registered",
                "instance": str(self.instance_id),
                "epoch": str(self._epoch),
            },
        )
        return True

    def _move_to(self, status: InstanceStatus) -> bool:
        with self._asking() as conn:
            accepted = store.set_status(conn, self.instance_id, status)
        self._status = status if accepted else None
        return accepted

    def _beat(self) -> bool:
        if self._status is None:
            return self._settle() if self._keeps_beating else self._register()
        with self._asking() as conn:
            answer = store.beat(conn, self.instance_id)
        if answer.must_register:
            return self._register_again(epoch_moved=not answer.epoch_current)
        if answer.status is InstanceStatus.DRAINING and not self._is_draining:
            self._is_draining = True
            self._status = InstanceStatus.DRAINING
            if self._wanted is not InstanceStatus.DRAINING:
                self._wanted = InstanceStatus.DRAINING
                self._on_drain()
        elif self._keeps_beating:
            return self._settle()
        return True

    def _register_again(self, *, epoch_moved: bool) -> bool:
        before = self._status
        self._status = None
        # It followed the cluster into this epoch; it follows it into the next one too.
        self._register(adopt=True)
        target = self._wanted if self._keeps_beating else before
        if target is not None and target is not InstanceStatus.STARTING:
            self._move_to(target)
        if epoch_moved and self._epoch is not None:
            self._on_epoch(self._epoch)
        return True

    # -- the connection -----------------------------------------------------------------------

    @contextlib.contextmanager
    def _asking(self) -> Generator[psycopg.Connection[Any]]:
        """Lend the connection, and end it when the server stays silent."""
        conn = self._connected()
        with answers_within(conn, 2 * self._timeout_s):
            yield conn

    def _connected(self) -> psycopg.Connection[Any]:
        if self._conn is None or self._conn.closed:
            from seedcore.db.connection import connect

            self._conn = connect(
                self._settings, statement_timeout_s=self._timeout_s, text=self._where()
            )
        return self._conn

    def _disconnect(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.close()

    def _lost(self, error: SeedcoreError) -> None:
        self._disconnect()
        if not self._is_failing:
            self._is_failing = True
            log.warning(
                "Lost the registry",
                extra={"event": "registry.lost", "error": error.message, "code": error.code},
            )

    def _back(self) -> None:
        if self._is_failing:
            self._is_failing = False
            log.info("The registry is back", extra={"event": "registry.back"})


def list_active_instances(
    settings: Settings | None = None, *, timeout_s: float = 5.0
) -> Reply[list[store.Row]]:
    """Return the best active instance of each logical id: `await` the reply, or ask for `result()`.

    Args:
        settings: Default: those of the environment and the configuration files.
        timeout_s: Longest wait, in seconds.

    Returns:
        A reply with rows of instance_id, logical_id, epoch, status, actor_name, serve_route, node_id,
        ip_address, pid, started_at, last_heartbeat. Empty when the registry is switched off or the
        database can't be reached, which is logged: discovery then has other ways.
    """
    known = settings or load()

    def look() -> list[store.Row]:
        from seedcore.db.connection import connect

        if not known.enable_runtime_registry:
            return []
        try:
            with connect(
                known, application_name="seedcore registry", statement_timeout_s=timeout_s
            ) as conn:
                return store.active(conn)
        except Unavailable as error:
            log.warning(
                "Lost the registry",
                extra={"event": "registry.lost", "error": error.message, "code": error.code},
            )
            return []

    return in_thread(look, timeout_s)
