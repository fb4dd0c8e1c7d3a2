"""Change tasks by hand: cancel, retry, release, requeue-stale."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedcore.errors import Conflict, PartialFailure, UsageError
from seedcore_cli.commands.task.columns import CHANGED, STALE
from seedcore_cli.commands.task.group import app
from seedcore_cli.commands.task.selectors import Conditions, Types, selectors
from seedcore_cli.humanize import count_of
from seedcore_cli.options import Cli, DryRun, NoLimit, Reason, Yes, common
from seedcore_cli.params import parse_duration

if TYPE_CHECKING:
    from uuid import UUID

    from seedcore.task.model import TaskStatus

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids, or unique beginnings.")]

_CHUNK = 5000
_STALE_AT_ONCE = 100_000


@dataclass(frozen=True)
class _Deed:
    """One kind of change.

    Args:
        verb: What it does, for questions.
        done: What has been done, for notes.
        from_statuses: What conditions choose from when no `--status` is given.
        goal: Where a task is that was changed already; asking again is no error.
        act: What does it: takes a connection, ids, actor, reason, dry_run.
    """

    verb: str
    done: str
    from_statuses: tuple[TaskStatus, ...]
    goal: tuple[TaskStatus, ...]
    act: Callable[..., list[dict[str, Any]]]


@app.command("cancel")
@common
@selectors
def cancel(
    cli: Cli,
    ids: Ids = None,
    *,
    chosen: Conditions,
    limit: NoLimit = None,
    reason: Reason = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """End unfinished tasks at once.

    A running task is cancelled in the database; its worker stops at the next renewal and its late
    result is discarded. What waits for a cancelled task is cancelled with it.

    Examples:
      seedcore task cancel 0198c7a12b3c --reason "sent twice"
      seedcore task cancel --type action --since 1h --dry-run

    Exit codes: 4 no such task; 5 it has ended already; 7 some of several had; 10 not confirmed.
    """
    from seedcore.task import service
    from seedcore.task.model import LIVE, TaskStatus

    deed = _Deed("cancel", "cancelled", tuple(LIVE), (TaskStatus.CANCELLED,), service.cancel)
    _change(cli, deed, ids, chosen, limit=limit, reason=reason, yes=yes, dry_run=dry_run)


@app.command("retry")
@common
@selectors
def retry(
    cli: Cli,
    ids: Ids = None,
    *,
    chosen: Conditions,
    limit: NoLimit = None,
    attempts: Annotated[
        int, typer.Option("--attempts", help="How many more attempts.", metavar="N", min=1)
    ] = 3,
    in_: Annotated[
        float,
        typer.Option(
            "--in", help="Not before so long from now.", metavar="DUR", parser=parse_duration
        ),
    ] = 0.0,
    reason: Reason = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Queue failed and cancelled tasks again; a task that waits for its retry becomes due.

    Examples:
      seedcore task retry 0198c7a12b3c --reason "encoder is back"
      seedcore task retry --status failed --since 1h --yes

    Exit codes: 4 no such task; 5 it is in no such state; 7 some of several were not; 10 not confirmed.
    """
    from seedcore.task import service
    from seedcore.task.model import TaskStatus

    def act(conn: Any, targets: list[UUID], **options: Any) -> list[dict[str, Any]]:
        return service.retry(conn, targets, attempts=attempts, delay_s=in_, **options)

    stopped = (TaskStatus.FAILED, TaskStatus.CANCELLED)
    deed = _Deed("retry", "queued", stopped, (TaskStatus.QUEUED,), act)
    _change(cli, deed, ids, chosen, limit=limit, reason=reason, yes=yes, dry_run=dry_run)


