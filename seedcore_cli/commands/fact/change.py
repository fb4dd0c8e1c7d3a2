"""Change facts: expire, triples."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from seedcore_cli.commands.fact.columns import EXPIRED, PROPOSED
from seedcore_cli.commands.fact.group import app
from seedcore_cli.humanize import count_of
from seedcore_cli.options import Cli, DryRun, Limit, Reason, Yes, common
from seedcore_cli.params import parse_time


@app.command("expire")
@common
def expire(
    cli: Cli,
    facts: Annotated[list[str], typer.Argument(metavar="ID", help="Ids, or their first digits.")],
    *,
    at: Annotated[
        datetime | None,
        typer.Option("--at", help="When. Default: now.", metavar="TIME", parser=parse_time),
    ] = None,
    reason: Reason = None,
    dry_run: DryRun = False,
) -> None:
    """Let facts end: they hold no more, and stay in the history.

    One that ended before is left as it is. Without --at, one that has not begun yet is withdrawn.

    Example: seedcore fact expire 0198c7a1 --reason "the gym moved"

    Exit codes: 4 there is no such fact.
    """
    from seedcore.fact import service

    with cli.connect() as conn:
        rows = service.expire(conn, facts, at=at, actor=cli.actor, reason=reason, dry_run=dry_run)
    cli.printer.many([row | {"dry_run": True} if dry_run else row for row in rows], EXPIRED)


@app.command("triples")
@common
def triples(
    cli: Cli,
    facts: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="Only of these facts. Default: the oldest texts."),
    ] = None,
    *,
    namespace: Annotated[
        str, typer.Option("--namespace", help="Of which facts.", metavar="NAME")
    ] = "default",
    limit: Limit = 100,
    apply: Annotated[
        bool, typer.Option("--apply", help="Make the triples that are shown; asks before.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Propose triples for facts that are free text; writes nothing without --apply.

    Texts of the form "X is a Y", "X provides Y" and "X offers Y" can become triples. The text is kept.
    A triple that another fact contradicts (column rival) is never made.

    Examples:
      seedcore fact triples --namespace hotel
      seedcore fact triples --namespace hotel --apply --yes

    Exit codes: 4 there is no such fact; 10 not confirmed.
    """
    from seedcore.fact import service

    with cli.connect() as conn:
        rows = service.propose_triples(
            conn, namespace=namespace, texts=facts or (), limit=limit or 1_000_000
        )
        free = [row["id"] for row in rows if row["rival"] is None]
        if apply and free:
            cli.confirm(
                level=1, summary=f"make {count_of(len(free), 'triple')} out of texts", yes=yes
            )
            done = service.apply_triples(conn, free, namespace=namespace, actor=cli.actor)
            cli.note(f"{count_of(done, 'triple')} made")
    cli.printer.many(rows, PROPOSED)
    if not apply and free:
        cli.hint(f"seedcore fact triples --namespace {namespace} --apply")
