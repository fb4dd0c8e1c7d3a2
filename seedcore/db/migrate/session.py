"""The connection that migrations run on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import sqlalchemy as sa
from sqlalchemy.pool import NullPool


@contextmanager
def open_session(conninfo: str) -> Iterator[sa.Connection]:
    """Open a connection for migrations and close it afterwards.

    Args:
        conninfo: libpq connection string or URL.
    """

    def connect() -> psycopg.Connection:
        return psycopg.connect(
            conninfo,
            application_name="seedcore migrate",
            connect_timeout=5,
            options="-c search_path=public -c TimeZone=UTC -c lock_timeout=5s",
        )

    engine = sa.create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


@contextmanager
def from_settings() -> Iterator[sa.Connection]:
    """Open the session of whoever drives Alembic by hand: the database of the settings."""
    from seedcore import config
    from seedcore.db.connection import conninfo

    with open_session(conninfo(config.load())) as connection:
        yield connection
