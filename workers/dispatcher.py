"""A queue worker on a Ray cluster: a named actor that keeps a worker process on its machine.

The worker is a process of its own, as under the supervisor: signals, leases and memory are its own, and a
tool that holds the interpreter can't keep the actor from answering. When the actor is gone, the worker's
standard input ends, and it drains. Ray makes the actor anew, on another machine if need be.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import seedcore
from seedcore.config.settings import Settings
from seedcore.errors import ConfigError, SeedcoreError, Unavailable, UsageError
from seedcore.runtime import ray_session
from seedcore.telemetry import logs
from workers.child import Child, restart_pause_s
from workers.options import Options
from workers.stop import Stop

log = logging.getLogger(__name__)

T = TypeVar("T")

CONCURRENCY = 8
"""Calls side by side: who waits for the end of a drain must not keep others from asking."""
_ERRORS = {2: UsageError, 69: Unavailable, 78: ConfigError}
_ANSWER_S = 10.0
_LAST_WORDS_S = 15.0
"""After the drain deadline: what a worker may take to write, give back and close."""
_SILENCE_LOOK_S = 5.0


class Dispatcher:
    """Keeps one worker running.

    Args:
        name: The actor's name, under which the worker registers.
        settings: The worker's.
        options: What it is asked to do.
        sets_up_logs: Whether this process is the dispatcher's own.
    """

    def __init__(
        self, name: str, settings: Settings, options: Options, *, sets_up_logs: bool = True
    ) -> None:
        self._name = name
        self._machine = socket.gethostname()
        self._node = ray_session.node_id()
        self._settings = replace(settings, ray_node_id=self._node or settings.ray_node_id)
        self._options = replace(options, name=name)
        self._folder = Path(tempfile.mkdtemp(prefix="seedcore-"))
        self._child: Child | None = None
        self._starts = 0
        self._failure: dict[str, Any] | None = None
        self._exit_code: int | None = None
        self._stop = Stop()
        self._changed = threading.Condition()
        if sets_up_logs:
            logs.configure(settings.log_level, "json")
            logs.identify(worker=name)
        self._loop = asyncio.new_event_loop()
        self._keeping = threading.Thread(target=self._serve, name=name, daemon=True)
        self._keeping.start()

    # -- what others ask ----------------------------------------------------------------------

    def ping(self) -> str:
        """Answer."""
        return "pong"

    def ready(self, timeout_s: float = 60.0) -> dict[str, Any]:
        """Wait until the worker takes on tasks, and return `about`.

        Raises:
            SeedcoreError: It can't start, for the reason that it gave; or not in time.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while self._child is None or not self._child.is_ready:
                left = deadline - time.monotonic()
                if self._failure is not None or left <= 0:
                    raise self._error(timeout_s)
                self._changed.wait(left)
        return self.about()

    def about(self) -> dict[str, Any]:
        """Return who and where it is."""
        child = self._child
        return {
            "name": self._name,
            "machine": self._machine,
            "node_id": self._node,
            "pid": None if child is None else child.pid,
            "starts": self._starts,
            "version": seedcore.__version__,
            "state": self._state(),
        }

    def status(self) -> dict[str, Any]:
        """Return what the worker says about itself, and `about`."""
        child = self._child
        said: dict[str, Any] = {}
        if child is not None and child.is_ready:
            said = self._ask(child.status())
        if "error" in said or not said:
            said["status"] = self._state()
        return {**said, **self.about()}

    def heartbeat(self) -> dict[str, Any]:
        """Return the short form for whoever asks often."""
        said = self.status()
        pool: dict[str, Any] = said.get("pool") or {}
        return {
            "status": said["status"],
            "timestamp": logs.utc_now(),
            "pool_ok": bool(pool.get("connected")),
            "router_ok": True,
            "inflight_tasks": said.get("inflight_tasks", 0),
            "last_pool_error": said.get("error"),
        }

    def get_metrics(self) -> dict[str, Any]:
        """Return the worker's counts since its start."""
        return dict(self.status().get("metrics") or {})

    def drain(self, timeout_s: float | None = None) -> dict[str, Any]:
        """End the worker for good: it finishes what it runs, at most so long, and gives back the rest.

        Args:
            timeout_s: Longest wait for its end; then it is killed and its leases lapse. Default: the drain
                time-out of the settings, and what a worker needs for its last words.

        Returns:
            drained (nothing was cut off), exit_code.
        """
        self._tell(self._begin_to_drain)
        limit = self._settings.dispatcher_drain_s + _LAST_WORDS_S
        self._keeping.join(limit if timeout_s is None else timeout_s)
        if self._keeping.is_alive():
            self._tell(self._signal, signal.SIGKILL)
            self._keeping.join(_ANSWER_S)
        return {"drained": self._exit_code == 0, "exit_code": self._exit_code}

    # -- the worker, in a thread with an event loop ---------------------------------------------

    def _serve(self) -> None:
        try:
            self._loop.run_until_complete(self._keep())
        finally:
            self._loop.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _keep(self) -> None:
        failures = 0
        while not self._stop.is_asked:
            child = self._start()
            watching = asyncio.create_task(self._watch(child))
            code = await child.run()
            watching.cancel()
            self._exit_code = code
            with self._changed:
                said: dict[str, Any] | None = child.answer.get("error")
                self._failure = {**said, "exit_code": code} if said else None
                self._changed.notify_all()
            if self._stop.is_asked:
                return
            failures = 0 if child.was_steady else failures + 1
            if code == 0:
                continue  # it has recycled itself
            pause = restart_pause_s(failures)
            log.warning(
                "The worker died and is started again",
                extra={
                    "event": "dispatcher.restart",
                    "exit_code": code,
                    "pause_s": round(pause, 3),
                    "error": said["message"] if said else None,
                },
            )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(random.uniform(pause / 2, pause)):  # noqa: S311
                    await self._stop.wait_asked()

    def _start(self) -> Child:
        self._starts += 1
        child = Child(
            1,
            self._settings,
            self._options,
            health=self._folder / f"{self._starts}.sock",
            notify=self._folder / f"{self._starts}.notify",
            changed=self._became_ready,
        )
        with self._changed:
            self._child = child
        return child

    async def _watch(self, child: Child) -> None:
        """Kill a worker that shows no sign of life."""
        while True:
            await asyncio.sleep(_SILENCE_LOOK_S)
            if child.is_silent:
                log.error("The worker shows no sign of life", extra={"event": "dispatcher.killed"})
                child.kill()

    def _became_ready(self) -> None:
        with self._changed:
            self._changed.notify_all()
        if self._stop.is_asked:
            self._signal(signal.SIGTERM)  # asked to drain before there was anything to signal

    def _begin_to_drain(self) -> None:
        self._stop.ask("asked to drain")
        self._signal(signal.SIGTERM)

    def _tell(self, what: Callable[..., None], *args: Any) -> None:
        with contextlib.suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(what, *args)

    def _signal(self, number: int) -> None:
        if self._child is not None:
            self._child.signal(number)

    def _ask(self, question: Coroutine[Any, Any, T]) -> T:
        try:
            return asyncio.run_coroutine_threadsafe(question, self._loop).result(_ANSWER_S)
        except RuntimeError as error:
            question.close()
            raise Unavailable(f"{self._name} has ended", code="runtime.gone") from error

    # -- words ---------------------------------------------------------------------------------

    def _state(self) -> str:
        if not self._keeping.is_alive():
            return "stopped"
        if self._stop.is_asked:
            return "draining"
        if self._child is not None and self._child.is_ready:
            return "healthy"
        return "starting" if self._failure is None else "failing"

    def _error(self, timeout_s: float) -> SeedcoreError:
        where = f"{self._name} on {self._machine}"
        failure = self._failure
        if failure is None:
            return Unavailable(
                f"{where} was not ready within {timeout_s:g} s", code="dispatcher.not_ready"
            )
        kind = _ERRORS.get(failure["exit_code"], SeedcoreError)
        return kind(
            f"{where} can't start: {failure['message']}",
            code=failure["code"],
            hint=failure.get("hint"),
        )
