"""An object that runs tools for a worker elsewhere: on Ray an actor, with a process of its own.

It holds no lease and decides nothing about one. What must be stored before a call may start goes back
to the worker (`Turn.records`). Progress, checkpoints, `ctx.submit` and `ctx.complete_in` go to the database
from here, under the worker's lease, so that the database refuses what comes too late.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

import seedcore
from seedcore.agent.attempt import Outcome
from seedcore.agent.cluster.turn import Key, Ready, Sent, Turn
from seedcore.agent.envelope import Record
from seedcore.agent.executor import Executor
from seedcore.agent.registry import load
from seedcore.agent.reporting import ReportDesk
from seedcore.config.settings import Settings
from seedcore.errors import Unavailable
from seedcore.telemetry import logs

log = logging.getLogger(__name__)


class ToolHost:
    """Runs attempts of one worker.

    Args:
        settings: The worker's, with the database as other machines reach it.
        owner: Owner id of its leases.
        logs_here: Whether this process is the host's own, so that it sets up the log.
    """

    def __init__(self, settings: Settings, owner: str, *, logs_here: bool = True) -> None:
        self._settings = settings
        self._owner = owner
        self._executor: Executor | None = None
        self._runs: dict[Key, _Run] = {}
        if logs_here:
            logs.configure(settings.log_level, "json")
            logs.identify(worker=owner, instance_id=owner)

    async def ready(self) -> Ready:
        """Load the tools and try the database.

        Raises:
            ConfigError: A plugin can't be loaded here.
            Unavailable: The database can't be reached from here.
        """
        machine = socket.gethostname()
        if self._executor is None:
            await asyncio.to_thread(self._try_database, machine)
            registry = await asyncio.to_thread(load, self._settings)
            desk = ReportDesk(
                lambda: self._settings.database_url or "",
                self._owner,
                checkpoint_max_bytes=self._settings.checkpoint_max_bytes,
            )
            self._executor = Executor(registry, self._settings, desk=desk)
        return Ready(seedcore.__version__, machine, len(self._executor.registry))

    def _try_database(self, machine: str) -> None:
        from seedcore.db.connection import connect

        try:
            connect(self._settings, application_name="seedcore tools", check_schema=True).close()
        except Unavailable as error:
            raise Unavailable(
                f"the tools' host on {machine} can't use the database: {error.message}",
                code="ray.no_database",
                hint="set SEEDCORE_DATABASE_URL to an address that every machine of the cluster reaches",
            ) from error

    async def begin(self, sent: Sent) -> Turn:
        """Start an attempt, and return its outcome or what must be stored before it goes on."""
        run = self._runs[sent.key] = _Run(sent, self._owner)
        assert self._executor is not None  # noqa: S101 - `ready` comes first
        run.task = asyncio.create_task(run.run(self._executor))
        return await self._turn(run)

    async def go_on(self, key: Key, holds: bool | None) -> Turn:
        """Go on with an attempt whose records were stored.

        Args:
            key: The attempt.
            holds: Whether the lease still held; None = they could not be stored.
        """
        run = self._runs[key]
        run.go_on(holds)
        return await self._turn(run)

    async def stop(self, key: Key) -> None:
        """End an attempt, and return when nothing of it runs any more."""
        run = self._runs.get(key)
        if run is not None:
            run.cancel()
            await run.gone()
            self._runs.pop(key, None)

    async def gone(self, key: Key) -> None:
        """Return when nothing of an attempt runs any more that has had its outcome."""
        run = self._runs.get(key)
        if run is not None:
            await run.gone()
            self._runs.pop(key, None)

    async def threads_abandoned(self) -> int:
        """Count the threads that go on after their attempt; also tells that it lives."""
        return 0 if self._executor is None else self._executor.threads_abandoned

    async def close(self) -> None:
        """Write what is left to write."""
        if self._executor is not None:
            await asyncio.to_thread(self._executor.close)

    async def _turn(self, run: _Run) -> Turn:
        turn = await run.turns.get()
        if turn.records is None and not turn.still_runs:
            self._runs.pop(run.sent.key, None)
        return turn


class _Run:
    """One attempt here. Also the lease, for a tool that completes its task by itself."""

    def __init__(self, sent: Sent, owner: str) -> None:
        self.sent = sent
        self.owner = owner
        self.turns: asyncio.Queue[Turn] = asyncio.Queue()
        self.task: asyncio.Task[None] | None = None
        self._stop = threading.Event()
        self._was_settled = False
        self._stored: asyncio.Future[bool | None] | None = None
        self._thread: asyncio.Future[Any] | None = None

    async def run(self, executor: Executor) -> None:
        """Run it to its end, and say how it ended."""
        outcome: Outcome | None = None
        logs.bind(task_id=self.sent.id, attempt=self.sent.attempts)
        try:
            outcome = await executor.run(
                self.sent,
                deadline=time.monotonic() + self.sent.seconds,
                on_progress=self._keep,
                cancelled=self._stop,
                settling=self,
                left_running=self._left_running,
            )
        finally:
            still_runs = self._thread is not None and not self._thread.done()
            self.turns.put_nowait(
                Turn(outcome, was_settled=self._was_settled, still_runs=still_runs)
            )

    def begun(self) -> None:
        """Note that the worker must ask the database how the task ended."""
        self._was_settled = True

    def go_on(self, holds: bool | None) -> None:
        """Pass on whether the records were stored."""
        if self._stored is not None and not self._stored.done():
            self._stored.set_result(holds)

    def cancel(self) -> None:
        """Tell plain functions and coroutines that nobody waits any more."""
        self._stop.set()
        if self.task is not None:
            self.task.cancel()

    async def gone(self) -> None:
        """Wait for the end of all that runs."""
        if self.task is not None:
            await asyncio.wait({self.task})
        if self._thread is not None:
            await asyncio.wait({self._thread})

    async def _keep(self, records: Sequence[Record]) -> bool:
        self._stored = asyncio.get_running_loop().create_future()
        self.turns.put_nowait(Turn(records=list(records)))
        holds = await self._stored
        if holds is None:
            raise Unavailable("the worker could not store it")
        return holds

    def _left_running(self, thread: asyncio.Future[Any]) -> None:
        self._thread = thread
