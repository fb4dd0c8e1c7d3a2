"""`seedcore task redrive`: failed tasks back into the queue."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedcore.errors import Conflict, NotFound, PartialFailure, UsageError
from seedcore_cli.commands.task.group import app
from seedcore_cli.commands.task.selectors import Conditions, selectors
from seedcore_cli.humanize import count_of, moment
from seedcore_cli.options import Cli, DryRun, NoLimit, Reason, Yes, common
from seedcore_cli.output import Column
from seedcore_cli.params import parse_duration

if TYPE_CHECKING:
    from seedcore.task.redrive import Candidate

GROUPS = (
    Column("error"),
    Column("count", align="right"),
    Column("redriven", align="right"),
    Column("types", format=", ".join),
    Column("oldest", format=moment, wide=True),
    Column("newest", format=moment),
    Column("example", id=True),
)
_SHOWN_BEFORE_ASKING = 10
_PER_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


def parse_rate(text: str) -> float:
    """Return tasks per second from `50/s`, `300/m`, `10/h` or a plain number.

    Raises:
        ValueError: It isn't a rate above zero.
    """
    number, slash, unit = text.strip().partition("/")
    try:
        rate = float(number) / _PER_S[unit if slash else "s"]
    except (KeyError, ValueError):
        rate = 0.0
    if not 0.0 < rate < 1e6:
        raise ValueError(f"{text!r} is not a rate above zero; write 50/s, 300/m or 10/h.")
    return rate


@app.command("redrive")
@common
@selectors
def redrive(
    cli: Cli,
    *,
    chosen: Conditions,
    error: Annotated[
        str | None,
        typer.Option(
            "--error", help="Part of the error, or a whole line of the preview.", metavar="TEXT"
        ),
    ] = None,
    limit: NoLimit = None,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            help="Due one after another, so many in a second (50/s), minute (300/m) or hour.",
            metavar="N/s",
            parser=parse_rate,
        ),
    ] = None,
    over: Annotated[
        float | None,
        typer.Option(
            "--over", help="Spread evenly over so long.", metavar="DUR", parser=parse_duration
        ),
    ] = None,
    in_: Annotated[
        float,
        typer.Option(
            "--in",
            help="The first not before so long from now.",
            metavar="DUR",
            parser=parse_duration,
        ),
    ] = 0.0,
    attempts: Annotated[
        int,
        typer.Option("--attempts", help="How many more attempts.", metavar="N", min=1, max=32767),
    ] = 3,
    reason: Reason = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Queue failed tasks again, after a look at what they failed of.

    With --dry-run it groups them by error, ids and numbers folded, and changes nothing. Oldest first, a
    thousand in a transaction; --rate or --over keep a hundred thousand from becoming due at once.
    Without --status only failed tasks; --status failed,cancelled takes cancelled ones along.

    Examples:
      seedcore task redrive --dry-run
      seedcore task redrive --error 'connection refused' --rate 50/s --reason "service is back"
      seedcore task redrive --since 1d --type action --over 2h --limit 10000 --yes

    Exit codes: 4 there is none to redrive; 5, 7 all or some stay, because their key has a live task
    or one that they wait for has failed; 10 not confirmed.
    """
    from seedcore.task.model import TaskStatus
    from seedcore.task.redrive import Pace, choose, preview, redrive as move

    if rate is not None and over is not None:
        raise UsageError("--rate and --over exclude each other")
    with cli.connect() as conn:
        selection = chosen.selection(
            limit=limit or 0, sort="created_at", default_statuses=(TaskStatus.FAILED,)
        )
        found = choose(conn, selection, error=error)
        if not found:
            states = " or ".join(selection.statuses)
            raise NotFound(
                f"nothing to redrive: no {states} task matches",
                code="task.nothing_to_redrive",
                hint="seedcore task stats",
            )
        rows = preview(found)
        if dry_run:
            shown = [row | {"redriven": None, "dry_run": True} for row in rows]
            cli.printer.many(shown, GROUPS)
            cli.note(f"would redrive {_sum(found, rows)}; nothing was changed")
            return
        if cli.interactive and not yes:
            for row in rows[:_SHOWN_BEFORE_ASKING]:
                cli.note(f"{row['count']:>8}  {row['error']}")
            if len(rows) > _SHOWN_BEFORE_ASKING:
                cli.note(f"          and {len(rows) - _SHOWN_BEFORE_ASKING} other errors")
        cli.confirm(level=1, summary=f"redrive {_sum(found, rows)}", yes=yes)
        gap = 1 / rate if rate else (over or 0.0) / len(found)
        pace = Pace(delay_s=in_, gap_s=gap)
        moved: Counter[str] = Counter()
        try:
            for chunk in move(
                conn, found, actor=cli.actor, reason=reason, attempts=attempts, pace=pace
            ):
                moved.update(candidate.error for candidate in chunk)
        except BaseException:
            cli.note(f"stopped; {count_of(moved.total())} of {len(found)} redriven before that")
            raise
    cli.printer.many([row | {"redriven": moved[row["error"]]} for row in rows], GROUPS)
    _conclude(cli, found, moved.total(), gap_s=gap)


def _sum(found: list[Candidate], rows: list[dict[str, Any]]) -> str:
    return f"{count_of(len(found))} with {count_of(len(rows), 'kind')} of error"


def _conclude(cli: Cli, found: list[Candidate], moved: int, *, gap_s: float) -> None:
    left = len(found) - moved
    if left:
        kind = PartialFailure if moved else Conflict
        raise kind(
            f"{left} of {count_of(len(found))} stay as they were: their key has a live task, or a task "
            "that they wait for has failed",
            code="task.wrong_state",
            hint="--status failed,cancelled redrives tasks together with what they wait for",
            details={"redriven": moved, "left": left},
        )
    spread = f", due within {gap_s * moved:.0f} s" if gap_s else ""
    cli.note(f"redriven {count_of(moved)}{spread}")
    cli.hint("seedcore task stats")
