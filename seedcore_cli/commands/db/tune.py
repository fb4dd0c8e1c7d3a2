"""Optional indexes, storage and durability, in profiles."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedcore_cli.commands.db.group import app
from seedcore_cli.options import Cli, DryRun, Yes, common
from seedcore_cli.output import Column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from seedcore.db.tuning import Change

TUNE = (
    Column("object", id=True),
    Column("kind", wide=True),
    Column("before"),
    Column("after"),
    Column("changed", colors={"true": "yellow"}),
    Column("trade"),
    Column("seconds", align="right", format=lambda s: f"{s:.2f}"),
)


class OnOff(StrEnum):
    """Whether commits wait for the disk."""

    ON = "on"
    OFF = "off"


@app.command("tune")
@common
def tune(
    cli: Cli,
    name: Annotated[str, typer.Argument(help="The profile: default, throughput or search.")],
    *,
    synchronous_commit: Annotated[
        OnOff | None,
        typer.Option(
            "--synchronous-commit",
            help="Also change whether commits of this database wait for the disk. No profile does: off "
            "is faster and lets a crash of the server take back the last moments.",
            case_sensitive=False,
        ),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Build or drop the optional indexes of the queue and set its storage parameters.

    default is what the revisions make. throughput drops what only searches need. search adds indexes
    for lists by type, domain and failure. Each line says what the choice gives and takes. Readers and
    writers go on meanwhile; interrupted, run it again. 'seedcore migrate check' knows the profile.

    Examples:
      seedcore db tune throughput --dry-run
      seedcore db tune default

    Exit codes: 9 a migration or another tuning is running; 10 --synchronous-commit off without --yes;
    78 the role lacks a right, and nothing was changed.
    """
    from seedcore.db import tuning

    cli.connect().close()  # says what a database lacks that is not migrated

    def confirm(changes: list[Change]) -> None:
        if any(
            c.object == "synchronous_commit" and c.changed and c.after == "off" for c in changes
        ):
            summary = "let a crash of the server lose the last commits (synchronous_commit off)"
            cli.confirm(level=1, summary=summary, yes=yes)

    changes = tuning.tune(
        cli.settings,
        name,
        actor=cli.actor,
        dry_run=dry_run,
        synchronous_commit=None if synchronous_commit is None else synchronous_commit is OnOff.ON,
        confirm=confirm,
    )
    counts = {True: 0, False: 0}
    cli.printer.stream(_rows(changes, counts, dry_run=dry_run), TUNE)
    if dry_run:
        cli.note(f"{counts[True]} would change")
    elif counts[True]:
        cli.note(f"changed {counts[True]}, now the profile {name}")
        cli.hint("seedcore migrate check --only drift,acceptance")
    else:
        cli.note("unchanged")


def _rows(
    changes: Iterable[Change], counts: dict[bool, int], *, dry_run: bool
) -> Iterator[dict[str, Any]]:
    for change in changes:
        counts[change.changed] += 1
        yield change.row() | ({"dry_run": True} if dry_run else {})
