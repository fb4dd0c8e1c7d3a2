"""Objects in this process, called as they would be on a cluster: from threads of their own."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from seedcore.errors import Unavailable, WaitTimeout
from seedcore.runtime.port import (
    READY_S,
    Factory,
    Handle,
    actor_class,
    has_coroutines,
    not_made,
)

_END_S = 1.0
"""How long to wait for the end of an object's loop; a method that holds it keeps it longer."""


class LocalRuntime:
    """Keeps objects by name for as long as the process lives; see `seedcore.runtime.port.Runtime`."""

    kind = "local"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._objects: dict[str, _Threaded | _OnLoop] = {}

    def nodes(self) -> list[str]:
        """Return the only machine."""
        return ["local"]

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
        """Return the object of a name, made by the factory where there is none."""
        kind, args, kwargs = actor_class(factory)
        # Held while the object is made: two callers must not make two.
        with self._lock:
            found = self._objects.get(name)
            if found is None:
                make = functools.partial(kind, *args, **kwargs)
                on_loop = has_coroutines(kind)
                try:
                    found = (
                        _OnLoop(name, make) if on_loop else _Threaded(name, make, concurrency or 1)
                    )
                except Exception as error:
                    raise not_made(name, f"{type(error).__name__}: {error}") from error
                self._objects[name] = found
        return Handle(name, found)

    def lookup(self, name: str) -> Handle | None:
        """Return the object of a name; None = there is none."""
        found = self._objects.get(name)
        return None if found is None else Handle(name, found)

    def list(self, prefix: str = "") -> list[str]:
        """Return the names that begin so, sorted."""
        return sorted(name for name in self._objects.copy() if name.startswith(prefix))

    def submit(self, handle: Handle, method: str, *args: Any) -> Future[Any]:
        """Begin a call and return at once."""
        try:
            return handle.where.submit(method, args)
        except Exception as error:
            failed: Future[Any] = Future()
            failed.set_exception(error)
            return failed

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
        """End an object; a method of it that runs comes to its end unheard."""
        with self._lock:
            found = self._objects.get(handle.name)
            if found is not handle.where:
                return
            del self._objects[handle.name]
        handle.where.close()


class _Threaded:
    """An object whose methods run in threads.

    Args:
        name: Its name.
        make: Makes it.
        size: Number of threads.
    """

    def __init__(self, name: str, make: Callable[[], Any], size: int) -> None:
        self._name = name
        self._object = make()
        self._threads = ThreadPoolExecutor(size, thread_name_prefix=name)

    def submit(self, method: str, args: tuple[Any, ...]) -> Future[Any]:
        """Begin a call."""
        try:
            return self._threads.submit(getattr(self._object, method), *args)
        except RuntimeError as error:
            raise _gone(self._name) from error

    def close(self) -> None:
        """Take no more calls; those that wait are cancelled."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class _OnLoop:
    """An object whose methods run on an event loop of its own.

    Args:
        name: Its name.
        make: Makes it, on the loop.
    """

    def __init__(self, name: str, make: Callable[[], Any]) -> None:
        self._name = name
        self._loop = asyncio.new_event_loop()
        self._lock = threading.Lock()
        self._is_closed = False
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()
        made: Future[Any] = Future()
        self._loop.call_soon_threadsafe(_settle, made, make)
        try:
            self._object = made.result()
        except BaseException:
            self.close()
            raise

    def submit(self, method: str, args: tuple[Any, ...]) -> Future[Any]:
        """Begin a call."""
        function = getattr(self._object, method)
        answer: Future[Any] = Future()
        with self._lock:
            if self._is_closed:
                raise _gone(self._name)
            self._loop.call_soon_threadsafe(self._start, function, args, answer)
        return answer

    def close(self) -> None:
        """End the loop, and what runs on it."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            # Whatever was submitted before is begun before, so that it learns of the end.
            self._loop.call_soon_threadsafe(self._loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join(_END_S)

    def _serve(self) -> None:
        self._loop.run_forever()
        self._loop.run_until_complete(_cancel_others())
        self._loop.close()

    def _start(
        self, function: Callable[..., Any], args: tuple[Any, ...], answer: Future[Any]
    ) -> None:
        if not answer.set_running_or_notify_cancel():
            return

        async def run() -> Any:
            value = function(*args)
            return await value if inspect.isawaitable(value) else value

        def ended(task: asyncio.Task[Any]) -> None:
            if task.cancelled():
                answer.set_exception(_gone(self._name))
            elif (error := task.exception()) is not None:
                answer.set_exception(error)
            else:
                answer.set_result(task.result())

        self._loop.create_task(run()).add_done_callback(ended)


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _settle(future: Future[Any], make: Callable[[], Any]) -> None:
    try:
        future.set_result(make())
    except BaseException as error:  # handed to the caller, whatever it is
        future.set_exception(error)


def _gone(name: str) -> Unavailable:
    return Unavailable(f"{name} is gone", code="runtime.gone")


_process = LocalRuntime()


def process_runtime() -> LocalRuntime:
    """Return the runtime of this process; everybody in it shares its objects."""
    return _process
