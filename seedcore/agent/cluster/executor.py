"""The executor whose tools run on the machines of a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import seedcore
from seedcore.agent.attempt import ClaimedTask, OnProgress, Outcome
from seedcore.agent.cluster.host import ToolHost
from seedcore.agent.cluster.turn import Key, Ready, Sent, Turn
from seedcore.agent.completion import Settling
from seedcore.agent.context import Flag
from seedcore.agent.executor import HostLost, time_limit
from seedcore.config.settings import Settings
from seedcore.errors import SeedcoreError, Unavailable
from seedcore.runtime import Handle, Runtime

log = logging.getLogger(__name__)

_LOOK_S = 2.0
"""Pause between two looks at the hosts and the machines."""
_ANSWER_S = 30.0
"""A host that does not answer for so long hangs; its tasks are taken from it."""
_FAREWELL_S = 3.0
_REPLACE_S = 60.0
"""Longest wait for a new host to be ready."""


class _Host:
    """A host as the worker sees it."""

    def __init__(self, handle: Handle, node: str, ready: Ready) -> None:
        self.handle = handle
        self.node = node
        self.ready = ready
        self.running = 0
        self.taken = 0
        self.is_lost = False
        self.threads_abandoned = 0


class ClusterExecutor:
    """Hands each attempt to the least busy of several hosts, and keeps their number.

    A host that is gone takes the attempts with it that ran there: `run` raises `HostLost`, and whoever holds the
    lease decides. A new host takes its place, on another machine if need be.

    Args:
        settings: The worker's; `RAY_TOOL_HOSTS` and `RAY_TOOL_CPUS`.
        owner: Owner id of the leases.
        runtime: Where the hosts live.
        conninfo: Returns where the database is.
        changed: Called when the first host is there again, or the last one is lost.
    """

    def __init__(
        self,
        settings: Settings,
        owner: str,
        runtime: Runtime,
        *,
        conninfo: Callable[[], str],
        changed: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self.calls: Counter[str] = Counter()
        """Calls since the start, by outcome: `ok`, `reused`, or an error type."""
        self._settings = settings
        self._owner = owner
        self._runtime = runtime
        self._conninfo = conninfo
        self._changed = changed
        self._hosts: list[_Host] = []
        self._made = 0
        self._wake = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._farewells: set[asyncio.Future[Any]] = set()

    @property
    def tools(self) -> int:
        """How many tools the hosts have."""
        return max((host.ready.tools for host in self._hosts), default=0)

    @property
    def threads_abandoned(self) -> int:
        """Threads whose call was given up and that have not returned yet."""
        return sum(host.threads_abandoned for host in self._hosts)

    async def start(self) -> None:
        """Make the hosts.

        Raises:
            Unavailable: The cluster or, from one of its machines, the database can't be reached; or another
                version runs there.
            ConfigError: A plugin can't be loaded there.
        """
        nodes = await asyncio.to_thread(self._runtime.nodes)
        made = await asyncio.gather(
            *(self._add(node) for node in self._places(nodes)), return_exceptions=True
        )
        # A machine may be lost just now; what else goes wrong would go wrong again.
        for error in made:
            if error is not None and (not _is_gone(error) or not self._hosts):
                await self.stop()
                raise error
        self._keeping = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """End the hosts."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        hosts, self._hosts = self._hosts, []
        await asyncio.gather(*(self._end(host) for host in hosts))

    async def run(
        self,
        task: ClaimedTask,
        *,
        deadline: float | None = None,
        on_progress: OnProgress | None = None,
        cancelled: Flag | None = None,
        settling: Settling | None = None,
        left_running: Callable[[asyncio.Future[Any]], None] | None = None,
    ) -> Outcome:
        """Run one attempt on a host; see `Executor.run`.

        Raises:
            HostLost: The host is gone; what became of the attempt is not known.
            asyncio.CancelledError: The attempt was cancelled.
        """
        host = self._least_busy()
        if deadline is None:
            deadline = time.monotonic() + time_limit(task.params, self._settings)
        sent = Sent(
            id=str(task.id),
            type=task.type,
            params=task.params,
            attempts=task.attempts,
            result=task.result,
            snapshot_id=getattr(task, "snapshot_id", None),
            seconds=deadline - time.monotonic(),
        )
        host.running += 1
        try:
            turn = await self._ask(host, "begin", sent)
            while turn.records is not None:
                turn = await self._ask(host, "go_on", sent.key, await _stored(on_progress, turn))
        except asyncio.CancelledError:
            stopped = self._ask(host, "stop", sent.key)
            self._settled(settling)
            if left_running is not None:
                left_running(self._watch(stopped))
            else:
                self._watch(stopped)
            raise
        except Unavailable as error:
            self._lost(host, error)
            self._settled(settling)
            raise HostLost(error.message) from error
        finally:
            host.running -= 1
        return self._ended(host, sent.key, turn, settling, left_running)

    def _ended(
        self,
        host: _Host,
        key: Key,
        turn: Turn,
        settling: Settling | None,
        left_running: Callable[[asyncio.Future[Any]], None] | None,
    ) -> Outcome:
        if turn.was_settled:
            self._settled(settling)
        if turn.still_runs:
            returned = self._watch(self._ask(host, "gone", key))
            if left_running is not None:
                left_running(returned)
        if turn.outcome is None:
            raise HostLost("the attempt was ended on its host, by nobody here")
        for record in turn.outcome.envelope["payload"].get("tool_results", ()):
            self.calls["reused" if record["reused"] else record["error_type"] or "ok"] += 1
        return turn.outcome

    @staticmethod
    def _settled(settling: Settling | None) -> None:
        """Have the database asked how the task ended: nobody knows what its tool had come to."""
        if settling is not None:
            settling.begun()

    # -- hosts --------------------------------------------------------------------------------

    def _least_busy(self) -> _Host:
        living = [host for host in self._hosts if not host.is_lost]
        if not living:
            raise HostLost("no machine of the cluster runs tools now", was_begun=False)
        chosen = min(living, key=lambda host: (host.running, host.taken))
        chosen.taken += 1
        return chosen

    def _ask(self, host: _Host, method: str, *args: Any) -> asyncio.Future[Any]:
        return asyncio.wrap_future(self._runtime.submit(host.handle, method, *args))

    def _watch(self, ended: asyncio.Future[Any]) -> asyncio.Future[Any]:
        """Return what is done when the host says so, or is gone, which ends everything there."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def settle(future: asyncio.Future[Any]) -> None:
            self._farewells.discard(future)
            if not future.cancelled():
                future.exception()
            if not done.done():
                done.set_result(None)

        self._farewells.add(ended)
        ended.add_done_callback(settle)
        return done

    def _lost(self, host: _Host, error: SeedcoreError) -> None:
        if host.is_lost:
            return
        host.is_lost = True
        self._hosts.remove(host)
        log.warning(
            "A host of tools is gone",
            extra={
                "event": "host.lost",
                "host": host.handle.name,
                "machine": host.ready.machine,
                "running": host.running,
                "error": error.message,
            },
        )
        if not self._hosts:
            self._changed(False)
        self._wake.set()

    def _places(self, nodes: list[str]) -> list[str]:
        """Return the machines on which hosts are missing, one entry for each."""
        wanted = self._settings.ray_tool_hosts or max(1, len(nodes))
        taken = Counter(dict.fromkeys(nodes, 0))
        taken.update(host.node for host in self._hosts if host.node in taken)
        missing: list[str] = []
        while nodes and len(self._hosts) + len(missing) < wanted:
            node = min(nodes, key=lambda one: taken[one])
            taken[node] += 1
            missing.append(node)
        return missing

    async def _add(self, node: str) -> None:
        """Make a host and wait until it is ready."""
        self._made += 1
        name = f"seedcore_tools_{self._owner}_{self._made}"
        where = await asyncio.to_thread(self._conninfo)
        settings = dataclasses.replace(self._settings, database_url=where)
        handle = await asyncio.to_thread(
            self._runtime.get_or_create,
            name,
            functools.partial(
                ToolHost, settings, self._owner, logs_here=self._runtime.kind != "local"
            ),
            self._settings.ray_tool_cpus,
            owned=True,
            node=node,
            timeout_s=_REPLACE_S,
        )
        try:
            ready: Ready = await asyncio.to_thread(
                self._runtime.call, handle, "ready", timeout_s=_REPLACE_S
            )
            _require_same(ready)
        except BaseException:
            await asyncio.to_thread(self._kill, handle)
            raise
        self._hosts.append(_Host(handle, node, ready))
        log.info(
            "A host of tools is ready",
            extra={
                "event": "host.ready",
                "host": handle.name,
                "machine": ready.machine,
                "tools": ready.tools,
            },
        )
        if len(self._hosts) == 1:
            self._changed(True)

    async def _keep(self) -> None:
        """See that the hosts live, and make new ones in the place of those that do not."""
        has_told = False
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await asyncio.gather(*(self._look(host) for host in list(self._hosts)))
                nodes = await asyncio.to_thread(self._runtime.nodes)
                for node in self._places(nodes):
                    await self._add(node)
                has_told = False
            except SeedcoreError as error:
                log.log(
                    logging.DEBUG if has_told else logging.WARNING,
                    "Could not make a host of tools; trying again",
                    extra={"event": "host.not_made", "error": error.message, "code": error.code},
                )
                has_told = True

    async def _look(self, host: _Host) -> None:
        try:
            async with asyncio.timeout(_ANSWER_S):
                host.threads_abandoned = await self._ask(host, "threads_abandoned")
        except Unavailable as error:
            self._lost(host, error)
        except TimeoutError:
            silent = Unavailable(f"{host.handle.name} has not answered for {_ANSWER_S:g} s")
            self._lost(host, silent)
            # What runs there must not go on beside its next attempt.
            await asyncio.to_thread(self._kill, host.handle)

    async def _end(self, host: _Host) -> None:
        with contextlib.suppress(SeedcoreError, TimeoutError):
            async with asyncio.timeout(_FAREWELL_S):
                await self._ask(host, "close")
        await asyncio.to_thread(self._kill, host.handle)

    def _kill(self, handle: Handle) -> None:
        with contextlib.suppress(SeedcoreError):
            self._runtime.kill(handle)


def _is_gone(error: BaseException) -> bool:
    return isinstance(error, Unavailable) and error.code == "runtime.gone"


def _require_same(ready: Ready) -> None:
    if ready.version != seedcore.__version__:
        raise Unavailable(
            f"{ready.machine} has SeedCore {ready.version}, this worker {seedcore.__version__}",
            code="ray.seedcore_version",
            hint="install the same version on every machine of the cluster",
        )


async def _stored(on_progress: OnProgress | None, turn: Turn) -> bool | None:
    """Store what a host asks to store; None = it could not be."""
    if on_progress is None or turn.records is None:
        return None
    try:
        return await on_progress(turn.records)
    except Exception as error:  # the call is not made then; its host says why
        log.warning(
            "Could not store a start mark",
            extra={"event": "host.mark_lost", "error": str(error)},
        )
        return None
