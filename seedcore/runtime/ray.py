"""Objects as named actors of a Ray cluster."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import Any

from seedcore.errors import SeedcoreError, Unavailable, WaitTimeout
from seedcore.runtime import ray_session
from seedcore.runtime.port import (
    READY_S,
    Factory,
    Handle,
    actor_class,
    has_coroutines,
    not_made,
)

_SIDE_BY_SIDE = 1000
"""Coroutines of one actor; Ray's own default."""
_FORGOTTEN_S = 5.0
"""How long the cluster may take to note that an actor was ended."""


class RayRuntime:
    """Keeps objects as actors; see `seedcore.runtime.port.Runtime`.

    Args:
        namespace: Where their names are unique.
    """

    kind = "ray"

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._ray: Any = ray_session.installed()

    def nodes(self) -> list[str]:
        """Return the ids of the machines that live, sorted."""
        with _translating("the cluster"):
            return sorted(node["NodeID"] for node in self._ray.nodes() if node["Alive"])

    def get_or_create(
        self,
        name: str,
        factory: Factory,
        cpus: float = 0.0,
        *,
        concurrency: int | None = None,
        owned: bool = False,
        node: str | None = None,
        timeout_s: float = READY_S,
    ) -> Handle:
        """Return the actor of a name; where there is none, make it and wait until it is ready."""
        found = self.lookup(name)
        if found is not None:
            return found  # it may be busy, which is nobody's fault
        kind, args, kwargs = actor_class(factory)
        options: dict[str, Any] = {
            "name": name,
            "namespace": self._namespace,
            "get_if_exists": True,
            "num_cpus": cpus,
            "max_concurrency": concurrency or (_SIDE_BY_SIDE if has_coroutines(kind) else 1),
            "max_restarts": 0 if owned else -1,
            # What may run twice is for the database to say.
            "max_task_retries": 0,
            "lifetime": None if owned else "detached",
        }
        if node is not None:
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=False)
        elif not owned:
            # What is to survive a machine is of little use with all of it on one.
            options["scheduling_strategy"] = "SPREAD"
        if owned:
            del options["lifetime"]  # Ray knows no word for the default
        with _translating(name):
            actor = self._ray.remote(kind).options(**options).remote(*args, **kwargs)
            handle = Handle(name, actor)
        self._wait_ready(handle, cpus, timeout_s)
        return handle

    def _wait_ready(self, handle: Handle, cpus: float, timeout_s: float) -> None:
        try:
            self.call(handle, "__ray_ready__", timeout_s=timeout_s)
        except WaitTimeout as error:
            self.kill(handle)
            raise WaitTimeout(
                f"{handle.name} was not ready within {timeout_s:g} s; no machine of the cluster may"
                f" have {cpus:g} CPUs free",
                code="runtime.not_placed",
                hint="'ray status' on the head node shows what is taken",
            ) from error

    def lookup(self, name: str) -> Handle | None:
        """Return the actor of a name; None = there is none."""
        with _translating(name):
            try:
                return Handle(name, self._ray.get_actor(name, self._namespace))
            except ValueError:
                return None

    def list(self, prefix: str = "") -> list[str]:
        """Return the names that begin so, sorted."""
        with _translating("the cluster"):
            found: list[dict[str, str]] = self._ray.util.list_named_actors(all_namespaces=True)
        return sorted(
            one["name"]
            for one in found
            if one["namespace"] == self._namespace and one["name"].startswith(prefix)
        )

    def submit(self, handle: Handle, method: str, *args: Any) -> Future[Any]:
        """Begin a call and return at once."""
        answer: Future[Any] = Future()
        try:
            asked: Future[Any] = getattr(handle.where, method).remote(*args).future()
        except AttributeError as error:
            answer.set_exception(error)
            return answer
        except Exception as error:
            answer.set_exception(_translated(handle.name, error))
            return answer
        asked.add_done_callback(lambda ended: _pass_on(handle.name, ended, answer))
        return answer

    def call(self, handle: Handle, method: str, *args: Any, timeout_s: float | None = None) -> Any:
        """Call a method and return what it returns."""
        called = self.submit(handle, method, *args)
        try:
            return called.result(timeout_s)
        except TimeoutError:
            if called.done():
                raise  # the method's own
            raise WaitTimeout(
                f"{handle.name}.{method} did not answer within {timeout_s:g} s",
                code="runtime.timeout",
            ) from None

    def kill(self, handle: Handle) -> None:
        """End an actor at once; it is not made anew."""
        with _translating(handle.name):
            try:
                self._ray.kill(handle.where, no_restart=True)
            except ValueError:
                return  # nothing there that could be ended
        # Its name is free when the cluster has taken note of its end.
        until = time.monotonic() + _FORGOTTEN_S
        while self.lookup(handle.name) is not None and time.monotonic() < until:
            time.sleep(0.01)


class _translating:  # noqa: N801 - a context manager, used like a function
    """Says errors of Ray in our words."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, (SeedcoreError, TypeError)):
            translated = _translated(self._name, error)
            if translated is not error:
                raise translated from error


def _pass_on(name: str, ended: Future[Any], answer: Future[Any]) -> None:
    """Hand the end of a call to whoever waits for it, if anybody does."""
    if not answer.set_running_or_notify_cancel():
        return
    error = ended.exception()
    if error is None:
        answer.set_result(ended.result())
    elif isinstance(error, Exception):
        answer.set_exception(_translated(name, error))
    else:
        answer.set_exception(error)


def _translated(name: str, error: Exception) -> Exception:
    """Return what an error means to a caller: the method's own error, or that the object is gone."""
    from ray import exceptions

    if isinstance(error, exceptions.TaskCancelledError):
        return Unavailable(f"{name}: the call was cancelled", code="runtime.gone")
    if isinstance(error, exceptions.RayTaskError):
        cause: Any = getattr(error, "cause", None)
        return cause if isinstance(cause, Exception) else error
    if isinstance(error, exceptions.RayActorError) and error.actor_init_failed:
        return not_made(name, _last_line(error))
    if isinstance(error, exceptions.RayError):
        return Unavailable(f"{name} is gone: {_first_line(error)}", code="runtime.gone")
    return error


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")


def _last_line(error: Exception) -> str:
    """Return the last line of a traceback in a text: class and message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
