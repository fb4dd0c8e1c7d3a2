"""What a runtime is, wherever its objects live."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from seedcore.errors import SeedcoreError

Factory = Callable[[], Any]
"""A class, or a `functools.partial` of one: what an actor can be made of on another machine."""

READY_S = 60.0
"""How long a new object may take until it can be called."""


@dataclass(frozen=True, slots=True)
class Handle:
    """An object of a runtime.

    Attributes:
        name: Its name.
        where: What the runtime itself calls it by.
    """

    name: str
    where: Any = field(repr=False, compare=False)


class Runtime(Protocol):
    """Keeps objects by name, and calls them.

    The methods of an object run one after the other, unless it was made with a concurrency. If one of
    them is a coroutine function, all of them run on one event loop, the coroutines side by side.

    All methods may be called from any thread. They wait, so they don't belong on an event loop; there
    is `submit` for it.
    """

    @property
    def kind(self) -> str:
        """`local` or `ray`."""
        ...

    def nodes(self) -> list[str]:
        """Return the ids of the machines that live; of one process only `local`."""
        ...

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
        """Return the object of a name; where there is none, make it and wait until it is ready.

        Args:
            name: Unique in the runtime.
            factory: Makes the object, there where it will live.
            cpus: Processors that it reserves; without meaning in one process.
            concurrency: How many of its calls may run side by side. Default: one, and any number of
                coroutines.
            owned: It ends with this process. Otherwise it outlives it, and is made anew, by the same
                factory and without its memory, when it dies with its process or machine.
            node: Id of the cluster's machine where it is made; Unavailable when that is gone.
            timeout_s: Longest wait.

        Raises:
            TypeError: The factory is neither a class nor a partial of one.
            WaitTimeout: It is not ready in time.
            Unavailable: The runtime can't be reached.
            SeedcoreError: The factory raised; `runtime.not_made`, with its class and words.
        """
        ...

    def lookup(self, name: str) -> Handle | None:
        """Return the object of a name; None = there is none."""
        ...

    def list(self, prefix: str = "") -> list[str]:
        """Return the names that begin so, sorted."""
        ...

    def submit(self, handle: Handle, method: str, *args: Any) -> Future[Any]:
        """Begin a call and return at once.

        The future raises what `call` raises. On an event loop: `asyncio.wrap_future`.
        """
        ...

    def call(self, handle: Handle, method: str, *args: Any, timeout_s: float | None = None) -> Any:
        """Call a method and return what it returns.

        Raises:
            WaitTimeout: It has not returned in time; it goes on.
            Unavailable: The object is gone, or its machine; whether the method ran is not known.
            AttributeError: It has no such method.
            Exception: Whatever the method raises.
        """
        ...

    def kill(self, handle: Handle) -> None:
        """End an object at once, and for good; nothing when it is gone."""
        ...


def actor_class(factory: Factory) -> tuple[type[Any], tuple[Any, ...], dict[str, Any]]:
    """Take a factory apart into class and arguments.

    Raises:
        TypeError: It is something else.
    """
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    made: Any = factory
    if isinstance(made, functools.partial):
        args, kwargs = made.args, made.keywords
        made = cast("Any", made.func)
    if not inspect.isclass(made):
        raise TypeError(
            f"the factory of an object is a class or a functools.partial of one, not {factory!r}"
        )
    return made, args, kwargs


def not_made(name: str, error: str) -> SeedcoreError:
    """Return what a caller is told whose object can't be made."""
    return SeedcoreError(f"{name} can't be made: {error}", code="runtime.not_made")


def has_coroutines(kind: type[Any]) -> bool:
    """Tell whether an object's methods run on an event loop."""
    return any(
        inspect.iscoroutinefunction(inspect.getattr_static(kind, name, None)) for name in dir(kind)
    )
