"""`seedcore pkg validate`: run a policy's fixtures."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seedcore.errors import CheckFailed, UsageError
from seedcore_cli.commands.pkg.arguments import Env
from seedcore_cli.commands.pkg.eval import From, OptionalVersion
from seedcore_cli.commands.pkg.group import app
from seedcore_cli.options import Cli, common
from seedcore_cli.output import Column

if TYPE_CHECKING:
    from seedcore.pkg.validation import Report

CASES = (
    Column("name", header="FIXTURE", id=True),
    Column("ok", colors={"True": "green", "False": "red"}),
    Column("expected"),
    Column("got"),
    Column("ms", align="right"),
    Column("where", wide=True),
)


class Annotation(StrEnum):
    """Where else results are shown."""

    GITHUB = "github"


@app.command("validate")
@common
def validate(
    cli: Cli,
    version: OptionalVersion = None,
    *,
    source: From = None,
    env: Env = None,
    fixtures: Annotated[
        Path | None,
        typer.Option(
            "--fixtures",
            metavar="DIR",
            help="Run the fixtures of another folder; such a run is not recorded.",
        ),
    ] = None,
    coverage_min: Annotated[
        float | None,
        typer.Option(
            "--coverage-min", metavar="SHARE", min=0, max=1, help="Least share of rules that fire."
        ),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Also write a JUnit report.")
    ] = None,
    annotate: Annotated[
        Annotation | None,
        typer.Option(
            "--format",
            metavar="github",
            help="Also write annotations for GitHub to standard error.",
        ),
    ] = None,
) -> None:
    """Run the fixtures of a policy: inputs, and what must be decided on each.

    The run of a stored snapshot is recorded, green or not; promotion and canary ask for a green one of
    exactly this content. A folder is only tested, and needs no database. What a fixture does not
    mention is not looked at.

    Examples:
      seedcore pkg validate --from house --coverage-min 0.9
      seedcore pkg validate v1
      seedcore pkg validate --from house --junit policy.xml --format github

    Exit codes: 2 the report can't be written; 3 a fixture failed, expects nothing, or too few rules
    fire; 4 there is no such snapshot or folder; 69 the engine is not installed.
    """
    from dataclasses import replace

    from seedcore.pkg import sources, validation
    from seedcore.pkg.reports import github_lines, junit_xml

    sources.only_one(version, source)
    timeout_s = cli.settings.pkg_timeout_s
    other = None if fixtures is None else sources.fixtures_of(fixtures)
    if source is not None:
        policy = sources.folder(source)
        report = validation.run(
            policy if other is None else replace(policy, fixtures=other), timeout_s=timeout_s
        )
    else:
        with cli.connect() as conn:
            snapshot = sources.snapshot_of(
                conn, version, env=env.value if env else None, prefer=cli.settings.pkg_env
            )
            digest = validation.digest_of(conn, snapshot)
            policy = sources.load(conn, snapshot)
            report = validation.run(
                policy if other is None else replace(policy, fixtures=other), timeout_s=timeout_s
            )
            # A run that was not green is recorded too: it takes an earlier green one back.
            if other is None:
                validation.record(conn, snapshot, report, digest=digest, actor=cli.actor)
    if junit is not None:
        _write(junit, junit_xml(report, policy.version or "policy"))
    if annotate is not None:
        for line in github_lines(report, fixtures or source):
            typer.echo(line, err=True)
    _show(cli, report)
    _judge(report, coverage_min)


def _show(cli: Cli, report: Report) -> None:
    if cli.format == "json":
        document = report.document()
        cli.printer.one(document, [Column(key) for key in document])
        return
    rows: list[dict[str, object]] = []
    for case in report.cases:
        row = case.row()
        row["expected"] = "; ".join(f"{d['what']}: {d['expected']}" for d in case.diff)
        row["got"] = case.error or "; ".join(f"{d['what']}: {d['got']}" for d in case.diff)
        rows.append(row)
    cli.printer.many(rows, CASES)
    share = report.coverage
    covered = "" if share is None else f", {share:.0%} of the rules fire"
    cli.note(f"{len(report.cases) - report.failed} of {len(report.cases)} passed{covered}")
    if report.never_fired:
        cli.note(f"no fixture makes fire: {', '.join(report.never_fired[:20])}")


def _judge(report: Report, least: float | None) -> None:
    if not report.success:
        first = next(case for case in report.cases if not case.ok)
        place = "" if first.fixture.where is None else f"{first.fixture.where}: "
        raise CheckFailed(
            f"{report.failed} of {len(report.cases)} fixtures failed;"
            f' {place}"{first.fixture.name}": {first.message()}',
            code="pkg.validation_failed",
        )
    if least is not None and (report.coverage or 0.0) < least:
        share = "not known" if report.coverage is None else f"{report.coverage:.0%}"
        raise CheckFailed(
            f"the share of rules that fire is {share}, at least {least:.0%} was asked",
            code="pkg.coverage_too_low",
            hint="a fixture for each of: " + ", ".join(report.never_fired[:10]),
        )


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror}") from None
