"""Bulk submission: lines in, tasks stored in batches, one result a line, in bounded memory.

Each batch is one transaction. A line that can't be stored never takes half a batch with it: either the
batch ends before it, or it is stored without it.
"""

from __future__ import annotations

import gc
import pickle
import sys
import tempfile
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import psycopg

from seedcore.db.errors import translated
from seedcore.task.line import Entry, LineError, LineResult, OnConflict, Rules, Unique, read_entry
from seedcore.task.reading import Line, read_lines
from seedcore.task.rehearsal import Rehearsal
from seedcore.task.staging import LateError, Stage, Storing

__all__ = [
    "BulkSubmission", "BulkSummary", "LineError", "LineResult", "Rules", "read_lines", "submit_lines",
]  # fmt: skip

OnError = Literal["stop", "continue"]

BATCH_BYTES = 16 << 20
"""A batch is full, too, when its lines hold this much text."""


@dataclass
class BulkSummary:
    """Counts of a bulk submission, right at every moment of it.

    Args:
        lines: Lines that were judged.
        created: New tasks.
        existing: Lines whose id or key was known.
        failed: Lines that made no task.
        warnings: Warnings of the linter.
        codes: How often each error code occurred.
        next_line: What `from_line` has to be to go on; None when all lines were judged.
        kept: With `atomic`, whether everything is stored; None while the commit is under way, whose
            outcome nobody knows if it breaks off.
    """

    lines: int = 0
    created: int = 0
    existing: int = 0
    failed: int = 0
    warnings: int = 0
    codes: dict[str, int] = field(default_factory=dict[str, int])
    next_line: int | None = None
    kept: bool | None = False

    def count(self, results: Sequence[LineResult]) -> None:
        """Add the results of some lines."""
        created = sum(result.created for result in results)
        failed = sum(result.status is None for result in results)
        self.lines += len(results)
        self.created += created
        self.failed += failed
        self.existing += len(results) - created - failed
        self.warnings += sum(len(result.warnings) for result in results)
        for result in results:
            if result.error:
                self.codes[result.error.code] = self.codes.get(result.error.code, 0) + 1


def submit_lines(
    conn: psycopg.Connection[Any],
    lines: Iterable[Line],
    *,
    actor: str,
    reason: str | None = None,
    batch_size: int = 5000,
    on_error: OnError = "stop",
    on_conflict: OnConflict = "return",
    unique: Unique = "live",
    atomic: bool = False,
    from_line: int = 1,
    lint_mode: str = "warn",
    params_max_bytes: int = 1_048_576,
    known_tools: Collection[str] | None = None,
    dry_run: bool = False,
) -> BulkSubmission:
    """Prepare a bulk submission; iterating over it does the work.

    Args:
        conn: A connection in autocommit.
        lines: Numbered documents, as `read_lines` yields them.
        actor: Who is recorded.
        reason: Why.
        batch_size: Lines in a transaction.
        on_error: `stop` ends before the first bad line, which is reported; `continue` leaves bad lines
            out.
        on_conflict: What a known id or key means: `return` its task, `skip` the line, or `fail`.
        unique: Whether a key is unique among `live` and completed tasks, or for `ever`.
        atomic: One transaction for all; the first error undoes everything.
        from_line: Number of the first line to take.
        lint_mode: `warn`, `strict` or `off`.
        params_max_bytes: Largest params document.
        known_tools: Names of tools; None = don't check.
        dry_run: Judge every line as a real run would, but store nothing.
    """
    rules = Rules(
        unique=unique,
        on_conflict=on_conflict,
        lint_mode=lint_mode,
        params_max_bytes=params_max_bytes,
        known_tools=known_tools,
    )
    stage: Storing = Rehearsal(conn, rules) if dry_run else Stage(conn, rules, actor, reason)
    return BulkSubmission(
        conn,
        lines if from_line <= 1 else (line for line in lines if line[0] >= from_line),
        stage,
        rules,
        batch_size=batch_size,
        from_line=from_line,
        stops=atomic or on_error == "stop",
        atomic=atomic and not dry_run,
    )


