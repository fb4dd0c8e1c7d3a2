"""`seedcore migrate`: the schema of the database, and how it stands to this program."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedcore_cli.app import group
from seedcore_cli.options import Cli, Confirm, DryRun, Yes, common
from seedcore_cli.output import Column
from seedcore_cli.params import parse_duration

if TYPE_CHECKING:
    from seedcore.db.migrate import Options, Outcome
    from seedcore.db.migrate.recorder import Step

app = group("Bring the database to the schema of this program.")

_REVISION = Column("revision", id=True)
STEPS = (
    _REVISION,
    Column("description"),
    Column("seconds", align="right", format=lambda s: "" if s is None else f"{s:.2f}"),
    Column("applied_at"),
    Column("notes", wide=True, format=lambda notes: "; ".join(notes or ())),
)
STATUS = (
    Column("current", id=True),
    Column("head"),
    Column("pending"),
    Column("applied"),
    Column("last_applied_at"),
    Column("locked_by"),
    Column("invalid_indexes"),
    Column("problem"),
)
HISTORY = (
    _REVISION,
    Column("description"),
    Column("lock_level"),
    Column("applied_at"),
    Column("duration_s", align="right", format=lambda s: "" if s is None else f"{s:.2f}"),
    Column("applied_by"),
)
PLAN = (
    _REVISION,
    Column("lock"),
    Column("relations", header="ON", format=lambda names: ", ".join(names or ())),
    Column("rows", align="right"),
    Column("size_bytes", header="SIZE", align="right", format=lambda n: _size(n)),
    Column("rewrites"),
    Column("destructive"),
    Column("tables", wide=True, format=lambda tables: _sizes(tables)),
    Column("irreversible", wide=True),
    Column("statement"),
)
CHECK = (
    Column("check", id=True),
    Column("ok", colors={"false": "red", "true": "green"}),
    Column("detail"),
    Column("hint", wide=True),
)

LockTimeout = Annotated[
    float,
    typer.Option(
        "--lock-timeout",
        help="How long to wait for another migration, and for sessions that use the tables.",
        metavar="DUR",
        parser=parse_duration,
    ),
]
NoWaitLock = Annotated[
    bool, typer.Option("--no-wait-lock", help="Do not wait; exit 9 when another one runs.")
]


@app.command("up")
@common
def up(
    cli: Cli,
    target: Annotated[
        str, typer.Argument(metavar="[REV|+N|head]", help="Where to stop.", show_default="head")
    ] = "head",
    *,
    lock_timeout: LockTimeout = "60s",  # type: ignore[assignment]  # parsed like a given one, and shown so in --help
    no_wait_lock: NoWaitLock = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Apply the revisions that the database lacks.

    Each is a transaction of its own; an interrupted run leaves the database at a revision, and the
    next one goes on. Several runs at once are safe: one applies, the others wait. Indexes of filled
    tables are built while writers go on. With no database configured, the embedded one is started.

    Examples:
      seedcore migrate up
      seedcore migrate up +1 --dry-run

    Exit codes: 3 the database is not on this program's chain; 4 no such revision; 5 something that
    was made by hand is in the way; 9 another migration, or a session that uses the tables, stayed
    too long.
    """
    from seedcore.db import migrate

    options = _options(cli, 0.0 if no_wait_lock else lock_timeout, dry_run=dry_run)
    if cli.protected and not dry_run:
        preview = migrate.up(cli.settings, target, dataclasses.replace(options, dry_run=True))
        if preview.steps:
            ids = ", ".join(s.revision for s in preview.steps)
            cli.confirm(level=1, summary=f"apply revisions {ids}", yes=yes)
    outcome = migrate.up(cli.settings, target, options)
    _show(cli, outcome, dry_run=dry_run)
    if outcome.steps and not dry_run:
        cli.hint("seedcore task submit --help")


@app.command("down")
@common
def down(
    cli: Cli,
    target: Annotated[
        str, typer.Argument(metavar="REV|-N|base", help="Where to stop; that one stays applied.")
    ],
    *,
    drop_data: Annotated[
        bool, typer.Option("--drop-data", help="Also drop tables that have rows.")
    ] = False,
    lock_timeout: LockTimeout = "60s",  # type: ignore[assignment]  # parsed like a given one, and shown so in --help
    no_wait_lock: NoWaitLock = False,
    dry_run: DryRun = False,
    confirm: Confirm = None,
) -> None:
    """Take back revisions, newest first.

    What a revision added is removed, with the data in it; repairs of old data stay. A table that
    has rows is only dropped with --drop-data. The database's name has to be typed, or given with
    --confirm.

    Examples:
      seedcore migrate down --dry-run -- -1
      seedcore migrate down 007 --confirm seedcore
      seedcore migrate down base --drop-data --confirm seedcore

    Exit codes: 3 the database is not on this program's chain; 4 no such revision; 5 a revision
    can't be taken back, or a table has rows; 9 locked; 10 not confirmed.
    """
    from seedcore.db import migrate

    options = _options(
        cli, 0.0 if no_wait_lock else lock_timeout, dry_run=dry_run, drop_data=drop_data
    )
    preview = migrate.down(cli.settings, target, dataclasses.replace(options, dry_run=True))
    if preview.steps and not dry_run:
        ids = ", ".join(s.revision for s in preview.steps)
        name = migrate.database_name(cli.settings)
        cli.confirm(level=2, name=name, summary=f"take back revisions {ids}", given=confirm)
        preview = migrate.down(cli.settings, target, options)
    _show(cli, preview, dry_run=dry_run)


