"""The connection that migrations run on: psycopg's own, lent to SQLAlchemy while Alembic works."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psycopg

from seedcore.db.errors import translated
from seedcore.errors import ConfigError

if TYPE_CHECKING:
    import sqlalchemy as sa

    from seedcore.config.settings import Settings

log = logging.getLogger(__name__)

_OLDEST_SERVER = 15
# How long DDL may wait for a lock: whatever comes after it on the same table waits behind it.
LOCK_TIMEOUT_S = 5.0
# A CONCURRENTLY build waits for every open transaction, and nobody waits behind it but other DDL.
PATIENT_LOCK_TIMEOUT_S = 600.0


def conninfo_of(where: Settings | str) -> str:
    """Return the connection string of settings, starting the embedded server if they name none."""
    if isinstance(where, str):
        return where
    from seedcore.db.connection import conninfo

    return conninfo(where)


def actor_of(where: Settings | str) -> str:
    """Return who is recorded for what is applied."""
    from seedcore.config.settings import Settings
    from seedcore.db import actor

    return actor(Settings() if isinstance(where, str) else where)


@contextmanager
def open_session(
    where: Settings | str, *, statement_timeout_s: float = 0.0
) -> Generator[psycopg.Connection]:
    """Open an autocommit connection for migrations and close it afterwards.

    Args:
        where: Settings, or a libpq connection string.
        statement_timeout_s: Longest time of one statement, in seconds; 0 = none, because a revision
            on a large table takes as long as it takes.

    Raises:
        Unavailable: The server can't be reached.
        ConfigError: The server is too old.
    """
    options = {
        "search_path": "public",
        "TimeZone": "UTC",
        "lock_timeout": f"{LOCK_TIMEOUT_S:g}s",
        "statement_timeout": f"{round(statement_timeout_s * 1000)}ms",
    }
    with translated():
        connection = psycopg.connect(
            conninfo_of(where),
            autocommit=True,
            application_name="seedcore migrate",
            connect_timeout=5,
        )
    with connection:
        if connection.info.server_version < _OLDEST_SERVER * 10_000:
            raise ConfigError(
                f"PostgreSQL {connection.info.server_version // 10_000} is too old",
                code="db.server_too_old",
                hint=f"SeedCore needs PostgreSQL {_OLDEST_SERVER} or later",
            )
        connection.add_notice_handler(_log_warning)
        with translated():
            # Set afterwards, not in the start-up packet: poolers refuse what they don't know.
            connection.execute(
                "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[])"
                " AS option (name, value)",
                (list(options), list(options.values())),
            )
        yield connection


@contextmanager
def lent_to_sqlalchemy(connection: psycopg.Connection) -> Generator[sa.Connection]:
    """Let SQLAlchemy and Alembic use the connection, in transactions of theirs; it stays open."""
    import sqlalchemy as sa
    from sqlalchemy.pool import StaticPool

    connection.autocommit = False
    engine = sa.create_engine(
        "postgresql+psycopg://", creator=lambda: connection, poolclass=StaticPool
    )
    try:
        with engine.connect() as lent:
            yield lent
    finally:
        # After a lost connection, or a Ctrl-C in the middle, that error is the one to hear of.
        with suppress(psycopg.Error):
            connection.rollback()
            connection.autocommit = True


@contextmanager
def patient(connection: psycopg.Connection[Any]) -> Generator[None]:
    """Wait long for locks: for statements that stop nobody while they wait. Outside transactions."""
    change = "SELECT set_config('lock_timeout', %s, false)"
    connection.execute(change, [f"{PATIENT_LOCK_TIMEOUT_S:g}s"])
    yield
    connection.execute(change, [f"{LOCK_TIMEOUT_S:g}s"])


def notice_lost_clients(connection: psycopg.Connection) -> None:
    """Ask the server to stop a long statement when its client has died.

    Otherwise the backend of a killed `migrate up` would finish its index, holding the lock all the
    while. Servers on systems that can't tell refuse the setting, and then simply do that.
    """
    try:
        connection.execute("SET client_connection_check_interval = '1s'")
    except psycopg.errors.InvalidParameterValue:
        log.debug(
            "The server can't notice lost clients", extra={"event": "migrate.no_client_check"}
        )


def _log_warning(diagnostic: psycopg.errors.Diagnostic) -> None:
    if diagnostic.severity_nonlocalized == "WARNING":
        log.warning("%s", diagnostic.message_primary, extra={"event": "migrate.warning"})


@contextmanager
def from_settings() -> Generator[sa.Connection]:
    """Open the connection of whoever drives Alembic by hand: to the database of the settings."""
    from seedcore import config

    with open_session(config.load()) as connection, lent_to_sqlalchemy(connection) as lent:
        yield lent
