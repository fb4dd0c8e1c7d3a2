"""`seedcore embed status|encoders`: what has vectors, and what made them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from seedcore_cli.commands.embed.columns import ENCODERS, PROBE, REMOVED, STATUS
from seedcore_cli.commands.embed.group import app
from seedcore_cli.options import Cli, DryRun, Yes, common


@app.command("status")
@common
def status(
    cli: Cli,
    *,
    fail_over: Annotated[
        str | None,
        typer.Option(
            "--fail-over",
            help="Exit 3 when more are missing or stale, such as missing>0.",
            metavar="RULE",
        ),
    ] = None,
) -> None:
    """Show how many tasks, facts and nodes have a vector, lack one, or have that of an older text.

    Example: seedcore embed status --fail-over 'missing>0'

    Exit codes: 3 the rule is broken.
    """
    from seedcore.embed import status as counting
    from seedcore.embed.selection import choose

    rule = None if fail_over is None else counting.rule(fail_over)
    with cli.connect() as conn:
        choice = choose(conn, cli.settings, keep=False, prepare=True)
        rows = counting.status(conn, choice.stored.encoder_id)
    cli.printer.many(rows, STATUS)
    cli.note(f"new texts are embedded by {choice.stored.identity.model} ({choice.why})")
    if rule is not None:
        counting.fail_over(rows, *rule)


@app.command("encoders")
@common
def encoders(
    cli: Cli,
    *,
    probe: Annotated[
        bool, typer.Option("--probe", help="Ask the endpoint instead: is it ready, what it has.")
    ] = False,
    remove: Annotated[
        str | None,
        typer.Option(
            "--remove", help="Delete one that is retired, and its vectors.", metavar="NAME"
        ),
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """List the encoders that made vectors here; one of each kind serves.

    Examples:
      seedcore embed encoders
      seedcore embed encoders --probe
      seedcore embed encoders --remove hash-v1 --dry-run

    Exit codes: 4 no such encoder; 5 it serves; 10 not confirmed; 69 the endpoint does not answer.
    """
    if probe:
        cli.printer.one(_probe(cli), PROBE)
        return
    from seedcore.embed import encoders as known
    from seedcore.embed.model import GRAPH_DIM, TEXT_DIM

    with cli.connect() as conn:
        if remove is None:
            cli.printer.many(known.encoders(conn), ENCODERS)
            return
        stored = known.get(conn, remove, GRAPH_DIM if remove.startswith("graph") else TEXT_DIM)
        row = known.remove(conn, stored, dry_run=True)
        if not dry_run:
            summary = f"delete encoder {remove} and its {row['vectors']:,} vectors"
            cli.confirm(level=1, summary=summary, yes=yes)
            row = known.remove(conn, stored)
    cli.printer.one(row | {"dry_run": True} if dry_run else row, REMOVED)


def _probe(cli: Cli) -> dict[str, Any]:
    from seedcore.embed.endpoint import EndpointEncoder
    from seedcore.errors import Unavailable

    answer = EndpointEncoder.configured(cli.settings).probe()
    if not answer["ready"]:
        raise Unavailable(
            f"{answer['url']} is not ready",
            code="embed.endpoint_unavailable",
            hint="check NIM_RETRIEVAL_BASE_URL, and that the service is up",
        )
    return answer
