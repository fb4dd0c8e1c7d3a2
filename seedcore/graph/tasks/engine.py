"""The graph worker's synchronous SQLAlchemy engine: a pool that checks its connections before use."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy
from psycopg.rows import dict_row, tuple_row
from sqlalchemy import exc

from seedcore.config.settings import Settings
from seedcore.db.errors import translated
from seedcore.errors import Unavailable
from seedcore.task.engine import attentive


class Pool:
    """Lends connections in autocommit.

    Args:
        conninfo: Returns where the database is, each time one is opened.
        settings: `GRAPH_DB_*` and the limit of a statement.
    """

    def __init__(self, conninfo: Callable[[], str], settings: Settings) -> None:
        limit_ms = int(settings.graph_upsert_timeout_s * 1000)

        def connect() -> psycopg.Connection[Any]:
            connection: psycopg.Connection[Any] = psycopg.connect(
                attentive(conninfo()), autocommit=True, prepare_threshold=None
            )
            connection.execute(
                "SELECT set_config('statement_timeout', %s, false), set_config('lock_timeout', '5s', false)",
                [f"{limit_ms}ms"],
            )
            return connection

        self.engine = sqlalchemy.create_engine(
            "postgresql+psycopg://",
            creator=connect,
            pool_pre_ping=True,
            pool_size=settings.graph_db_pool_size,
            max_overflow=settings.graph_db_max_overflow,
            pool_recycle=int(settings.graph_db_pool_recycle_s),
            isolation_level="AUTOCOMMIT",
        )

    @contextmanager
    def lend(self) -> Generator[psycopg.Connection[Any]]:
        """Lend a connection; one that broke is not taken back.

        Raises:
            SeedcoreError: The database can't be reached, or refuses.
        """
        with translated():
            try:
                pooled = self.engine.raw_connection()
            except exc.DBAPIError as error:
                if isinstance(error.orig, psycopg.Error):
                    raise error.orig from error
                raise
            except exc.TimeoutError as error:
                raise Unavailable("all connections of the pool are in use") from error
        connection: Any = pooled.driver_connection
        try:
            connection.row_factory = dict_row
            yield connection
        except BaseException:
            if connection.closed or connection.broken:
                pooled.invalidate()
            raise
        finally:
            # The pool itself reads rows as tuples.
            connection.row_factory = tuple_row
            pooled.close()

    def in_use(self) -> int:
        """Count the connections that are lent."""
        pool: Any = self.engine.pool
        return int(pool.checkedout())

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()
