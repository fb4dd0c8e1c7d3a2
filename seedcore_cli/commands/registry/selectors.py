"""Options that choose instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from seedcore.errors import UsageError
from seedcore_cli.params import parse_duration

if TYPE_CHECKING:
    from seedcore.registry.model import InstanceStatus

Statuses = Annotated[
    list[str] | None,
    typer.Option(
        "--status", metavar="STATUS", help="Only in this status; repeat it, or use commas."
    ),
]
LogicalId = Annotated[
    str | None, typer.Option("--logical-id", metavar="L", help="Only with this logical id.")
]
Node = Annotated[str | None, typer.Option("--node", metavar="NODE", help="Only on this machine.")]
AllEpochs = Annotated[
    bool, typer.Option("--all-epochs", help="Also those of epochs that are over.")
]
StaleAfter = Annotated[
    float | None,
    typer.Option(
        "--stale-after",
        metavar="DUR",
        help="Only those that have been silent for longer.",
        parser=parse_duration,
    ),
]


def statuses(given: list[str] | None) -> list[InstanceStatus] | None:
    """Return the statuses that the option names, or None when it was not given.

    Raises:
        UsageError: There is no such status.
    """
    from seedcore.registry.model import InstanceStatus

    words = [word.strip().lower() for text in given or () for word in text.split(",")]
    try:
        return [InstanceStatus(word) for word in words if word] or None
    except ValueError:
        wrong = next(word for word in words if word not in set(InstanceStatus))
        raise UsageError(
            f'"{wrong}" is no status of an instance',
            code="registry.bad_status",
            hint=f"one of {', '.join(InstanceStatus)}",
        ) from None
