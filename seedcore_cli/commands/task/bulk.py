"""`seedcore task submit -f`: lines in, one result per line out."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING, Any, Literal

from seedcore.errors import PartialFailure, SeedcoreError
from seedcore_cli.commands.task.columns import BULK
from seedcore_cli.commands.task.tools import known_tools
from seedcore_cli.humanize import count_of
from seedcore_cli.options import Cli

if TYPE_CHECKING:
    from seedcore.task.bulk import BulkSummary, LineError, LineResult
    from seedcore.task.reading import Readable


_LONGEST_POINTER = 160


def submit_file(
    cli: Cli,
    stream: Readable,
    *,
    on_error: Literal["stop", "continue"],
    on_conflict: Literal["return", "skip", "fail"],
    unique: Literal["waiting", "unfinished", "live", "ever"],
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
        rows = _rows(iter(submission), first_bad, only_errors=only_errors, dry_run=dry_run)
        try:
            # Results come in bursts of a batch; writing each through would cost more than the COPY.
            cli.printer.stream(rows, BULK, flush=False)
        except (KeyboardInterrupt, OSError, SeedcoreError) as error:
            # Ends what is being stored just now, so that the summary is the last word.
            rows.close()
            if not dry_run:
                _say_how_far(cli, error, submission.summary, atomic=atomic, from_line=from_line)
            raise
    _conclude(cli, submission.summary, first_bad, atomic=atomic, dry_run=dry_run)


def _rows(
    results: Generator[LineResult],
    first_bad: list[tuple[int, LineError]],
    *,
    only_errors: bool,
    dry_run: bool,
) -> Generator[dict[str, Any]]:
    with closing(results):
        for result in results:
            error = result.error
            if error is not None and result.status is None and not first_bad:
                first_bad.append((result.line, error))
            if only_errors and error is None:
                continue
            yield _row(result, dry_run=dry_run)


def _row(result: LineResult, *, dry_run: bool) -> dict[str, Any]:
    error = result.error
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
    return row


def _sentence(error: LineError) -> str:
    place = f"column {error.column}: " if error.column else ""
    pointer = error.pointer or ""
    if len(pointer) > _LONGEST_POINTER:  # a key may be a megabyte long; -o json has all of it
        pointer = pointer[: _LONGEST_POINTER - 1] + "…"
    if not place and pointer and pointer.strip("/").split("/")[0] not in error.message:
        place = f"{pointer}: "
    return place + error.message


def _say_how_far(
    cli: Cli,
    error: BaseException,
    summary: BulkSummary,
    *,
    atomic: bool,
    from_line: int,
) -> None:
    next_line = summary.next_line or from_line
    if atomic and summary.kept:
        so_far = "everything was stored before that"
    elif atomic and summary.kept is None:
        so_far = "whether everything or nothing was stored is not known; see: seedcore task list"
    elif atomic or next_line <= from_line:
        so_far = "nothing was stored"
    else:
        so_far = f"the lines before {next_line} are done; go on with --from-line {next_line}"
    if isinstance(error, SeedcoreError):
        error.hint = f"{error.hint.rstrip('.')}; {so_far}" if error.hint else so_far
    elif not isinstance(error, BrokenPipeError):
        cli.note(f"stopped; {so_far}")


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
        warnings = count_of(summary.warnings, "warning")
        cli.note(f"{warnings}; 'seedcore task lint FILE' lists them")
    if not first_bad:
        cli.note(f"{count_of(summary.lines, 'line')}: {counts}")
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
        cure = f"{error.hint}; then" if error.hint else "mend the line and"
        hint = f"{cure} go on with --from-line {summary.next_line}, or use --on-error continue"
    else:
        refused = count_of(summary.failed, "line")
        message = f"{refused} refused, the first at {line}: {_sentence(error)} ({counts})"
        hint = error.hint or "mend these lines and submit them alone; the others are in"
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
