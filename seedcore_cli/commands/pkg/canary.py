"""`seedcore pkg canary`: bring a snapshot to a lane step by step."""

from __future__ import annotations

from typing import Annotated

import typer

from seedcore.errors import CheckFailed, Pending, UsageError
from seedcore_cli.app import group
from seedcore_cli.commands.pkg import watching
from seedcore_cli.commands.pkg.arguments import Env, Version, find
from seedcore_cli.commands.pkg.columns import CANARIES, MOVED
from seedcore_cli.commands.pkg.group import app as parent
from seedcore_cli.options import Cli, DryRun, Reason, Yes, common
from seedcore_cli.params import parse_duration

app = group(
    """Bring a snapshot to a lane step by step, and take it back.

    A lane is a target (router, or a class of devices such as edge:door) in a region; the region global
    serves whom no lane of their own region serves. A step is a percent of the lane's subjects. Who is
    in is dealt by a hash of the subject, so a higher percent only adds subjects, and nobody changes
    sides; the others keep what the lane served before, else the global lane, else the active snapshot.
    """
)
parent.add_typer(app, name="canary")

Target = Annotated[
    str,
    typer.Option(
        "--target", metavar="TARGET", help="Whom it serves: router, or devices such as edge:door."
    ),
]
Region = Annotated[str, typer.Option("--region", metavar="REGION", help="The lane's region.")]
_FAILED = ("Aborted", "Degraded")
_OVER = ("Succeeded", "Aborted")


def _pause(text: str) -> float:
    """Return seconds; -1 for `manual`."""
    return -1.0 if text.strip().lower() == "manual" else parse_duration(text)


