"""The connection that migrations run on: psycopg's own, lent to SQLAlchemy while Alembic works."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import tuple_row

from seedcore.db import actor
from seedcore.db.connection import connect
from seedcore.db.errors import translated
from seedcore.errors import ConfigError

if TYPE_CHECKING:
    import sqlalchemy as sa

    from seedcore.config.settings import Settings

log = logging.getLogger(__name__)

_OLDEST_SERVER = 15
# How long DDL may wait for a lock at a time: whatever comes after it on the same table waits behind it.
LOCK_TIMEOUT_S = 5.0
_SHORTEST_LOCK_TIMEOUT_S = 0.1
# A CONCURRENTLY build waits for every open transaction, and nobody waits behind it but other DDL.
PATIENT_LOCK_TIMEOUT_S = 600.0


def settings_of(where: Settings | str) -> Settings:
    """Return settings; a connection string becomes settings that name it."""
    from seedcore.config.settings import Settings

    return Settings(database_url=where) if isinstance(where, str) else where


def actor_of(where: Settings | str) -> str:
    """Return who is recorded for what is applied."""
    return actor(settings_of(where))


def starts_something(where: Settings | str) -> bool:
    """Tell whether connecting would first have to make the embedded server's data folder."""
    from seedcore.config import home
    from seedcore.db.connection import is_embedded
    from seedcore.db.embedded import EmbeddedServer

    settings = settings_of(where)
    if not is_embedded(settings):
        return False
    return EmbeddedServer(home(settings)).status().state == "absent"


def database_name(where: Settings | str) -> str:
    """Return the name of the database, as its server knows it."""
    with open_session(where) as connection:
        return connection.info.dbname


@contextmanager
def open_session(
    where: Settings | str, *, statement_timeout_s: float = 0.0
) -> Generator[psycopg.Connection]:
    """Open an autocommit connection for migrations and close it afterwards.

    Args:
        where: Settings (the embedded server is started if they name no database), or a libpq
            connection string.
        statement_timeout_s: Longest time of one statement, in seconds; 0 = none, because a revision
            on a large table takes as long as it takes.

    Raises:
        Unavailable: The server can't be reached.
        ConfigError: The server is too old, or the connection string is wrong.
    """
    connection: psycopg.Connection = connect(
        settings_of(where),
        application_name="seedcore migrate",
        row_factory=tuple_row,
        statement_timeout_s=statement_timeout_s,
    )
    with connection:
        version = connection.info.server_version // 10_000
        if version < _OLDEST_SERVER:
            raise ConfigError(
                f"PostgreSQL {version} is too old",
                code="db.server_too_old",
                hint=f"SeedCore needs PostgreSQL {_OLDEST_SERVER} or later",
            )
        connection.add_notice_handler(_log_warning)
        with translated():
            connection.execute("SET search_path = public")
            limit_lock_waits(connection, LOCK_TIMEOUT_S)
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


def limit_lock_waits(connection: psycopg.Connection[Any], seconds: float) -> None:
    """Let statements wait for locks for that long, within sensible bounds; zero would mean for ever."""
    seconds = min(max(seconds, _SHORTEST_LOCK_TIMEOUT_S), LOCK_TIMEOUT_S)
    connection.execute("SELECT set_config('lock_timeout', %s, false)", [f"{seconds * 1000:.0f}ms"])


@contextmanager
def patient(connection: psycopg.Connection[Any]) -> Generator[None]:
    """Wait long for locks: for statements that stop nobody while they wait. Outside transactions."""
    before = connection.execute("SELECT current_setting('lock_timeout')").fetchone() or ("5s",)
    change = "SELECT set_config('lock_timeout', %s, false)"
    connection.execute(change, [f"{PATIENT_LOCK_TIMEOUT_S:g}s"])
    yield
    connection.execute(change, before)


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
    from seedcore.db.migrate.lock import migration_lock

    with (
        open_session(config.load()) as connection,
        migration_lock(connection, timeout_s=60.0),
        lent_to_sqlalchemy(connection) as lent,
    ):
        yield lent
