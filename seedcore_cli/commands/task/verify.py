"""`seedcore task verify`: the history checker on a live database."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedcore_cli.commands.task.columns import RULES, VIOLATIONS
from seedcore_cli.commands.task.group import app
from seedcore_cli.exit_codes import CHECK_FAILED
from seedcore_cli.options import Cli, NoLimit, Since, common
from seedcore_cli.params import parse_duration

if TYPE_CHECKING:
    from seedcore.task.verify import Scope, Violation


@app.command("verify")
@common
def verify(
    cli: Cli,
    *,
    since: Since = None,
    lapsed_after: Annotated[
        float | None,
        typer.Option(
            "--lapsed-after",
            help="A lease that has been past for so long counts; default: 5m.",
            metavar="DUR",
            parser=parse_duration,
        ),
    ] = None,
    rules: Annotated[
        bool,
        typer.Option("--rules", help="Only list the rules, and what of each can be checked here."),
    ] = False,
    limit: NoLimit = None,
) -> None:
    """Check what is recorded about tasks: attempts rise, each task ends once and by its owner.

    Reads events and tasks in one pass each, in one snapshot. How much can be checked depends on the
    database's event level: by default only ends are recorded; --rules says what that leaves out.

    Examples:
      seedcore task verify
      seedcore task verify --since 1d -o jsonl
      seedcore task verify --rules

    Exit codes: 3 something is wrong.
    """
    from seedcore.task import verify as checker

    timeout_s = cli.options.statement_timeout
    with cli.connect(statement_timeout_s=timeout_s or 0.0) as conn:
        scope = checker.scope(conn, since)
        if rules:
            rows = (
                {"rule": r.name, "checked": r.covered(scope.level), "means": r.means}
                for r in checker.RULES
            )
            cli.printer.many(rows, RULES)
            return
        wait_s = checker.LAPSED_AFTER_S if lapsed_after is None else lapsed_after
        seen: list[int] = [0]
        found = checker.verify(conn, since, lapsed_after_s=wait_s)
        cli.printer.many(_rows(found, limit, seen), VIOLATIONS)
    (total,) = seen
    cli.note(f"{total or 'no'} violation{'' if total == 1 else 's'}; {_basis(scope)}")
    if total:
        raise typer.Exit(CHECK_FAILED)


def _rows(
    found: Generator[Violation], limit: int | None, seen: list[int]
) -> Generator[dict[str, Any]]:
    """Count violations as they pass; those over the limit are only counted."""
    with contextlib.closing(found):
        for violation in found:
            seen[0] += 1
            if not limit or seen[0] <= limit:
                yield violation._asdict()


def _basis(scope: Scope) -> str:
    level = f"event level {scope.level}"
    if scope.level != "all":
        level += ", so a part of the rules (see --rules)"
    if scope.since is None:
        return f"{level}; nothing is recorded yet"
    return f"{level}; recorded since {scope.since:%Y-%m-%dT%H:%M:%SZ}"
