"""`seedcore memory`: the index of words that questions go by."""

from __future__ import annotations

from typing import Annotated

import typer

from seedcore_cli.app import group
from seedcore_cli.humanize import count_of, moment, seconds
from seedcore_cli.options import Cli, common
from seedcore_cli.output import Column

app = group(
    """Look after the index of words.

    A question first indexes what is new, for a second at most. After a large load do it here.
    """
)

INDEXED = (
    Column("indexed", align="right"),
    Column("waiting"),
    Column("read_only", wide=True),
    Column("seconds", align="right", format=seconds),
)
STATUS = (
    Column("documents", align="right"),
    Column("tasks", align="right"),
    Column("facts", align="right"),
    Column("words", align="right"),
    Column("pending", align="right"),
    Column("tasks_through", format=moment),
    Column("updated_at", format=moment),
)


@app.command("index")
@common
def index(
    cli: Cli,
    *,
    all_: Annotated[
        bool, typer.Option("--all", help="Look at every row for what was missed.")
    ] = False,
    batch: Annotated[
        int, typer.Option("--batch", help="Documents in a transaction.", min=1, max=100_000)
    ] = 2000,
) -> None:
    """Index the words of what is new, changed or gone, to the end.

    Repeated, it finds nothing to do. What is loaded meanwhile is taken in as well. Interrupted, it keeps the
    batches that are done.

    Example: seedcore memory index
    """
    from seedcore.memory import indexing

    with cli.connect() as conn:
        done = indexing.refresh(conn, longest_s=None, everything=all_, batch_size=batch)
    cli.printer.one(done, INDEXED)
    if done["read_only"]:
        cli.warn("the database is read-only; nothing was indexed")
    elif done["waiting"]:
        cli.note("another session is indexing just now")
    else:
        cli.note(f"{count_of(done['indexed'], 'document')} indexed")


@app.command("status")
@common
def status(cli: Cli) -> None:
    """Show how large the index of words is, and what waits for it.

    Example: seedcore memory status
    """
    from seedcore.memory import indexing

    with cli.connect() as conn:
        cli.printer.one(indexing.status(conn), STATUS)
