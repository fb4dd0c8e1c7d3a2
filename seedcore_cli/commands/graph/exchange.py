"""`seedcore graph export|verify|import`: the graph as files."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from seedcore.errors import CheckFailed, PartialFailure
from seedcore_cli.commands.graph.group import app
from seedcore_cli.options import Cli, DryRun, common
from seedcore_cli.output import Column
from seedcore_cli.params import parse_past

FILES = (Column("file", id=True), Column("rows", align="right"), Column("sha256"))

IMPORTED = (
    Column("what", id=True),
    *(Column(key, align="right") for key in ("read", "added", "unchanged", "failed")),
)

_STATEMENT_TIMEOUT_S = 3600.0


class ExportFormat(StrEnum):
    """How the files look."""

    PARQUET = "parquet"
    CSV = "csv"
    DGL = "dgl"


@app.command("export")
@common
def export(
    cli: Cli,
    *,
    folder: Annotated[
        Path, typer.Option("--folder", "-f", metavar="DIR", help="A new folder, or an empty one.")
    ],
    format_: Annotated[
        ExportFormat,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="parquet, or csv (also called dgl): CSV as DGL's CSVDataset reads it.",
        ),
    ] = ExportFormat.PARQUET,
    features: Annotated[
        bool,
        typer.Option("--features", help="Also the 128-d vectors of the encoder that serves."),
    ] = False,
    rel: Annotated[
        list[str] | None,
        typer.Option("--rel", metavar="TYPE", help="Only edges of this type or verb; repeat it."),
    ] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            "--as-of",
            metavar="TIME",
            help="Only nodes and edges that had been made by this time, or age (2h).",
            parser=parse_past,
        ),
    ] = None,
) -> None:
    """Write nodes and edges into a folder, from one snapshot of the database, with a manifest.

    The folder appears when it is complete; manifest.json has the counts and the SHA-256 of each file.

    Examples:
      seedcore graph export --folder graph-2031-05
      seedcore graph export --folder for-dgl --format dgl --features

    Exit codes: 3 what was written is not what was counted; 4 --features, and no node has a vector; 5 the
    folder is not empty; 69 Parquet without the extra `export`.
    """
    from seedcore.graph.exchange.export import Wanted, export as write
    from seedcore.graph.model import edge_types

    wanted = Wanted(
        folder=folder,
        format="csv" if format_ is ExportFormat.DGL else format_.value,
        features=features,
        label=cli.settings.graph_embedding_default_label,
        types=None if rel is None else [one for word in rel for one in edge_types(word)],
        as_of=as_of,
    )
    limit = cli.options.statement_timeout
    with cli.connect(statement_timeout_s=_STATEMENT_TIMEOUT_S if limit is None else limit) as conn:
        files = write(conn, wanted)
    cli.printer.many(files, FILES)


@app.command("verify")
@common
def verify(
    cli: Cli,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of an export.")],
) -> None:
    """Compare the files of an export with its manifest; no database is asked.

    Example: seedcore graph verify graph-2031-05

    Exit codes: 3 a file is missing or was changed.
    """
    from seedcore.graph.exchange.export import verify as compare

    wrong = compare(folder)
    rows = [{"folder": str(folder), "ok": not wrong, "detail": "; ".join(wrong) or None}]
    cli.printer.many(rows, (Column("folder", id=True), Column("ok"), Column("detail")))
    if wrong:
        raise CheckFailed(f"{folder} is not as it was written: {'; '.join(wrong)}")


@app.command("import")
@common
def import_(
    cli: Cli,
    *,
    folder: Annotated[
        Path, typer.Option("--folder", "-f", metavar="DIR", help="Folder of an export in Parquet.")
    ],
    dry_run: DryRun = False,
) -> None:
    """Read an export: entities that `graph add` makes, and edges between what is there.

    All of it in one transaction; what is there already stays as it is. Tasks, facts and instances are not
    made up: they and their edges count where they are there. What a task waits for comes with the task.

    Example: seedcore graph import --folder graph-2031-05 --dry-run

    Exit codes: 3 a file is missing or was changed; 7 some entities or ends of edges are not there.
    """
    from seedcore.graph.exchange.importing import read

    limit = cli.options.statement_timeout
    with cli.connect(statement_timeout_s=_STATEMENT_TIMEOUT_S if limit is None else limit) as conn:
        rows = read(conn, folder, actor=cli.actor, dry_run=dry_run)
    cli.printer.many(rows, IMPORTED)
    failed = sum(row["failed"] for row in rows)
    if failed:
        raise PartialFailure(
            f"{failed} entities and edges could not be read: they or their ends are not there",
            code="graph.import_partial",
        )