@app.command("start")
@common
def start(
    cli: Cli,
    version: Version,
    *,
    target: Target,
    region: Region = "global",
    env: Env = None,
    steps: Annotated[
        str | None,
        typer.Option(
            "--steps", metavar="P,P,…", help="Percents that rise to 100. Default: PKG_CANARY_STEPS."
        ),
    ] = None,
    pause: Annotated[
        float,
        typer.Option(
            "--pause",
            metavar="DUR",
            help="How long each step lasts at least, or manual: until it is advanced. Default: 10m.",
            parser=_pause,
            show_default=False,
        ),
    ] = 600.0,
    gate: Annotated[
        str,
        typer.Option(
            "--gate",
            metavar="GATES",
            help="What must hold before the next step, such as 'errors=0,p95_ms<15'.",
        ),
    ] = "",
    auto: Annotated[
        bool,
        typer.Option(
            "--auto", help="Workers take it on while its gates hold, and abort it when they fail."
        ),
    ] = False,
    max_fail: Annotated[
        int,
        typer.Option(
            "--max-fail", metavar="N", min=1, help="With --auto: misses until it is aborted."
        ),
    ] = 3,
    min_samples: Annotated[
        int | None,
        typer.Option(
            "--min-samples",
            metavar="N",
            min=1,
            help="Evaluations that a gate takes to be measured. Default: PKG_CANARY_MIN_SAMPLES.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Without a green validation run; takes a --reason.")
    ] = False,
    reason: Reason = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Serve a snapshot to the first step's share of a lane.

    Gates compare what is measured since the step began: deny_rate, error_rate and p95_ms, each also as
    ..._delta (less the stable snapshot's), errors and samples; with <, <=, =, !=, >= or >. The gate
    errors=0 is missed by the first error; all others take --min-samples evaluations.

    The canary goes on by 'seedcore pkg canary advance', or with --auto by itself.

    Examples:
      seedcore pkg canary start v2 --target router --steps 5,25,50,100 --pause 10m --yes
      seedcore pkg canary start v2 --target router --auto --gate 'deny_rate_delta<0.02,p95_ms<15,errors=0' --yes

    Exit codes: 2 bad steps or gates; 3 its content is not what was stored, or it lacks the signature that
    PKG_VERIFY_KEY asks for; 4 there is no such snapshot; 5 a canary is under way there, or it is not validated; 10 not confirmed.
    """
    from seedcore.pkg import canary, signature
    from seedcore.pkg.gate import parse_gates, parse_steps

    plan = canary.Plan(
        steps=parse_steps(steps or cli.settings.pkg_canary_steps),
        pause_s=None if pause < 0 else pause,
        gates=parse_gates(gate),
        automatic=auto,
        max_fail=max_fail,
        min_samples=min_samples or cli.settings.pkg_canary_min_samples,
    )
    lane = canary.Lane(target, region)
    if auto and pause < 0:
        raise UsageError("--auto and --pause manual exclude each other")
    with cli.connect() as conn:
        found = find(conn, version, env, prefer="prod")
        if not dry_run:
            summary = f"serve {found.version} to {plan.steps[0]} % of {lane}"
            cli.confirm(level=1, summary=summary, yes=yes)
        row = canary.start(
            conn,
            found,
            lane,
            plan,
            actor=cli.actor,
            reason=reason,
            force=force,
            key=signature.required_key(cli.settings),
            dry_run=dry_run,
        )
    cli.printer.one(row, CANARIES)
    if not dry_run:
        cli.hint(f"seedcore pkg canary status --target {target} --region {region} --watch")


@app.command("status")
@common(own_timeout=True)
def status(
    cli: Cli,
    *,
    target: Annotated[
        str | None, typer.Option("--target", metavar="TARGET", help="Only of this target.")
    ] = None,
    region: Annotated[
        str | None, typer.Option("--region", metavar="REGION", help="Only of this region.")
    ] = None,
    finished: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Follow them until they are over.")
    ] = False,
    exit_code: Annotated[
        bool,
        typer.Option("--exit-code", help="Say by the exit code how the newest one of a lane does."),
    ] = False,
) -> None:
    """Show canaries: lane, step, phase, and how each gate stands now.

    With --watch a terminal shows lanes, steps and gates as bars, drawn again in place; other output
    gets one line for each change. It ends when none is under way, or when --timeout has passed.

    Phases: Waiting, Progressing, Degraded (a gate is missed), Paused, Promoting (at 100 %, still
    watched), Succeeded, Aborted.

    Examples:
      seedcore pkg canary status
      seedcore pkg canary status --target router --watch --timeout 1h
      seedcore pkg canary status --target router --exit-code

    Exit codes: 4 there never was one on that lane; with --exit-code 3 aborted or degraded, 8 under way;
    6 time-out of --watch.
    """
    from seedcore.pkg import canary

    with cli.connect() as conn:
        if exit_code or (watch and target is not None):
            newest = canary.latest(conn, canary.Lane(_named(target), region or "global"))
            plans = [newest["plan"]]
        else:
            plans = None

        def read() -> list[dict[str, object]]:
            rows = canary.status(
                conn, target=target, region=region, finished=finished or plans is not None
            )
            return [row for row in rows if plans is None or row["plan"] in plans]

        rows = watching.follow(cli, read) if watch else read()
        if not watch:
            cli.printer.many(rows, CANARIES)
    if exit_code and rows:
        _judge(rows[0])


def _named(target: str | None) -> str:
    if target is None:
        raise UsageError("--exit-code speaks of one lane; name it with --target")
    return target


def _judge(row: dict[str, object]) -> None:
    phase = str(row["phase"])
    said = (
        f"the canary of {row['version']} on {row['target']} in {row['region']} is {phase.lower()}"
    )
    if phase in _FAILED:
        raise CheckFailed(said, code="pkg.canary_failed")
    if phase not in _OVER:
        raise Pending(said, code="pkg.canary_pending")


@app.command("advance")
@common
def advance(
    cli: Cli,
    *,
    target: Target,
    region: Region = "global",
    to: Annotated[
        int | None,
        typer.Option("--to", metavar="PERCENT", min=1, max=100, help="Leave out steps on the way."),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Short for --to 100.")] = False,
    skip_gate: Annotated[
        bool,
        typer.Option("--skip-gate", help="Whatever the gates and the pause say; takes a --reason."),
    ] = False,
    expect: Annotated[
        int | None,
        typer.Option("--expect-percent", metavar="N", help="Go on only if it is at this percent."),
    ] = None,
    reason: Reason = None,
    dry_run: DryRun = False,
) -> None:
    """Take a canary to its next step, or from its last one to its end.

    Examples:
      seedcore pkg canary advance --target router --expect-percent 5
      seedcore pkg canary advance --target router --full --skip-gate --reason "tested by hand"

    Exit codes: 2 it is not below that percent, or a reason is missing; 4 there is no canary under way;
    5 a gate is missed or not measured, the step is not over, it is paused, or at another percent.
    """
    from seedcore.pkg import canary

    if full and to not in (None, 100):
        raise UsageError("--full and --to exclude each other")
    with cli.connect() as conn:
        row = canary.advance(
            conn,
            canary.Lane(target, region),
            actor=cli.actor,
            reason=reason,
            to=100 if full else to,
            skip_gate=skip_gate,
            expected=expect,
            dry_run=dry_run,
        )
    cli.printer.one(row, MOVED)


@app.command("pause")
@common
def pause(cli: Cli, *, target: Target, region: Region = "global", reason: Reason = None) -> None:
    """Hold a canary where it is; only a forced advance takes it on.

    Example: seedcore pkg canary pause --target router --reason "looking into the doors"

    Exit codes: 4 there is no canary under way; 5 it is paused already.
    """
    from seedcore.pkg import canary

    with cli.connect() as conn:
        row = canary.pause(conn, canary.Lane(target, region), actor=cli.actor, reason=reason)
    cli.printer.one(row, MOVED)


@app.command("resume")
@common
def resume(cli: Cli, *, target: Target, region: Region = "global", reason: Reason = None) -> None:
    """Let a paused canary go on.

    Example: seedcore pkg canary resume --target router

    Exit codes: 4 there is no canary under way; 5 it is not paused.
    """
    from seedcore.pkg import canary

    with cli.connect() as conn:
        row = canary.resume(conn, canary.Lane(target, region), actor=cli.actor, reason=reason)
    cli.printer.one(row, MOVED)


@app.command("abort")
@common
def abort(
    cli: Cli,
    *,
    target: Target,
    region: Region = "global",
    reason: Reason = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """End a canary: the lane serves what it did before, to the same share.

    Example: seedcore pkg canary abort --target router --reason "denies too much" --yes

    Exit codes: 4 there is no canary under way; 10 not confirmed.
    """
    from seedcore.pkg import canary

    lane = canary.Lane(target, region)
    with cli.connect() as conn:
        if not dry_run:
            cli.confirm(level=1, summary=f"abort the canary on {lane}", yes=yes)
        row = canary.abort(conn, lane, actor=cli.actor, reason=reason, dry_run=dry_run)
    cli.printer.one(row, MOVED)
