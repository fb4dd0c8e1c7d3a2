"""Two workers on two connections, and waiting for one session to block on another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.integration.task.worker import Worker


@pytest.fixture
def other(database_url: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """A second connection to the same database."""
    with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as connection:
        yield connection


@pytest.fixture
def worker(conn: psycopg.Connection[dict[str, Any]]) -> Worker:
    return Worker(conn, "w1")


@pytest.fixture
def rival(other: psycopg.Connection[dict[str, Any]]) -> Worker:
    return Worker(other, "w2")


@pytest.fixture
def aside() -> Iterator[Callable[..., Future[Any]]]:
    """Run a call in a thread of its own."""
    with ThreadPoolExecutor(4) as pool:
        yield pool.submit


@pytest.fixture
def blocked(database_url: str) -> Iterator[Callable[[psycopg.Connection[Any]], None]]:
    """Wait until a connection's statement waits for a lock."""
    with psycopg.connect(database_url, autocommit=True) as watcher:

        def wait(conn: psycopg.Connection[Any]) -> None:
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                row = watcher.execute(
                    "SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s",
                    [conn.info.backend_pid],
                ).fetchone()
                if row and row[0] == "Lock":
                    return
                time.sleep(0.01)
            raise AssertionError("the session never waited for a lock")

        yield wait
