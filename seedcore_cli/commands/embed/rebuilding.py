"""`--rebuild-index`: load many vectors without their indexes, and build these afterwards."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from seedcore_cli.options import Cli
from seedcore_cli.progress import progress_bar

if TYPE_CHECKING:
    from seedcore.graph.store import Conn

GRAPH_TABLE: Final = "graph_embeddings_128"
TEXT_TABLE: Final = "graph_embeddings_1024"

RebuildIndex = Annotated[
    bool,
    typer.Option(
        "--rebuild-index",
        help="Drop the vector indexes first and build them afterwards: faster for very many vectors.",
    ),
]


def advise(cli: Cli, conn: Conn, table: str, count: int) -> None:
    """Say so when `--rebuild-index` is worth it."""
    from seedcore.embed.index import advises_rebuilding

    if advises_rebuilding(conn, table, count):
        cli.note(
            f"up to {count:,} vectors go into {table} one by one; --rebuild-index is faster, and "
            "searches compare all vectors meanwhile"
        )


@contextmanager
def rebuilt(cli: Cli, table: str, wanted: bool) -> Generator[None]:
    """Drop the vector indexes of a table, and build them when the block is through.

    When the block fails they stay away: what failed may be tried again, and building takes its time. Searches
    compare all vectors until then; `embed index list` and `doctor` name what is missing, also after a kill -9.
    """
    if not wanted:
        yield
        return
    from seedcore.embed import index

    indexes = index.of_table(table)
    with cli.connect(statement_timeout_s=0) as conn:
        before = {row["name"]: row for row in index.list_indexes(conn)}
        index.drop(conn, indexes)
    names = " ".join(one.name for one in indexes)
    try:
        yield
        with (
            cli.connect(statement_timeout_s=0) as conn,
            cli.connect() as watcher,
            progress_bar(cli, "building") as show,
        ):
            for one in indexes:
                index.build(
                    conn,
                    watcher,
                    [one],
                    # As it was; one that was missing is built as the migrations do.
                    m=before[one.name]["m"] or index.M,
                    ef_construction=before[one.name]["ef_construction"] or index.EF_CONSTRUCTION,
                    progress=lambda _phase, done, total: show(done, total),
                )
    except BaseException:
        cli.warn(
            f"{table} is without its vector indexes; build them: seedcore embed index build {names}"
        )
        raise
