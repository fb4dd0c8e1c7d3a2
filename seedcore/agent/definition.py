"""What a tool is: a function, a name, a schema for its arguments and a few promises about it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, ParamSpec, TypeVar

from seedcore.agent.arguments import Arguments
from seedcore.agent.docstring import first_paragraph

P = ParamSpec("P")
R = TypeVar("R")

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
NAME_MAX = 120


@dataclass(frozen=True, eq=False)
class Tool(Generic[P, R]):
    """A function that tasks may call by name; calling the tool itself calls the plain function.

    Attributes:
        name: Dotted lower-case name, such as `billing.charge`.
        function: The function as its author wrote it.
        arguments: Checks a call's arguments and knows their JSON Schema.
        description: First paragraph of the function's docstring.
        origin: `file:line` of the definition.
        timeout_s: Seconds that one call may take; None = whatever the task has left.
        at_most_once: A call that may have happened is never made again.
        handles: Task types that this tool serves without `tool_calls`.
        override: Whether it may take the place of another tool of the same name or type.
        is_async: Whether the function is a coroutine function.
    """

    name: str
    function: Callable[P, R]
    arguments: Arguments = field(repr=False)
    description: str = field(repr=False)
    origin: str
    timeout_s: float | None
    at_most_once: bool
    handles: tuple[str, ...]
    override: bool
    is_async: bool

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the plain function, unchecked: for tests and for use from other code."""
        return self.function(*args, **kwargs)

    @property
    def idempotent(self) -> bool:
        """Whether a call whose outcome is unknown may simply be made again."""
        return not self.at_most_once

    @property
    def schema(self) -> dict[str, Any]:
        """JSON Schema of the arguments object."""
        return self.arguments.schema

    def describe(self) -> dict[str, Any]:
        """Return what `tool show` and listings tell about it, ready for JSON."""
        return {
            "name": self.name,
            "description": self.description,
            "origin": self.origin,
            "idempotent": self.idempotent,
            "at_most_once": self.at_most_once,
            "timeout_s": self.timeout_s,
            "handles": list(self.handles),
            "is_async": self.is_async,
            "override": self.override,
            "schema": self.schema,
        }


def tool(
    name: str,
    *,
    timeout_s: float | None = None,
    idempotent: bool | None = None,
    at_most_once: bool | None = None,
    handles: Sequence[str] = (),
    override: bool = False,
) -> Callable[[Callable[P, R]], Tool[P, R]]:
    """Make a function a tool.

    Args:
        name: Dotted lower-case name by which tasks call it, such as `billing.charge`.
        timeout_s: Seconds that one call may take. Default: whatever the task has left.
        idempotent: False is another way to write `at_most_once=True`.
        at_most_once: True promises that a call which may have happened is never made again: a
            start mark is stored before the call, and a lost attempt or a time-out ends the task
            with `outcome_unknown`. Default: at least once, with `ctx.idempotency_key` to make a
            second call harmless.
        handles: Task types that this tool serves when a task names no `tool_calls`; the task's
            `params.args` are its arguments.
        override: True lets it replace a tool of the same name from elsewhere.

    Raises:
        TypeError: The function's parameters can't be described by a schema.
        ValueError: The name or an option can't be used.
    """
    _check_name(name)
    if timeout_s is not None and not timeout_s > 0:
        raise ValueError(f"tool {name!r}: timeout_s must be more than 0, not {timeout_s!r}")
    if isinstance(handles, str) or not all(task_type.strip() for task_type in handles):
        raise ValueError(f"tool {name!r}: handles is a list of task types, such as ['charge']")
    once = _at_most_once(name, idempotent, at_most_once)

    def decorate(function: Callable[P, R]) -> Tool[P, R]:
        if not inspect.isfunction(function):
            raise TypeError(f"tool {name!r}: @tool decorates a function, not {function!r}")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"tool {name!r}: a generator returns no value; return a list instead")
        made = Tool(
            name=name,
            function=function,
            arguments=Arguments.of(name, function, _local_names()),
            description=first_paragraph(function.__doc__),
            origin=f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}",
            timeout_s=float(timeout_s) if timeout_s is not None else None,
            at_most_once=once,
            handles=tuple(handles),
            override=override,
            is_async=inspect.iscoroutinefunction(function),
        )
        made.__dict__.update(__doc__=function.__doc__, __wrapped__=function)  # for help()
        return made

    return decorate


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > NAME_MAX:
        raise ValueError(
            f"tool name {name!r} is not dotted lower-case words such as 'billing.charge'"
            f" (letters, digits and _, at most {NAME_MAX} characters)"
        )


def _local_names() -> dict[str, Any]:
    """Return the names around the decorated function, for hints that name a local class."""
    frame = inspect.currentframe()
    for _ in range(2):
        frame = frame.f_back if frame is not None else None
    return dict(frame.f_locals) if frame is not None else {}


def _at_most_once(name: str, idempotent: bool | None, at_most_once: bool | None) -> bool:
    if idempotent is not None and at_most_once is not None and idempotent == at_most_once:
        raise ValueError(
            f"tool {name!r}: idempotent={idempotent} contradicts at_most_once={at_most_once};"
            " give one of the two"
        )
    if at_most_once is not None:
        return at_most_once
    return idempotent is False
