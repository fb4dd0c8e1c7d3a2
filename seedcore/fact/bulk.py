"""Facts from a file: lines in, one result a line out, in batches and bounded memory."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg

from seedcore.errors import SeedcoreError, UsageError
from seedcore.fact.adding import Entry, store
from seedcore.fact.intake import BadFact, read_fact
from seedcore.fact.model import LINE_MAX_BYTES
from seedcore.task.plain import InvalidJson, load_json
from seedcore.task.reading import Line, Readable, Reader, read_lines

BATCH: Final = 2000
BATCH_BYTES: Final = 8 << 20
"""A batch is full, too, when its lines hold this much text."""

_ATTEMPTS: Final = 3
_READER: Final = Reader(
    "seedcore fact add -f -", "fact.too_long", "keep what is long elsewhere, and say where"
)


@dataclass
class Summary:
    """Counts of a load, right at every moment of it.

    Args:
        lines: Lines that were judged.
        created: New facts.
        known: Lines that say what was known.
        superseded: Facts that ended for new ones.
        failed: Lines that made no fact.
        next_line: Where to go on; None when all lines were judged.
    """

    lines: int = 0
    created: int = 0
    known: int = 0
    superseded: int = 0
    failed: int = 0
    next_line: int | None = None
    codes: dict[str, int] = field(default_factory=dict[str, int])

    def count(self, entry: Entry) -> None:
        """Add one line."""
        self.lines += 1
        self.created += entry.created
        self.superseded += len(entry.superseded)
        if entry.error is not None:
            self.failed += 1
            self.codes[entry.error.code] = self.codes.get(entry.error.code, 0) + 1
        elif not entry.created:
            self.known += 1


class Load:
    """A load of facts: iterate over it for the results, ask `summary` at any time.

    Args:
        conn: A connection in autocommit; a batch is one transaction.
        stream: NDJSON or a JSON array, opened in binary mode.
        actor: Who is recorded.
        reason: Why.
        supersede: End older facts where new ones of the same subject and predicate begin.
        stops: Stop before the first bad line; else leave bad lines out.
        from_line: Number of the first line to take.
        batch_size: Lines in a transaction.
        dry_run: Judge, but store nothing. Batches don't see each other then.
    """

    def __init__(
        self,
        conn: psycopg.Connection[Any],
        stream: Readable,
        *,
        actor: str,
        reason: str | None = None,
        supersede: bool = False,
        stops: bool = True,
        from_line: int = 1,
        batch_size: int = BATCH,
        dry_run: bool = False,
    ) -> None:
        self.summary = Summary()
        self._conn = conn
        self._lines = read_lines(stream, max_bytes=LINE_MAX_BYTES, reader=_READER)
        self._from_line = from_line
        self._batch_size = batch_size
        self._stops = stops
        self._rules: dict[str, Any] = {
            "actor": actor,
            "reason": reason,
            "supersede": supersede,
            "stops": stops,
            "dry_run": dry_run,
        }

    def __iter__(self) -> Generator[Entry]:
        """Yield what became of each line, when its batch is stored.

        Raises:
            SeedcoreError: The database failed; `summary.next_line` tells where to go on.
        """
        lines = (line for line in self._lines if line[0] >= self._from_line)
        for batch in _batches(lines, self._batch_size):
            self.summary.next_line = batch[0].line
            for entry in self._stored(batch):
                self.summary.count(entry)
                if entry.error is not None and self._stops:
                    self.summary.next_line = entry.line
                    yield entry
                    return
                yield entry
        self.summary.next_line = None

    def _stored(self, batch: list[Entry]) -> Iterable[Entry]:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return store(self._conn, batch, **self._rules)
            except SeedcoreError as error:
                if error.code != "db.serialization" or attempt == _ATTEMPTS:
                    raise
                for entry in batch:  # another session went first: judge them anew
                    entry.created, entry.superseded = False, ()
                    if entry.fact is not None:
                        entry.error = None
        raise AssertionError  # the loop returns or raises


def _batches(lines: Iterable[Line], most: int) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    size = 0
    for line in lines:
        batch.append(_read(line))
        size += batch[-1].size
        if len(batch) >= most or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _read(line: Line) -> Entry:
    number, text = line
    if isinstance(text, UsageError):
        return Entry(None, number, text)
    try:
        return Entry(read_fact(load_json(text)), number, size=len(text))
    except InvalidJson as fault:
        return Entry(None, number, fault, size=len(text))
    except BadFact as fault:
        return Entry(None, number, fault, size=len(text))
