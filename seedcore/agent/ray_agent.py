"""An agent: runs tasks by their tools, knows how well it does, and reports to the registry if there is one.

The same class lives in a process of ours or, as a named actor, on a Ray cluster; it needs neither Ray nor
a database to work. An agent belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from seedcore.agent import wire
from seedcore.agent.attempt import ClaimedTask, OnProgress, Outcome
from seedcore.agent.completion import Settling
from seedcore.agent.context import Flag
from seedcore.agent.envelope import RunsIn
from seedcore.agent.executor import Executor, time_limit
from seedcore.agent.naming import GENERALIST, checked_id
from seedcore.agent.registry import ToolRegistry, load as load_tools
from seedcore.agent.reporting import ReportDesk
from seedcore.agent.state import AgentState, Lifecycle, Performance
from seedcore.config.settings import Settings

if TYPE_CHECKING:
    from seedcore.capability.model import RoleProfile
    from seedcore.capability.registry import CapabilityRegistry

log = logging.getLogger(__name__)

_STILL_S = 30.0
"""How long the event loop may stand still while there is work before the agent falls silent."""
_REPLAYED = 200
"""Tasks that are taken on again when the stored state comes in; older ones have left no trace in the
moving averages."""
_HERE: WeakValueDictionary[str, RayAgent] = WeakValueDictionary()
"""Agents of this process that were started and not stopped."""


def agents_here() -> dict[str, RayAgent]:
    """Return the agents that live in this process, by id."""
    return dict(_HERE)


class RayAgent:
    """One agent.

    Args:
        agent_id: Its name, for the registry and as an actor.
        organ_id: The group of agents that it belongs to.
        specialization: What it is for; tasks may require one.
        capacity: Tasks at the same time; more wait. Default: DISPATCHER_CONCURRENCY.
        allowed_tools: Patterns of the tools that it may call, comma-separated, of those that its role
            and DEFAULT_ALLOWED_TOOLS grant. Default: all of them.
        role: The profile of its specialization. Default: as AGENT_ROLES has it.
        capabilities: Those of the snapshot that is served, for tasks that policy called for.
        settings: Default: those of the environment and the configuration files.
        tools: Default: the tools of this installation.
        actor_name: Its name on Ray; None = it lives in this process.
        on_drain: Called, in a thread of the registry's, when somebody asked this agent to drain. True =
            whoever made it will `stop` it; else it ends by itself.

    Raises:
        UsageError: An id can't be one.
        ConfigError: A plugin can't be loaded, or a pattern is none.
    """

    def __init__(
        self,
        agent_id: str,
        organ_id: str | None = None,
        *,
        specialization: str = GENERALIST,
        capacity: int | None = None,
        allowed_tools: str | None = None,
        role: RoleProfile | None = None,
        capabilities: CapabilityRegistry | None = None,
        settings: Settings | None = None,
        tools: ToolRegistry | None = None,
        actor_name: str | None = None,
        on_drain: Callable[[], bool] = lambda: False,
    ) -> None:
        from seedcore.config.loading import load

        self.agent_id = checked_id(agent_id)
        self.organ_id = None if organ_id is None else checked_id(organ_id, "organ")
        self.specialization = checked_id(specialization, "specialization").lower()
        self.settings = _on_this_node(settings or load(), actor_name)
        self.capacity = capacity or self.settings.dispatcher_concurrency
        self.actor_name = actor_name
        self.state = AgentState()
        self._executor = Executor(
            tools or load_tools(self.settings),
            self.settings,
            runs_in=RunsIn(self.agent_id, self.organ_id),
            allowed_tools=allowed_tools,
            specialization=self.specialization,
            role=role,
            capabilities=capabilities,
        )
        once = [tool for tool in self._executor.registry if tool.at_most_once]
        self._at_most_once = {
            "tools": [tool.name for tool in once],
            "types": sorted({task_type for tool in once for task_type in tool.handles}),
        }
        self._on_drain = on_drain
        self._places = asyncio.Semaphore(self.capacity)
        self._unrestored: deque[Performance] | None = deque(maxlen=_REPLAYED)
        self._changing = threading.Lock()
        self._running: dict[tuple[str, int], tuple[_Flag, asyncio.Task[Any]]] = {}
        self._threads: dict[tuple[str, int], asyncio.Future[Any]] = {}
        self._begun = 0
        self._is_ending = False
        self._is_ticking = False
        self._ticked_at = 0.0
        self._began_at = self._used_at = time.monotonic()
        self._registry: Any = None
        self._keeper: Any = None
        self._desks: Any = None

    # -- life ---------------------------------------------------------------------------------

    async def start(self) -> None:
        """Register, beat, and restore what an earlier start has learned, all in the background.

        Never waits for the database, and never fails because of it.
        """
        self.begin()

    def begin(self, serve_route: str | None = None) -> None:
        """Do what `start` does, without an event loop.

        Args:
            serve_route: Where its process answers, for the registry.
        """
        if self.agent_id in _HERE and _HERE[self.agent_id] is not self:
            log.warning(
                "Two agents of one id live in this process",
                extra={"event": "agent.twice", "agent": self.agent_id},
            )
        _HERE[self.agent_id] = self
        self._initialize_registry_reporting(serve_route)
        self._start_registry_reporting()

    def _initialize_registry_reporting(self, serve_route: str | None = None) -> None:
        """Make what reports to the registry, unless that is switched off or made already."""
        if self._registry is not None or not self.settings.enable_runtime_registry:
            return
        from seedcore.agent.keeper import StateKeeper
        from seedcore.registry.client import RegistryClient

        self._registry = RegistryClient(
            self.agent_id,
            self.actor_name,
            serve_route,
            settings=self.settings,
            may_beat=self._is_progressing,
            on_drain=self._asked_to_drain,
        )
        self._keeper = StateKeeper(
            self.settings,
            self.agent_id,
            self.organ_id,
            restore=self._restored,
            snapshot=self._snapshot,
        )

    def _start_registry_reporting(self) -> None:
        """Register and beat in the background."""
        if self._registry is not None:
            self._registry.start()
            self._keeper.start()

    async def stop(self, timeout_s: float | None = None) -> bool:
        """Drain: take no more tasks, let those that run end, say good-bye.

        Args:
            timeout_s: After so many seconds what still runs is cancelled. Default: DISPATCHER_DRAIN_S.

        Returns:
            Whether everything had ended by itself.
        """
        self._is_ending = True
        if self._registry is not None:
            self._registry.advance("draining")
        limit = self.settings.dispatcher_drain_s if timeout_s is None else timeout_s
        is_clean = await self._wait_idle(limit)
        for flag, work in list(self._running.values()):
            flag.set()
            work.cancel()
        await self._wait_idle(1.0)
        await asyncio.to_thread(self._farewell)
        if _HERE.get(self.agent_id) is self:
            del _HERE[self.agent_id]
        return is_clean

    def _tick(self) -> None:
        """Note that the event loop goes round, once a second while there is work."""
        self._ticked_at = time.monotonic()
        self._is_ticking = bool(self._begun)
        if self._is_ticking:
            asyncio.get_running_loop().call_later(1.0, self._tick)

    def _is_progressing(self) -> bool:
        """Tell whether it may beat: a tool that holds the event loop makes the agent fall silent."""
        return not self._begun or time.monotonic() - self._ticked_at < _STILL_S

    async def _wait_idle(self, limit_s: float) -> bool:
        end = time.monotonic() + limit_s
        # Polled: tasks may also end in threads of other loops, and nobody waits for this often.
        while self._begun and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return not self._begun

    def _farewell(self) -> None:
        for part in (self._keeper, self._registry, self._desks, self._executor):
            if part is not None:
                part.close()

    def _asked_to_drain(self) -> None:
        self._is_ending = True
        log.info("Asked to drain", extra={"event": "agent.draining", "agent": self.agent_id})
        if not self._on_drain():
            # Not in this thread: it is the registry client's, which the farewell ends.
            threading.Thread(target=self._end_by_itself, name="agent-end", daemon=True).start()

    def _end_by_itself(self) -> None:
        end = time.monotonic() + self.settings.dispatcher_drain_s
        while self._begun and time.monotonic() < end:
            time.sleep(0.05)
        self._farewell()
        _HERE.pop(self.agent_id, None)
        if self.actor_name is not None:
            import ray

            context: Any = ray.get_runtime_context()
            ray.kill(context.current_actor)

    # -- work ---------------------------------------------------------------------------------

    async def execute_task(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Run a task that somebody else holds, or that is in no queue.

        Args:
            document: The task, as `seedcore.agent.wire` describes it; `type` and `params` are enough.

        Returns:
            The outcome, as described there.

        Raises:
            UsageError: It is no task.
        """
        task = wire.SentTask.read(document)
        key = (task.id, task.attempts)
        if self._is_ending:
            return {"refused": "draining"}
        if key in self._running:
            return {"refused": "running"}
        flag = _Flag()
        work = asyncio.ensure_future(self._execute(task, flag))
        self._running[key] = (flag, work)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            flag.set()
            work.cancel()
            if (current := asyncio.current_task()) is not None and current.cancelling():
                raise
            return {"refused": "cancelled"}
        finally:
            del self._running[key]

    async def _execute(self, task: wire.SentTask, flag: _Flag) -> dict[str, Any]:
        limit = time_limit(task.params, self.settings) if task.limit_s is None else task.limit_s
        deadline = time.monotonic() + limit

        def left_running(thread: asyncio.Future[Any]) -> None:
            self._threads[task.id, task.attempts] = thread
            thread.add_done_callback(lambda _: self._threads.pop((task.id, task.attempts), None))

        if task.owner is None:
            outcome = await self.run(
                task,
                deadline=deadline,
                on_progress=_no_mark,
                cancelled=flag,
                left_running=left_running,
            )
            return wire.outcome_document(
                outcome, still_runs=(task.id, task.attempts) in self._threads
            )
        from seedcore.agent.leased import Desks

        if self._desks is None:
            self._desks = Desks(self.settings, f"seedcore agent {self.agent_id}")
        desk = self._desks.take(task.owner)
        settling = _Settling(task.owner)
        is_noted = False

        async def keep(records: Any) -> bool:
            nonlocal is_noted
            is_noted = True
            return await desk.mark(task.id, task.attempts, records)

        try:
            outcome = await self.run(
                task,
                deadline=deadline,
                on_progress=keep,
                cancelled=flag,
                settling=settling,
                desk=desk.reports,
                left_running=left_running,
            )
        finally:
            self._desks.put(desk)
        return wire.outcome_document(
            outcome,
            settled=settling.has_begun,
            noted=is_noted,
            still_runs=(task.id, task.attempts) in self._threads,
        )

    async def run(
        self,
        task: ClaimedTask,
        *,
        deadline: float | None = None,
        on_progress: OnProgress | None = None,
        cancelled: Flag | None = None,
        settling: Settling | None = None,
        desk: ReportDesk | None = None,
        left_running: Callable[[asyncio.Future[Any]], None] | None = None,
    ) -> Outcome:
        """Run one attempt in this process; see `Executor.run`. It waits for one of `capacity` places."""
        if deadline is None:
            deadline = time.monotonic() + time_limit(task.params, self.settings)
        self._begun += 1
        self._used_at = time.monotonic()
        if not self._is_ticking:
            self._is_ticking = True
            self._tick()
        try:
            async with self._places:
                outcome = await self._executor.run(
                    task,
                    deadline=deadline,
                    on_progress=on_progress,
                    cancelled=cancelled,
                    settling=settling,
                    desk=desk,
                    left_running=left_running,
                )
        finally:
            self._begun -= 1
            self._used_at = time.monotonic()
        self._learn(Performance.of(outcome.envelope))
        return outcome

    def cancel_task(self, task_id: str, attempts: int = 1) -> bool:
        """Stop a task that `execute_task` runs, because nobody waits for it; False = it is not here."""
        found = self._running.get((task_id, attempts))
        if found is None:
            return False
        flag, work = found
        flag.set()
        work.cancel()
        return True

    async def gone(self, task_id: str, attempts: int = 1) -> None:
        """Return when nothing of a task runs here any more that `execute_task` was asked for."""
        key = (task_id, attempts)
        while (found := self._running.get(key)) is not None:
            await asyncio.wait({found[1]})
            await asyncio.sleep(0)
        thread = self._threads.get(key)
        if thread is not None:
            await asyncio.wait({thread})

    def met(self, peers: Iterable[str]) -> None:
        """Note that a task was done together with other agents."""
        with self._changing:
            self.state.peers.update(peer for peer in peers if peer != self.agent_id)

    def learn_skills(self, deltas: Mapping[str, float]) -> None:
        """Add to what it has learned beyond its role's skills."""
        with self._changing:
            self.state.learn_skills(deltas)

    def _learn(self, task: Performance) -> None:
        with self._changing:
            self.state.learn(task)
            if self._unrestored is not None:
                self._unrestored.append(task)

    # -- what the database keeps, in the keeper's thread --------------------------------------

    def _restored(self, stored: Any, vector: list[float] | None) -> None:
        """Go on from what an earlier start has left; what was done meanwhile comes on top."""
        state = AgentState.restored(stored, vector)
        with self._changing:
            own = self.state
            processed, successful = state.tasks_processed, state.successful_tasks
            for task in self._unrestored or ():
                state.learn(task)
            state.tasks_processed = processed + own.tasks_processed
            state.successful_tasks = successful + own.successful_tasks
            state.learn_skills(own.skill_deltas)
            state.peers.update(own.peers)
            self.state, self._unrestored = state, None

    def _snapshot(self) -> dict[str, Any]:
        with self._changing:
            return {
                "organ_id": self.organ_id,
                "specialization": self.specialization,
                "capacity": self.capacity,
                "lifecycle": self.lifecycle.value,
                "load": self.load,
                "state": self.state.document(),
            }

    # -- what it tells ------------------------------------------------------------------------

    @property
    def load(self) -> float:
        """Tasks here, running or waiting for a place, as a share of its places; 1 = full."""
        return round(self._begun / self.capacity, 3)

    @property
    def lifecycle(self) -> Lifecycle:
        """Where it stands; archived while it has had nothing to do for AGENT_MAX_IDLE_S."""
        idle_s = time.monotonic() - self._used_at
        if not self._begun and idle_s > self.settings.agent_max_idle_s:
            return Lifecycle.ARCHIVED
        return self.state.rank

    @property
    def tools(self) -> frozenset[str]:
        """Names of the tools that it may call."""
        return self._executor.granted

    def tools_for(self, params: Mapping[str, Any]) -> frozenset[str]:
        """Return the names of the tools that it may call for a task."""
        return self._executor.granted_for(params)

    @property
    def threads_abandoned(self) -> int:
        """Threads whose call was given up and that have not returned yet."""
        return self._executor.threads_abandoned

    def count_calls_in(self, calls: Counter[str]) -> None:
        """Count tool calls, by outcome, together with those of other agents."""
        self._executor.calls = calls

    @property
    def is_draining(self) -> bool:
        """Whether it takes no more tasks."""
        return self._is_ending

    def ping(self) -> str:
        """Answer `pong`."""
        return "pong"

    def get_heartbeat(self) -> dict[str, Any]:
        """Return how it is doing, as JSON."""
        with self._changing:
            state = self.state
            return {
                "timestamp": datetime.now(UTC),
                "agent_id": self.agent_id,
                "organ_id": self.organ_id,
                "specialization": self.specialization,
                "state_embedding_h": list(state.h),
                "role_probs": dict(state.p),
                "performance_metrics": {
                    "success_rate": state.success_rate,
                    "quality_score": state.quality_score,
                    "capability_score_c": state.c,
                    "mem_util": state.mem_util,
                    "tasks_processed": state.tasks_processed,
                    "successful_tasks": state.successful_tasks,
                },
                "memory_metrics": {"mem_util": state.mem_util},
                "local_state": {
                    "skill_deltas": dict(state.skill_deltas),
                    "peer_interactions": dict(state.peers),
                    "recent_quality_scores": list(state.qualities),
                },
                "lifecycle": self.lifecycle.value,
                "energy_state": self.get_energy_proxy(),
                "load": self.load,
                "capacity": self.capacity,
                "tools": sorted(self.tools),
                "at_most_once": self._at_most_once,
                "draining": self.is_draining,
            }

    def get_summary_stats(self) -> dict[str, Any]:
        """Return the few numbers that a list of agents shows."""
        state = self.state
        return {
            "agent_id": self.agent_id,
            "organ": self.organ_id,
            "specialization": self.specialization,
            "lifecycle": self.lifecycle.value,
            "c": state.c,
            "mem_util": state.mem_util,
            "load": self.load,
            "capacity": self.capacity,
            "success_rate": state.success_rate,
            "quality_score": state.quality_score,
            "tasks_processed": state.tasks_processed,
            "successful_tasks": state.successful_tasks,
            "uptime_s": round(time.monotonic() - self._began_at, 3),
        }

    def get_energy_proxy(self) -> dict[str, float]:
        """Return what the energy of the whole is summed from; the entropy in nats."""
        state = self.state
        return {
            "capability": state.c,
            "entropy_contribution": state.entropy,
            "mem_util": state.mem_util,
            "state_norm": state.norm,
        }


class _Flag:
    """A flag that only goes up."""

    __slots__ = ("_up",)

    def __init__(self) -> None:
        self._up = False

    def set(self) -> None:
        self._up = True

    def is_set(self) -> bool:
        return self._up


class _Settling:
    """The lease of a task that a dispatcher holds."""

    __slots__ = ("has_begun", "owner")

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.has_begun = False

    def begun(self) -> None:
        """Note that the dispatcher must ask the database how the task ended."""
        self.has_begun = True


async def _no_mark(_: object) -> bool:
    """A task that is in no queue has no later attempt that a start mark could warn."""
    return True


def _on_this_node(settings: Settings, actor_name: str | None) -> Settings:
    """Return the settings with the node's name, of an actor on Ray."""
    if actor_name is None or settings.ray_node_id:
        return settings
    import dataclasses

    with contextlib.suppress(ImportError):
        import ray

        if ray.is_initialized():
            node = ray.get_runtime_context().get_node_id()
            return dataclasses.replace(settings, ray_node_id=node)
    return settings