@app.command("status")
@common
def status(
    cli: Cli,
    *,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 3 when revisions are pending.")
    ] = False,
) -> None:
    """Show which revision the database is at and which one this program needs.

    Example: seedcore migrate status --exit-code

    Exit codes: 3 with --exit-code, when revisions are pending or the database is not on this
    program's chain.
    """
    from seedcore.db import migrate

    found = migrate.status(cli.settings)
    cli.printer.one(_row(found), STATUS)
    if found.problem:
        cli.warn(found.problem)
        cli.note(f"hint: {found.hint}")
    elif found.pending or found.invalid_indexes:
        cli.hint("seedcore migrate up")
    if exit_code and (found.problem or found.pending):
        raise typer.Exit(3)


@app.command("history")
@common
def history(
    cli: Cli,
    *,
    between: Annotated[
        str | None, typer.Option("--range", help="Only these, both included.", metavar="A:B")
    ] = None,
    applied: Annotated[bool, typer.Option("--applied", help="Only applied ones.")] = False,
    pending: Annotated[bool, typer.Option("--pending", help="Only those still to apply.")] = False,
) -> None:
    """List the revisions, when and by whom each was applied, and how long it took.

    The lock level is the strongest lock that a revision takes on a table that others may be using.

    Example: seedcore migrate history --range 006: -o json
    """
    from seedcore.db import migrate
    from seedcore.errors import UsageError

    if applied and pending:
        raise UsageError("--applied and --pending exclude each other")
    only = True if applied else False if pending else None
    rows = migrate.history(cli.settings, between=between, applied=only)
    cli.printer.many((_row(r) for r in rows), HISTORY)


@app.command("plan")
@common
def plan(
    cli: Cli,
    target: Annotated[
        str | None, typer.Argument(metavar="[REV|+N|head]", help="Where to stop. Default: head.")
    ] = None,
    *,
    down: Annotated[
        bool, typer.Option("--down", help="Plan taking back; the target is REV, -N or base.")
    ] = False,
    sql: Annotated[bool, typer.Option("--sql", help="Print SQL to run, and nothing else.")] = False,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", help="Start from this revision (or base); needs no database.", metavar="REV"
        ),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option("--fail-on", help="Exit 3 when a statement is: destructive.", metavar="WHAT"),
    ] = None,
) -> None:
    """Show what 'up' would run: statements, the locks they take, the tables they take them on.

    It starts where the database is. With --from it asks no database; the same holds, from base, when
    none is configured and the embedded one does not exist yet. The SQL has transactions of its own
    and leaves the same records as 'up'; run it with 'psql -v ON_ERROR_STOP=1'.

    Examples:
      seedcore migrate plan
      seedcore migrate plan --sql --from base > schema.sql
      seedcore migrate plan base --down --fail-on destructive

    What the revisions will convert or drop in a database that was made by hand is counted, and what
    they can't adopt is named with its cure.

    Exit codes: 3 with --fail-on; 4 no such revision; 5 something is in the way.
    """
    from seedcore.db import migrate
    from seedcore.errors import UsageError

    if fail_on not in (None, "destructive"):
        raise UsageError(f"--fail-on knows 'destructive', not {fail_on!r}")
    if down and target is None:
        raise UsageError("say how far down: REV, -N or base")
    offline = start is not None or migrate.starts_something(cli.settings)
    found = migrate.plan(
        None if offline else cli.settings, target or "head", down=down, start=start
    )
    if sql:
        cli.printer.text(found.sql)
    else:
        cli.printer.many((_row(s) for s in found.statements), PLAN)
    cli.note(
        f"from {found.start} to {found.stop}"
        if found.statements
        else f"nothing to do: already at {found.start}"
    )
    for conversion in found.adoption.conversions:
        cli.note(f"{conversion.revision} {conversion}")
    for obstacle in found.adoption.obstacles:
        cli.warn(f"in the way: {obstacle}")
        cli.note(f"hint: {obstacle.cure}")
    if found.adoption.obstacles:
        raise typer.Exit(5)
    if fail_on and found.is_destructive:
        cli.warn("the plan loses data")
        raise typer.Exit(3)


