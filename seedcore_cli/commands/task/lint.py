"""`seedcore task lint`: what the checks of a submission have to say, without submitting."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from seedcore.errors import UsageError
from seedcore_cli.commands.task.columns import FINDINGS
from seedcore_cli.commands.task.group import app
from seedcore_cli.commands.task.source import opened
from seedcore_cli.commands.task.tools import known_tools
from seedcore_cli.exit_codes import CHECK_FAILED
from seedcore_cli.options import Cli, common


@app.command("lint")
@common
def lint(
    cli: Cli,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|ID",
            help="Files of lines as for 'submit -f', - for standard input, or ids.",
        ),
    ],
    *,
    type_defaults: Annotated[
        bool,
        typer.Option(
            "--type-defaults", help="The files hold a task type's default_params instead."
        ),
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings exit with 3 as well.")] = False,
) -> None:
    """Check tasks without storing them, and print one row per finding.

    A submission refuses errors (TASK_LINT_MODE=strict: warnings too). The codes are stable.

    Examples:
      seedcore task lint tasks.ndjson
      echo '{"type": "echo", "params": {"tool_calls": [{"name": 5}]}}' | seedcore task lint -
      seedcore task lint 0198c7a12b3c

    Exit codes: 3 there are errors; 4 no such task.
    """
    tools = known_tools(cli)
    worst: set[str] = set()

    def rows() -> Iterator[dict[str, Any]]:
        for source in sources:
            is_file = source == "-" or Path(source).exists()
            if type_defaults:
                found = _type_findings(source, tools)
            elif is_file:
                found = _file_findings(cli, source, tools)
            else:
                found = _stored_findings(cli, source, tools)
            for row in found:
                worst.add(row["severity"])
                yield row

    cli.printer.stream(rows(), FINDINGS, flush=False)
    if "error" in worst or (strict and worst):
        raise typer.Exit(CHECK_FAILED)
    if not worst:
        cli.note("nothing to complain about")


def _file_findings(
    cli: Cli, source: str, tools: Collection[str] | None
) -> Iterator[dict[str, Any]]:
    from seedcore.task.intake import FieldError, read_document
    from seedcore.task.line import Rules
    from seedcore.task.lint import InvalidJson, lint_instance, load_json
    from seedcore.task.reading import read_lines

    limit = cli.settings.params_max_bytes
    rules = Rules(params_max_bytes=limit)
    with opened(source, cli.printer.flush) as stream:
        for number, text in read_lines(stream, max_bytes=rules.line_max_bytes):
            if isinstance(text, UsageError):
                yield _row(number, None, text.code, "error", "", text.message)
                continue
            try:
                document = load_json(text)
                read_document(document)
            except InvalidJson as fault:
                yield _row(number, None, fault.code, "error", fault.pointer or "", fault.message)
                continue
            except FieldError as fault:
                yield _row(number, None, fault.code, "error", fault.pointer, fault.message)
                continue
            for finding in lint_instance(
                document, known_tools=tools, params_max_bytes=limit, plain=True
            ):
                yield _found(number, None, finding)


def _stored_findings(cli: Cli, ref: str, tools: Collection[str] | None) -> Iterator[dict[str, Any]]:
    from seedcore.task import service
    from seedcore.task.lint import lint_instance

    with cli.connect() as conn:
        task = service.inspect(conn, ref, events=False, graph=False)
    for finding in lint_instance(
        task, known_tools=tools, params_max_bytes=cli.settings.params_max_bytes
    ):
        yield _found(None, str(task["id"]), finding)


def _type_findings(source: str, tools: Collection[str] | None) -> Iterator[dict[str, Any]]:
    from seedcore.task.lint import lint_type
    from seedcore_cli.params import read_json

    document = read_json(source if source == "-" else f"@{source}", source)
    for finding in lint_type(document, known_tools=tools):
        yield _found(None, None, finding)


def _found(line: int | None, id_: str | None, finding: Any) -> dict[str, Any]:
    severity = "error" if finding.severity == "E" else "warning"
    return _row(line, id_, finding.code, severity, finding.path, finding.message)


def _row(
    line: int | None, id_: str | None, code: str, severity: str, path: str, message: str
) -> dict[str, Any]:
    return {
        "line": line, "id": id_, "code": code, "severity": severity, "path": path, "message": message,
    }  # fmt: skip
