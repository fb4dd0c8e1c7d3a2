"""One migration at a time per database: a session advisory lock that is polled, never waited for."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import psycopg

from seedcore.db.sql import Queries
from seedcore.errors import LockBusy

queries = Queries("seedcore.db.migrate")

# Two numbers name an advisory lock: the first is SeedCore's own space, the second the duty.
SPACE = 0x5EEDC0DE
DUTY = 1
_KEY = {"space": SPACE, "duty": DUTY}
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


@dataclass(frozen=True)
class Holder:
    """The session that migrates right now.

    Args:
        pid: Its process on the server.
        user: Its role; None when this role may not see it.
        application: What it calls itself.
        address: Where it comes from; None for a local socket.
        since: When it connected.
    """

    pid: int | None
    user: str | None
    application: str | None
    address: str | None
    since: datetime | None

    def __str__(self) -> str:
        """Say who in a few words."""
        return f"pid {self.pid} ({self.application or 'unknown'} from {self.address or 'local'})"


def holder(connection: psycopg.Connection) -> Holder | None:
    """Return who holds the lock, or None."""
    row = connection.execute(queries.lock_holder, _KEY).fetchone()
    return None if row is None else Holder(*row)


@contextmanager
def migration_lock(connection: psycopg.Connection, timeout_s: float) -> Generator[None]:
    """Hold the lock while the block runs.

    It belongs to the session, so it ends with the connection, however that ends.

    Args:
        connection: An autocommit connection; the same that the migration will run on.
        timeout_s: How long to wait for another holder, in seconds; 0 = not at all.

    Raises:
        LockBusy: Someone else still holds it.
    """
    deadline = time.monotonic() + timeout_s
    pause_s = _FIRST_PAUSE_S
    while not _try(connection):
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            who = holder(connection)
            raise LockBusy(
                f"another migration is running: {who}" if who else "another migration is running",
                code="migrate.lock_busy",
                hint="wait for it, or give it longer with --lock-timeout",
                details={"pid": who.pid if who else None, "waited_s": timeout_s},
            )
        time.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
    try:
        yield
    finally:
        # A broken connection can't answer, and needs not: its lock is gone with it.
        with suppress(psycopg.Error):
            connection.execute(queries.unlock, _KEY)


def _try(connection: psycopg.Connection) -> bool:
    row = connection.execute(queries.try_lock, _KEY).fetchone()
    return row is not None and bool(row[0])