@app.command("check")
@common
def check(
    cli: Cli,
    *,
    only: Annotated[
        str | None,
        typer.Option(
            "--only",
            help="Of heads, pending, drift, acceptance, integrity, offline.",
            metavar="A,B",
        ),
    ] = None,
    wait: Annotated[
        float,
        typer.Option(
            "--wait",
            help="How long another process may take to apply what is pending.",
            metavar="DUR",
            parser=parse_duration,
        ),
    ] = "0s",  # type: ignore[assignment]  # parsed like a given one, and shown so in --help
) -> None:
    """Look for what is wrong with the chain of revisions, the database, or the two together.

    heads: the revisions form one chain. pending: the database is at its end. drift: tables, columns,
    indexes, functions, triggers, views and checks are what the revisions made. acceptance: every
    object that the schema's design names is there. integrity: no applied revision's file has changed
    since. offline: each revision renders as SQL.

    Examples:
      seedcore migrate check
      seedcore migrate check --only pending --wait 60s

    Exit codes: 3 something is wrong; 6 with --wait, revisions are still pending.
    """
    from seedcore.db import migrate

    names = tuple(name.strip() for name in (only or "").split(",") if name.strip())
    found = migrate.check(cli.settings, only=names, wait_s=wait)
    cli.printer.many((_row(f) for f in found), CHECK)
    wrong = [f for f in found if not f.ok]
    for hint in dict.fromkeys(f.hint for f in wrong if f.hint):
        cli.note(f"hint: {hint}")
    if wait and any(f.check == "pending" for f in wrong):
        raise typer.Exit(6)
    if wrong:
        raise typer.Exit(3)


@app.command("stamp")
@common
def stamp(
    cli: Cli,
    target: Annotated[
        str, typer.Argument(metavar="REV|base|head", help="What counts as applied from now on.")
    ],
    *,
    purge: Annotated[
        bool, typer.Option("--purge", help="Forget what is recorded, even unknown revisions.")
    ] = False,
    lock_timeout: LockTimeout = "60s",  # type: ignore[assignment]  # parsed like a given one, and shown so in --help
    dry_run: DryRun = False,
    confirm: Confirm = None,
) -> None:
    """Record how far the database was migrated, without running anything.

    For databases whose history is known better than what they record. The database's name has to be
    typed, or given with --confirm.

    Example: seedcore migrate stamp 007 --confirm seedcore

    Exit codes: 3 unknown revisions are recorded, and --purge is missing; 4 no such revision; 9
    locked; 10 not confirmed.
    """
    from seedcore.db import migrate

    before = migrate.status(cli.settings).current or "base"
    if not dry_run:
        name = migrate.database_name(cli.settings)
        cli.confirm(level=2, name=name, summary=f"record revision {target}", given=confirm)
    after = migrate.stamp(
        cli.settings, target, purge=purge, options=_options(cli, lock_timeout, dry_run=dry_run)
    )
    row: dict[str, Any] = {"before": before, "after": after}
    cli.printer.one(
        row | ({"dry_run": True} if dry_run else {}), (Column("before"), Column("after", id=True))
    )


@app.command("new")
@common
def new(
    cli: Cli,
    slug: Annotated[
        str, typer.Argument(metavar="SLUG", help="What it does, in words joined by underscores.")
    ],
    *,
    number: Annotated[
        str | None,
        typer.Option("--number", help="Its number. Default: the next.", metavar="NNN"),
    ] = None,
) -> None:
    """Start a new revision in a source checkout: a Python file and two SQL files, linked to the last.

    Example: seedcore migrate new add_task_labels
    """
    from seedcore.db import migrate

    paths = migrate.create(slug, number=number)
    cli.printer.many(({"path": str(p)} for p in paths), (Column("path"),))
    cli.hint("seedcore migrate plan")


def _options(cli: Cli, lock_timeout_s: float, *, dry_run: bool, drop_data: bool = False) -> Options:
    from seedcore.db import migrate

    return migrate.Options(
        lock_timeout_s=lock_timeout_s,
        statement_timeout_s=cli.options.statement_timeout or 0.0,
        dry_run=dry_run,
        drop_data=drop_data,
        actor=cli.actor,
        on_step=lambda step: _tell(cli, step),
    )


def _tell(cli: Cli, step: Step) -> None:
    cli.note(f"{step.direction} {step.revision} {step.description}")
    for note in step.notes:
        cli.note(f"  {note}")


def _show(cli: Cli, outcome: Outcome, *, dry_run: bool) -> None:
    mark = {"dry_run": True} if dry_run else {}
    cli.printer.many((_row(s) | mark for s in outcome.steps), STEPS)
    for name in outcome.rebuilt:
        cli.note(f"{'would rebuild' if dry_run else 'rebuilt'} index {name}")
    if not outcome.steps and not outcome.rebuilt:
        cli.note(f"unchanged: the database is at {outcome.current or 'base'}")


def _sizes(tables: list[dict[str, Any]] | None) -> str:
    return ", ".join(f"{t['name']} {_size(t['size_bytes'])}" for t in tables or ())


def _size(count: int | None) -> str:
    """Return bytes as a person reads them."""
    amount = float(count or 0)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return "" if count is None else f"{amount:.0f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def _row(record: Any) -> dict[str, Any]:
    return dataclasses.asdict(record)
