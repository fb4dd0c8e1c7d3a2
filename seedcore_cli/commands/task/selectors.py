"""The conditions that choose tasks, the same on every command that takes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from seedcore.errors import UsageError
from seedcore_cli.options import Since, Until
from seedcore_cli.params import parse_pairs

if TYPE_CHECKING:
    from uuid import UUID

    from seedcore.task.model import Selection, TaskStatus

Statuses = Annotated[
    list[str] | None,
    typer.Option(
        "--status", help="State; repeat for several, or 'live' / 'final'.", metavar="STATE"
    ),
]
Types = Annotated[
    list[str] | None, typer.Option("--type", help="Type; repeat for several.", metavar="TYPE")
]
Domains = Annotated[
    list[str] | None, typer.Option("--domain", help="Domain; repeat for several.", metavar="NAME")
]
Owner = Annotated[
    str | None, typer.Option("--owner", help="Owner of the lease, or the worker.", metavar="NAME")
]
Stale = Annotated[bool, typer.Option("--stale", help="Running, with a lease that is past.")]
Due = Annotated[bool, typer.Option("--due", help="Could be claimed now.")]
Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        help="A value in params by its dotted path; repeat for more.",
        metavar="PATH=VALUE",
    ),
]
Search = Annotated[
    str | None, typer.Option("--search", help="Part of the description.", metavar="TEXT")
]

_OPTIONS: dict[str, tuple[Any, Any]] = {
    "status": (Statuses, None),
    "type_": (Types, None),
    "domain": (Domains, None),
    "owner": (Owner, None),
    "since": (Since, None),
    "until": (Until, None),
    "stale": (Stale, False),
    "due": (Due, False),
    "filter_": (Filters, None),
    "search": (Search, None),
}


class Conditions:
    """The conditions given on one command line."""

    def __init__(self, **given: Any) -> None:
        self._given = given

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return any(value not in (None, False, [], ()) for value in self._given.values())

    def selection(
        self,
        *,
        limit: int,
        sort: str | None = None,
        ids: tuple[UUID, ...] = (),
        default_statuses: tuple[TaskStatus, ...] = (),
    ) -> Selection:
        """Return them as the service takes them.

        Args:
            limit: At most so many; 0 = all.
            sort: Field, with `:desc` to turn it.
            ids: Only these.
            default_statuses: States when no `--status` is given.

        Raises:
            UsageError: There is no such state, or a filter has no `=`.
        """
        from seedcore.task.model import Selection

        given = self._given
        return Selection(
            ids=ids,
            statuses=read_statuses(given["status"]) or default_statuses,
            types=tuple(given["type_"] or ()),
            domains=tuple(given["domain"] or ()),
            owner=given["owner"],
            since=given["since"],
            until=given["until"],
            stale=given["stale"],
            due=given["due"],
            params=tuple(parse_pairs(given["filter_"] or []).items()),
            search=given["search"],
            limit=limit,
            **({"sort": sort} if sort else {}),
        )


def selectors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the conditions; it receives them as `chosen`. Stands below `@common`."""
    hints = get_type_hints(function, include_extras=True)
    own = [p for p in inspect.signature(function).parameters.values() if p.name != "chosen"]
    own = [p.replace(annotation=hints.get(p.name, p.annotation)) for p in own]
    taken = {p.name for p in own}
    more = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
        )
        for name, (annotation, default) in _OPTIONS.items()
        if name not in taken
    ]

    def command(*args: Any, **values: Any) -> Any:
        given = {name: values.pop(name) for name in _OPTIONS if name not in taken}
        rest = {name: default for name, (_, default) in _OPTIONS.items() if name in taken}
        return function(*args, chosen=Conditions(**given, **rest), **values)

    described: Any = command
    described.__signature__ = inspect.Signature([*own, *more])
    described.__annotations__ = {p.name: p.annotation for p in (*own, *more)}
    described.__doc__ = function.__doc__
    described.__name__ = function.__name__
    return command


def read_statuses(words: list[str] | None) -> tuple[TaskStatus, ...]:
    """Return the states that `--status` names; `live` and `final` stand for several.

    Raises:
        UsageError: There is no such state.
    """
    from seedcore.task.model import FINAL, LIVE, TaskStatus

    groups = {"live": LIVE, "final": FINAL}
    found: list[TaskStatus] = []
    for word in ",".join(words).split(",") if words else []:
        name = word.strip().lower()
        if name in groups:
            found += sorted(groups[name])
        elif name in tuple(TaskStatus):
            found.append(TaskStatus(name))
        else:
            raise UsageError(
                f"there is no state {word!r}", hint=f"states: {', '.join(TaskStatus)}, live, final"
            )
    return tuple(dict.fromkeys(found))