class BulkSubmission:
    """A bulk submission: iterate over it for the results, ask `summary` at any time.

    The results of a batch appear when it is committed (with `atomic`: when everything is).
    """

    def __init__(
        self,
        conn: psycopg.Connection[Any],
        lines: Iterable[Line],
        stage: Storing,
        rules: Rules,
        *,
        batch_size: int,
        from_line: int,
        stops: bool,
        atomic: bool,
    ) -> None:
        self.summary = BulkSummary()
        self._conn = conn
        self._lines = lines
        self._stage = stage
        self._rules = rules
        self._batch_size = batch_size
        self._from_line = from_line
        self._stops = stops
        self._atomic = atomic

    def __iter__(self) -> Generator[LineResult]:
        """Yield a result for every line that was judged.

        Raises:
            SeedcoreError: The database failed; `summary` tells how far it got.
        """
        with closing(self._all_or_nothing() if self._atomic else self._in_batches()) as batches:
            for results in batches:
                self.summary.count(results)
                yield from results

    def _in_batches(self) -> Generator[list[LineResult]]:
        """Store batch by batch; while the database works on one, the next is read."""
        with _Aside(self._conn) as aside:
            storing: Future[Sequence[Entry]] | None = None
            for entries in self._batches():
                judged = storing.result() if storing else ()
                is_over = self._is_over(judged)
                storing = None if is_over else aside.submit(self._store, entries)
                yield [entry.result() for entry in judged]
                if is_over:
                    return
            judged = storing.result() if storing else ()
            yield [entry.result() for entry in judged]
            if not self._is_over(judged):
                self.summary.next_line = None

    def _is_over(self, judged: Sequence[Entry]) -> bool:
        """Whether the batch ended at a line that stops everything."""
        return bool(self._stops and judged and judged[-1].error and judged[-1].status is None)

    def _all_or_nothing(self) -> Generator[list[LineResult]]:
        """Hold the results back until everything is stored; in a file, as there may be millions."""
        with tempfile.TemporaryFile() as spool:
            bad: LineResult | None = None
            with (
                translated(),
                self._conn.transaction() as transaction,
                closing(self._in_batches()) as batches,
            ):
                for results in batches:
                    if results and results[-1].status is None:
                        bad = results[-1]
                    pickle.dump(results, spool)
                if bad:
                    raise psycopg.Rollback(transaction)
                self.summary.kept = None
            self.summary.kept = not bad
            if bad:
                self.summary.next_line = self._from_line
                yield [bad]
                return
            end = spool.tell()
            spool.seek(0)
            while spool.tell() < end:
                yield pickle.load(spool)  # noqa: S301 - our own file, which has no name

    def _batches(self) -> Iterator[list[Entry]]:
        """Yield judged lines; when errors stop it, a bad line is the last of its batch."""
        batch: list[Entry] = []
        size = 0
        for line in self._lines:
            entry = read_entry(line, self._rules)
            batch.append(entry)
            size += entry.size
            is_last = self._stops and entry.error is not None
            if is_last or len(batch) >= self._batch_size or size >= BATCH_BYTES:
                yield batch
                batch, size = [], 0
                if is_last:
                    return
        if batch:
            yield batch

    def _store(self, entries: list[Entry]) -> Sequence[Entry]:
        """Store what can be stored; return the lines that were judged."""
        self.summary.next_line = entries[0].line
        while True:
            good = [entry for entry in entries if entry.error is None]
            if not good:
                break
            try:
                with translated():
                    self._stage.store(good)
            except LateError:
                if self._stops:
                    # Up to the first bad one, without the lines after it.
                    first = next(n for n, entry in enumerate(entries) if entry.error)
                    entries = entries[: first + 1]
            else:
                break
        self.summary.next_line = entries[-1].line + (0 if self._is_over(entries) else 1)
        return entries


class _Aside:
    """A thread that talks to the database while this one reads.

    Left early, by an error or Ctrl-C, it cancels what is being stored and waits until the connection is
    free, so that nobody else uses it meanwhile.

    While it is open, the process collects garbage rarely (a batch is tens of thousands of objects, none
    of them garbage yet) and hands the interpreter over sooner (or the database would wait 5 ms at each
    of its answers). Together that doubles the speed.
    """

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self._conn = conn
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._running: Future[Any] | None = None

    def __enter__(self) -> _Aside:
        self._before = gc.get_threshold(), sys.getswitchinterval()
        gc.set_threshold(200_000, 20, 20)
        sys.setswitchinterval(0.0002)
        return self

    def submit(
        self, store: Callable[[list[Entry]], Sequence[Entry]], entries: list[Entry]
    ) -> Future[Sequence[Entry]]:
        running = self._thread.submit(store, entries)
        self._running = running
        return running

    def __exit__(self, *_: object) -> None:
        if self._running and not self._running.done():
            with suppress(psycopg.Error):  # it may end by itself just now
                self._conn.cancel_safe(timeout=2.0)
        self._thread.shutdown(wait=True)
        thresholds, interval = self._before
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(interval)
