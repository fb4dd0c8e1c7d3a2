"""The lines of the server's log files, as one stream."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from seedcore.db.embedded.layout import Layout

_STAMP = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) (?:UTC|GMT) ")
_POLL_S = 0.2


class Line(NamedTuple):
    """One line; `at` is when its entry was written, also for the lines that continue it."""

    at: datetime | None
    text: str


def tail(layout: Layout, count: int, *, since: datetime | None = None) -> list[Line]:
    """Return the last lines of the log.

    Args:
        layout: Whose log.
        count: How many at most; 0 = all that are kept, which is a week.
        since: Only entries from then on.
    """
    kept: deque[Line] = deque(maxlen=count or None)
    for path in _files(layout):
        for line in _dated(path.read_text(encoding="utf-8", errors="replace").splitlines()):
            if since is None or (line.at is not None and line.at >= since):
                kept.append(line)
    return list(kept)


def follow(layout: Layout) -> Iterator[Line]:
    """Yield lines as they are written; ends only when the caller stops asking."""
    offsets = {path: path.stat().st_size for path in _files(layout)}
    while True:
        for path in _files(layout):
            start = offsets.get(path, 0)
            size = path.stat().st_size
            if size < start:  # a week has passed: the day's file begins anew
                start = 0
            if size == start:
                continue
            with path.open("rb") as file:
                file.seek(start)
                chunk = file.read(size - start)
            whole = chunk[: chunk.rfind(b"\n") + 1]
            offsets[path] = start + len(whole)
            yield from _dated(whole.decode("utf-8", errors="replace").splitlines())
        time.sleep(_POLL_S)


def _files(layout: Layout) -> list[Path]:
    """Return the log files, oldest first by their last line."""
    return sorted(layout.log_files(), key=lambda path: path.stat().st_mtime)


def _dated(lines: list[str]) -> Iterator[Line]:
    at: datetime | None = None
    for line in lines:
        found = _STAMP.match(line)
        if found:
            at = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
        yield Line(at, line)
