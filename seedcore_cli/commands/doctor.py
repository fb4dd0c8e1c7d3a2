"""`seedcore doctor`: is the queue healthy, and if not, which command helps."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seedcore.errors import SeedcoreError
from seedcore_cli.app import single
from seedcore_cli.options import Cli, Format, common
from seedcore_cli.output import Column

if TYPE_CHECKING:
    from seedcore.doctor import Finding

command = single()

FINDINGS = (
    Column("check", id=True),
    Column("status", colors={"ok": "green", "warn": "yellow", "fail": "red", "skip": "dim"}),
    Column("detail"),
    Column("hint"),
    Column("fixed", wide=True),
    Column("seconds", align="right", wide=True, format=lambda s: f"{s:.3f}"),
)


class DoctorFormat(StrEnum):
    """The common formats, and one line for a monitoring system."""

    TABLE = "table"
    WIDE = "wide"
    TSV = "tsv"
    JSON = "json"
    JSONL = "jsonl"
    YAML = "yaml"
    NAME = "name"
    NAGIOS = "nagios"


_NAGIOS = {
    "ok": (0, "OK"),
    "warn": (1, "WARNING"),
    "fail": (2, "CRITICAL"),
    "unknown": (3, "UNKNOWN"),
}


@command.command("doctor")
@common
def doctor(
    cli: Cli,
    *,
    only: Annotated[
        str | None,
        typer.Option(
            "--only",
            help="Only these checks, comma-separated; -o name lists them.",
            metavar="A,B",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 3 for warnings too.")] = False,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Repair what is safe to repair: vacuum, rebuild broken indexes, take back stale tasks, "
            "close open files, start the embedded server. Ends no session and changes no setting.",
        ),
    ] = False,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            help="Also write everything to this file, without secrets or what tasks carry.",
            metavar="FILE.tar.gz",
        ),
    ] = None,
    output: Annotated[
        DoctorFormat | None,
        typer.Option(
            "--output",
            "-o",
            help="As everywhere, and nagios: one line, and exit 0, 1, 2 or 3 as its plugins do.",
            metavar="FORMAT",
            case_sensitive=False,
            rich_help_panel="Common options",
        ),
    ] = None,
) -> None:
    """Look for what makes the queue slow, or will: who holds dead rows, broken indexes, a late vacuum.

    Each check says ok, warn, fail, or skip where this role or machine can't tell, with the evidence and
    the command that helps. It works as the plain owner of the database; what needs more names the GRANT.
    An embedded server that is stopped stays stopped, unless --fix.

    Examples:
      seedcore doctor
      seedcore doctor --only horizon,bloat,autovacuum -o json
      seedcore doctor -o nagios

    Exit codes: 3 a check failed (--strict: or warned); 5 the --bundle file exists; with -o nagios 0 ok,
    1 warning, 2 critical, 3 unknown.
    """
    is_nagios = output is DoctorFormat.NAGIOS
    if output is not None:
        # The wrapper leaves an option that a command replaces to the command.
        plain = Format.TSV if is_nagios else Format(output.value)
        cli.options = dataclasses.replace(cli.options, output=plain)
    names = tuple(name.strip() for name in (only or "").split(",") if name.strip())
    try:
        found = _examined(cli, names, fix=fix)
        if is_nagios:
            kept = list(found)
        else:
            kept: list[Finding] = []
            cli.printer.stream((_row(f, kept) for f in found), FINDINGS)
        if bundle is not None:
            _bundle(cli, bundle, kept)
    except SeedcoreError as error:
        if not is_nagios:
            raise
        cli.printer.text(f"SEEDCORE UNKNOWN - {_one_line(error.message)}")
        raise typer.Exit(3) from None
    if is_nagios:
        raise typer.Exit(_nagios(cli, kept))
    counts = {s: sum(1 for f in kept if f.status == s) for s in ("ok", "warn", "fail", "skip")}
    cli.note(", ".join(f"{n} {status}" for status, n in counts.items() if n))
    if not fix and any(f.repair for f in kept):
        cli.hint("seedcore doctor --fix")
    if counts["fail"] or (strict and counts["warn"]):
        raise typer.Exit(3)


def _examined(cli: Cli, names: tuple[str, ...], *, fix: bool) -> Iterable[Finding]:
    from seedcore.config import read
    from seedcore.doctor import examine

    loaded = read(cli.flags, strict=False)
    return examine(loaded, only=names, fix=fix, application_name=cli.command)


def _row(finding: Finding, kept: list[Finding]) -> dict[str, object]:
    kept.append(finding)
    return finding.row()


def _bundle(cli: Cli, path: Path, found: list[Finding]) -> None:
    from seedcore.config import read
    from seedcore.doctor.bundle import write

    names = write(path, read(cli.flags, strict=False), found)
    cli.note(f"wrote {path} with {', '.join(names)}; look through it before you send it")


def _nagios(cli: Cli, found: list[Finding]) -> int:
    """Write one line with what is worst first, then one per fault; return the exit code."""
    statuses = {f.status for f in found}
    worst = next((s for s in ("fail", "warn", "ok") if s in statuses), "unknown")
    code, word = _NAGIOS[worst]
    wrong = [f for status in ("fail", "warn") for f in found if f.status == status]
    counts = " ".join(
        f"{status}={sum(1 for f in found if f.status == status)}"
        for status in ("ok", "warn", "fail", "skip")
    )
    said = wrong[0] if wrong else None
    head = f"{said.check}: {_one_line(said.detail)}" if said else f"{len(found)} checks"
    lines = [f"SEEDCORE {word} - {head} | {counts}"]
    lines += [f"{f.status} {f.check}: {_one_line(f.detail)}" for f in wrong[1:]]
    cli.printer.text("\n".join(lines))
    return code


def _one_line(text: str) -> str:
    """A bar would begin performance data."""
    return " ".join(text.split()).replace("|", "/")
