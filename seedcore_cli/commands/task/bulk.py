"""`seedcore task submit -f`: lines in, one result per line out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from seedcore.errors import PartialFailure, SeedcoreError
from seedcore_cli.commands.task.columns import BULK
from seedcore_cli.commands.task.tools import known_tools
from seedcore_cli.options import Cli

if TYPE_CHECKING:
    from seedcore.task.bulk import BulkSummary, LineError, LineResult


def submit_file(
    cli: Cli,
    stream: BinaryIO,
    *,
    on_error: Literal["stop", "continue"],
    on_conflict: Literal["return", "skip", "fail"],
    unique: Literal["live", "ever"],
    from_line: int,
    batch_size: int,
    atomic: bool,
    only_errors: bool,
    reason: str | None,
    dry_run: bool,
) -> None:
    """Submit a stream of lines and print a result for each.

    Raises:
        PartialFailure: A line was refused; the message says how to go on.
        SeedcoreError: The database failed; the hint says how far it got.
    """
    from seedcore.task.bulk import Rules, read_lines, submit_lines

    settings = cli.settings
    rules = Rules(params_max_bytes=settings.params_max_bytes)
    with cli.connect() as conn:
        submission = submit_lines(
            conn,
            read_lines(stream, max_bytes=rules.line_max_bytes),
            actor=cli.actor,
            reason=reason,
            batch_size=batch_size,
            on_error=on_error,
            on_conflict=on_conflict,
            unique=unique,
            atomic=atomic,
            from_line=from_line,
            lint_mode=settings.task_lint_mode,
            params_max_bytes=settings.params_max_bytes,
            known_tools=known_tools(cli),
            dry_run=dry_run,
        )
        first_bad: list[tuple[int, LineError]] = []
        rows = _rows(submission, first_bad, only_errors=only_errors, dry_run=dry_run)
        try:
            # Results come in bursts of a batch; writing each through would cost more than the COPY.
            cli.printer.stream(rows, BULK, flush=False)
        except KeyboardInterrupt:
            if not dry_run:
                cli.note(
                    f"stopped; {_so_far(submission.summary, atomic=atomic, from_line=from_line)}"
                )
            raise
        except SeedcoreError as error:
            if not dry_run:
                so_far = _so_far(submission.summary, atomic=atomic, from_line=from_line)
                error.hint = f"{error.hint}; {so_far}" if error.hint else so_far
            raise
    _conclude(cli, submission.summary, first_bad, atomic=atomic, dry_run=dry_run)


def _rows(
    results: Any, first_bad: list[tuple[int, LineError]], *, only_errors: bool, dry_run: bool
) -> Iterator[dict[str, Any]]:
    result: LineResult
    for result in results:
        error = result.error
        if error is not None and result.status is None and not first_bad:
            first_bad.append((result.line, error))
        if only_errors and error is None:
            continue
        row: dict[str, Any] = {
            "line": result.line,
            "id": result.id,
            "status": result.status,
            "created": result.created,
            "error": None if error is None else _sentence(error),
        }
        if error is not None:
            row |= {"code": error.code, "pointer": error.pointer, "hint": error.hint}
        if result.warnings:
            row["warnings"] = list(result.warnings)
        if dry_run:
            row["dry_run"] = True
        yield row


def _sentence(error: LineError) -> str:
    place = f"column {error.column}: " if error.column else ""
    if not place and error.pointer and error.pointer.strip("/").split("/")[0] not in error.message:
        place = f"{error.pointer}: "
    return place + error.message


def _so_far(summary: BulkSummary, *, atomic: bool, from_line: int) -> str:
    if atomic:
        return "nothing was stored"
    stored = summary.created + summary.existing
    go_on = summary.next_line or from_line
    return f"at least {stored} lines are in; go on with --from-line {go_on}"


def _conclude(
    cli: Cli,
    summary: BulkSummary,
    first_bad: list[tuple[int, LineError]],
    *,
    atomic: bool,
    dry_run: bool,
) -> None:
    would = "would be " if dry_run else ""
    counts = f"{summary.created} {would}created, {summary.existing} known already"
    if summary.warnings:
        cli.note(f"{summary.warnings} warnings; 'seedcore task lint FILE' lists them")
    if not first_bad:
        cli.note(f"{summary.lines} lines: {counts}")
        if not dry_run:
            cli.hint("seedcore task stats")
        return
    line, error = first_bad[0]
    stopped = summary.next_line is not None
    if atomic and not dry_run:
        message = f"nothing was stored, because of line {line}: {_sentence(error)}"
        hint = error.hint or "mend the line and submit the file again"
    elif stopped:
        message = f"stopped at line {line}: {_sentence(error)} ({counts} before it)"
        hint = f"mend the line and go on with --from-line {summary.next_line}, or use --on-error continue"
    else:
        message = (
            f"{summary.failed} lines were refused, first line {line}: {_sentence(error)} ({counts})"
        )
        hint = (
            error.hint or "mend them; what is stored already is known by its id or idempotency key"
        )
    raise PartialFailure(
        message,
        code="task.partial",
        hint=hint,
        details={
            "lines": summary.lines,
            "created": summary.created,
            "existing": summary.existing,
            "failed": summary.failed,
            "next_line": summary.next_line,
            "codes": summary.codes,
        },
    )
