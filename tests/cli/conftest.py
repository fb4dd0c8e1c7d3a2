"""Run the command line in this process: a subprocess costs a third of a second each."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from seedcore_cli.main import main


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document on standard output."""
        return json.loads(self.out)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The lines on standard output, each a JSON object."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> dict[str, Any]:
        """The one JSON object on standard error."""
        return json.loads(self.err)["error"]


class Terminal(io.TextIOWrapper):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


Invoke = Callable[..., Result]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Invoke:
    """Call `seedcore` here: `invoke("task", "list", input=b"", tty=True)`; no database is set."""
    for name in list(os.environ):
        if name.startswith(("SEEDCORE_", "PG")):
            monkeypatch.delenv(name)
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "HOME", "SEEDCORE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)

    def call(*words: object, input: bytes = b"", tty: bool = False) -> Result:
        kind = Terminal if tty else io.TextIOWrapper
        out, err = kind(io.BytesIO()), kind(io.BytesIO())
        monkeypatch.setattr("sys.stdin", kind(io.BytesIO(input)))
        with redirect_stdout(out), redirect_stderr(err):
            code = main([str(word) for word in words])
        return Result(code, _text(out), _text(err))

    return call


@pytest.fixture
def cli(invoke: Invoke, monkeypatch: pytest.MonkeyPatch, database_url: str) -> Invoke:
    """`invoke` on a fresh migrated database."""
    monkeypatch.setenv("SEEDCORE_DATABASE_URL", database_url)
    return invoke


class Worker:
    """A worker's statements, without its loop: what it claims ends as the test wants."""

    def __init__(self, conn: psycopg.Connection[dict[str, Any]]) -> None:
        self._conn = conn

    def claim(self, limit: int = 1, *, lease_s: float = 600.0) -> list[dict[str, Any]]:
        """Take tasks."""
        return self._conn.execute(
            "SELECT id, attempts FROM tasks_claim('queue', 'worker-1', %s, %s, 'host-1')",
            (limit, lease_s),
        ).fetchall()

    def complete(self, limit: int = 1) -> list[str]:
        """Take tasks and end them well; return their ids."""
        tasks = self.claim(limit)
        self._conn.execute(
            "SELECT tasks_complete('worker-1', %s::uuid[], %s::int[])",
            ([t["id"] for t in tasks], [t["attempts"] for t in tasks]),
        )
        return [str(t["id"]) for t in tasks]

    def fail(self, limit: int = 1) -> list[str]:
        """Take tasks and let them fail for good; return their ids."""
        tasks = self.claim(limit)
        ids = [t["id"] for t in tasks]
        self._conn.execute(
            "SELECT tasks_retry_or_fail(%s::uuid[], %s::text[], p_retryable => %s::bool[])",
            (ids, ["bad_payload: no"] * len(ids), [False] * len(ids)),
        )
        return [str(i) for i in ids]


@pytest.fixture
def worker(conn: psycopg.Connection[dict[str, Any]]) -> Worker:
    """A worker on the same database as `cli`."""
    return Worker(conn)


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()