@app.command("release")
@common
@selectors
def release(
    cli: Cli,
    ids: Ids = None,
    *,
    chosen: Conditions,
    limit: NoLimit = None,
    reason: Reason = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Let held tasks run: those submitted with --hold.

    A task that also waits for another one goes on waiting for that.

    Example: seedcore task release 0198c7a12b3c

    Exit codes: 4 no such task; 5 it has run already; 7 some of several had; 10 not confirmed.
    """
    from seedcore.task import service
    from seedcore.task.model import TaskStatus

    held = (TaskStatus.CREATED,)
    goal = (TaskStatus.QUEUED, TaskStatus.CREATED)
    deed = _Deed("release", "released", held, goal, service.release)
    _change(cli, deed, ids, chosen, limit=limit, reason=reason, yes=yes, dry_run=dry_run)


@app.command("requeue-stale")
@common
def requeue_stale(
    cli: Cli,
    ids: Ids = None,
    *,
    older_than: Annotated[
        float | None,
        typer.Option(
            "--older-than",
            help="Silent for so long; default: the lease is past.",
            metavar="DUR",
            parser=parse_duration,
        ),
    ] = None,
    type_: Types = None,
    limit: NoLimit = None,
    reason: Reason = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Take leases back from owners that have fallen silent, so that their tasks run again.

    Workers do this by themselves every WATCHDOG_INTERVAL. With ids it takes back just those, also
    before their lease is past; the former owner's result will be discarded. The attempt does not
    count; a task that lapses too often fails.

    Examples:
      seedcore task requeue-stale --dry-run
      seedcore task requeue-stale 0198c7a12b3c --reason "host is gone"

    Exit codes: 4 no such task; 5 it is not running; 7 some of several were not; 10 not confirmed.
    """
    from seedcore.task import service

    if ids and (older_than is not None or type_):
        raise UsageError("ids exclude --older-than and --type")
    settings = cli.settings
    options: dict[str, Any] = {
        "older_than_s": older_than,
        "types": type_ or None,
        "limit": limit or _STALE_AT_ONCE,
        "default_max": settings.max_task_attempts,
        "max_lapses": settings.max_task_lapses,
        "actor": cli.actor,
        "reason": reason,
    }
    with cli.connect() as conn:
        named = [service.resolve(conn, ref) for ref in ids] if ids else None
        rows = service.requeue_stale(conn, named, **options, dry_run=True)
        if not dry_run and rows:
            if named is None:
                cli.confirm(level=1, summary=f"requeue {count_of(len(rows))}", yes=yes)
            rows = service.requeue_stale(conn, named, **options)
    waiting = ("queued", "retry")
    for row in rows:
        if row["error"] and row["before"] in waiting:
            row["error"] = None
    tally = _Tally(rows, len(rows))
    tally.raise_if_alone(rows)
    cli.printer.many([row | {"dry_run": True} if dry_run else row for row in rows], STALE)
    tally.conclude(cli, "requeued", dry_run=dry_run)


def _change(
    cli: Cli,
    deed: _Deed,
    ids: list[str] | None,
    chosen: Conditions,
    *,
    limit: int | None,
    reason: str | None,
    yes: bool,
    dry_run: bool,
) -> None:
    """Change named tasks at once, or those that conditions choose after a question."""
    from seedcore.task import service

    if bool(ids) == bool(chosen):
        raise UsageError(
            "give ids, or conditions such as --type and --status, and not both",
            hint=f"{cli.command} --help",
        )
    with cli.connect() as conn:
        if ids:
            targets = list(dict.fromkeys(service.resolve(conn, ref) for ref in ids))
        else:
            selection = chosen.selection(
                limit=limit or 0, sort="created_at", default_statuses=deed.from_statuses
            )
            targets = service.ids_of(conn, selection)
            if targets and not dry_run:
                cli.confirm(level=1, summary=f"{deed.verb} {count_of(len(targets))}", yes=yes)
        tally = _Tally([], len(targets))

        def rows() -> Iterator[dict[str, Any]]:
            for start in range(0, len(targets), _CHUNK):
                found = deed.act(
                    conn,
                    targets[start : start + _CHUNK],
                    actor=cli.actor,
                    reason=reason,
                    dry_run=dry_run,
                )
                for row in found:
                    if row["error"] and row["before"] in deed.goal:
                        row["error"] = None
                    tally.add(row)
                    yield row | {"dry_run": True} if dry_run else row

        if len(targets) == 1:
            only = list(rows())
            tally.raise_if_alone(only)
            cli.printer.many(only, CHANGED)
        else:
            cli.printer.stream(rows(), CHANGED, flush=False)
    tally.conclude(cli, deed.done, dry_run=dry_run)


class _Tally:
    """Counts what was changed, what was so already and what was refused."""

    def __init__(self, rows: list[dict[str, Any]], total: int) -> None:
        self.total = total
        self.changed = 0
        self.refused: list[dict[str, Any]] = []
        for row in rows:
            self.add(row)

    def add(self, row: dict[str, Any]) -> None:
        """Count one row."""
        if row["error"]:
            self.refused.append(row)
        elif row["changed"]:
            self.changed += 1

    def raise_if_alone(self, rows: list[dict[str, Any]]) -> None:
        """Raise the refusal of a single task: it needs no table.

        Raises:
            Conflict: The only task was refused.
        """
        if self.total == 1 and self.refused:
            row = rows[0]
            raise Conflict(
                f"task {row['id']}: {row['error']}",
                code="task.wrong_state",
                hint=f"seedcore task inspect {row['id']} --events",
                details={"id": str(row["id"]), "status": row["before"]},
            )

    def conclude(self, cli: Cli, done: str, *, dry_run: bool) -> None:
        """Say what was done.

        Raises:
            Conflict: All were refused.
            PartialFailure: Some were.
        """
        if self.refused:
            kind = Conflict if len(self.refused) == self.total else PartialFailure
            first = self.refused[0]
            raise kind(
                f"{len(self.refused)} of {count_of(self.total)} were not {done}, first {first['id']}: "
                f"{first['error']}",
                code="task.wrong_state",
                details={"changed": self.changed, "refused": len(self.refused)},
            )
        if dry_run:
            cli.note(f"would have {done} {count_of(self.changed)}; nothing was changed")
        elif self.changed:
            cli.note(f"{done} {count_of(self.changed)}")
            cli.hint("seedcore task stats")
        else:
            cli.note("unchanged" if self.total else "unchanged: there is no such task")
