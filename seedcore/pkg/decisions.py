"""Where two policies decide differently: on inputs that were recorded, or on a file of them."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from seedcore.db.rows import Row, fetch
from seedcore.errors import SeedcoreError, UsageError
from seedcore.pkg.engines.decision import digest
from seedcore.pkg.engines.document import Input
from seedcore.pkg.engines.loading import TIMEOUT_S, evaluator
from seedcore.pkg.engines.port import Evaluator
from seedcore.pkg.model import Policy
from seedcore.pkg.replay import in_short
from seedcore.pkg.validation import queries
from seedcore.task.plain import InvalidJson, load_json

Named = tuple[str, Any]
"""What an input is called in the report, and the input."""


def compare(
    before: Policy, after: Policy, inputs: Iterable[Named], *, timeout_s: float = TIMEOUT_S
) -> Generator[Row]:
    """Yield the inputs on which two policies decide differently; equal inputs are asked once.

    Args:
        before: The one.
        after: The other.
        inputs: What to ask.
        timeout_s: Longest evaluation by the engines that run foreign code, in seconds.

    Returns:
        Rows of kind (decision), name, change (changed), before, after, input.

    Raises:
        BadPolicy: One of them can't be loaded.
        Unavailable: The library of an engine is not installed.
    """
    one = evaluator(before, timeout_s=timeout_s)
    try:
        other = evaluator(after, timeout_s=timeout_s)
        try:
            asked: set[str] = set()
            for name, raw in inputs:
                key = digest(raw)
                if key in asked:
                    continue
                asked.add(key)
                (was, said), (now, says) = _outcome(one, raw), _outcome(other, raw)
                if was != now:
                    yield {
                        "kind": "decision",
                        "name": name,
                        "change": "changed",
                        "before": said,
                        "after": says,
                        "input": raw,
                    }
        finally:
            other.close()
    finally:
        one.close()


def recorded(
    conn: psycopg.Connection[Any], *, since: datetime | None = None, limit: int = 1000
) -> Generator[Named]:
    """Yield inputs that workers kept, newest first, named after their tasks.

    Args:
        conn: A connection in any state.
        since: From then on.
        limit: At most this many; 0 = all that are kept.
    """
    parameters = {"since": since, "env": None, "limit": limit or None}
    for row in fetch(conn, queries.recorded, parameters):
        yield str(row["task_id"] or f"evaluation {row['id']}"), row["input"]


def from_file(path: Path) -> Generator[Named]:
    """Yield the inputs of a file with one JSON object per line, named after their lines.

    Raises:
        UsageError: It can't be read, or a line is no JSON; the message says which.
    """
    number = 0
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield f"line {number}", load_json(line)
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}", code="pkg.unreadable") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no UTF-8", code="pkg.unreadable") from None
    except InvalidJson as error:
        where = f"{path}, line {number}"
        raise UsageError(f"{where}: {error.message}", code=error.code, hint=error.hint) from None


def _outcome(engine: Evaluator, raw: Any) -> tuple[str, str]:
    """Return a digest of what was decided, or what failed, and a line for people."""
    try:
        decision = engine.evaluate(Input.parse(raw))
    except SeedcoreError as error:
        if error.code == "pkg.engine_missing":
            raise
        said = f"error: {error.message}"
        return said, said
    return decision.digest(), in_short(decision)
