"""`seedcore task submit -f`: lines in, one result per line out."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from seedcore.errors import PartialFailure, SeedcoreError
from seedcore_cli.commands.task.columns import BULK
from seedcore_cli.commands.task.tools import known_tools
from seedcore_cli.humanize import count_of
from seedcore_cli.options import Cli

if TYPE_CHECKING:
    from seedcore.task.bulk import BulkSubmission, BulkSummary, LineError, LineResult
    from seedcore.task.reading import Readable


_LONGEST_POINTER = 160


@dataclass(frozen=True, kw_only=True)
class Then:
    """The task that waits for all of a file.

    Args:
        type: Its type.
        params: Its payload.
        required: Whether all must complete; else they only have to end.
        idempotency_key: Says "once".
    """

    type: str
    params: dict[str, Any]
    required: bool
    idempotency_key: str | None


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
    then: Then | None,
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
        gather = None
        if then is not None:
            gather = _Gathering(cli, conn, then, reason=reason, dry_run=dry_run)
            gather.check()
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
        rows = _rows(submission, first_bad, only_errors=only_errors, dry_run=dry_run, gather=gather)
        try:
            # Results come in bursts of a batch; writing each through would cost more than the COPY.
            cli.printer.stream(rows, BULK, flush=False)
        except (KeyboardInterrupt, OSError, SeedcoreError) as error:
            # Ends what is being stored just now, so that the summary is the last word.
            rows.close()
            if not dry_run:
                _say_how_far(cli, error, submission.summary, atomic=atomic, from_line=from_line)
            raise
    if gather:
        cli.note(gather.told)
    _conclude(cli, submission.summary, first_bad, atomic=atomic, dry_run=dry_run)


class _Gathering:
    """Submits the task that waits for all of a file, when the file is through.

    Attributes:
        members: Ids of the tasks that it is to wait for.
        told: What became of it, for people.
    """

    def __init__(
        self, cli: Cli, conn: Any, then: Then, *, reason: str | None, dry_run: bool
    ) -> None:
        from seedcore.task.model import NewTask

        self._cli = cli
        self._conn = conn
        self._then = then
        self._reason = reason
        self._dry_run = dry_run
        self._new = NewTask(
            type=then.type, params=then.params, idempotency_key=then.idempotency_key
        )
        self._rules: dict[str, Any] = {
            "lint_mode": cli.settings.task_lint_mode,
            "params_max_bytes": cli.settings.params_max_bytes,
        }
        self.members: list[UUID] = []
        self.told = "the task of --then was not submitted, because not all lines were"

    def check(self) -> None:
        """Refuse a bad task before the first line is stored.

        Raises:
            UsageError: It can't be so.
        """
        from seedcore.task import service

        for finding in service.lint_new(self._new, **self._rules):
            self._cli.warn(f"--then: {finding}")

    def submit(self) -> dict[str, Any]:
        """Submit it and return a row like that of a line."""
        from seedcore.task import service

        count = count_of(len(self.members), "task")
        row: dict[str, Any] = {"line": None, "id": None, "status": "created", "created": True}
        row |= {"error": None, "then": self._then.type}
        if self._dry_run:
            self.told = "the task of --then would wait for all of these"
            return row | {"dry_run": True}
        done = service.submit_after(
            self._conn,
            self._new,
            self.members,
            required=self._then.required,
            actor=self._cli.actor,
            reason=self._reason,
            **self._rules,
        )
        known = "" if done.created else ", known already,"
        does = "waits for" if done.status == "created" else f"is {done.status} after"
        self.told = f"task {done.id}{known} {does} {count}"
        return row | {"id": done.id, "status": done.status, "created": done.created}


def _rows(
    submission: BulkSubmission,
    first_bad: list[tuple[int, LineError]],
    *,
    only_errors: bool,
    dry_run: bool,
    gather: _Gathering | None,
) -> Generator[dict[str, Any]]:
    with closing(iter(submission)) as results:
        for result in results:
            error = result.error
            if gather and result.id and result.status:
                gather.members.append(UUID(result.id))
            if error is not None and result.status is None and not first_bad:
                first_bad.append((result.line, error))
            if only_errors and error is None:
                continue
            yield _row(result, dry_run=dry_run)
    if gather and submission.summary.next_line is None:
        row = gather.submit()
        if not only_errors:
            yield row


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
