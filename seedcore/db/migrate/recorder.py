"""What the runner writes beside each revision, in the revision's own transaction."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from alembic.runtime.migration import MigrationContext, MigrationInfo
from psycopg import Connection, sql

from seedcore.db.migrate.scripts import Chain
from seedcore.db.sql import Queries

queries = Queries("seedcore.db.migrate")


@dataclass(frozen=True)
class Step:
    """One revision that was applied or taken back, or would be.

    Args:
        revision: Its id.
        description: What it does.
        direction: `up` or `down`.
        seconds: How long it took; None when it did not run.
        applied_at: When it was done; None when it did not run.
        notes: What it converted, dropped or could not mend, each with its count.
    """

    revision: str
    description: str
    direction: str
    seconds: float | None = None
    applied_at: datetime | None = None
    notes: tuple[str, ...] = ()


class Recorder:
    """Alembic's callback after each revision: on a connection, or while rendering SQL.

    Args:
        chain: The revisions.
        actor: Who is written down; None = the database's user, for a rendered script.
        on_step: Called with each step, before its transaction commits.
        last: Revision after which a rendered script stores the hashes of definitions; on a connection
            they are stored after each.
        take_notes: Returns what the server said since it was last called.
    """

    def __init__(
        self,
        chain: Chain,
        *,
        actor: str | None = None,
        on_step: Callable[[Step], None] | None = None,
        last: str | None = None,
        take_notes: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        self._chain = chain
        self._actor = actor
        self._on_step = on_step
        self._last = last
        self._take_notes = take_notes
        self._has_tables = False
        self._began = time.monotonic()

    def __call__(
        self, *, ctx: MigrationContext, step: MigrationInfo, heads: set[str], **_: Any
    ) -> None:
        """Write the record of one step."""
        revision = step.up_revision_id
        if revision is None:
            raise TypeError("a step of a linear chain has one revision")
        described = self._chain.revisions[self._chain.position(revision) - 1]
        if step.is_upgrade:
            if not self._has_tables:
                self._emit(ctx, sql.SQL(queries.create_records))
                self._has_tables = True
            self._emit(ctx, self._applied(ctx, described.id, described.description))
        elif heads:
            self._emit(ctx, sql.SQL(queries.forget_applied).format(revision=sql.Literal(revision)))
        else:
            self._emit(ctx, sql.SQL(queries.drop_records))
        if heads and (not ctx.as_sql or self._last in heads):
            self._emit(ctx, store_objects(self._chain))
        if self._on_step is not None:
            seconds = round(time.monotonic() - self._began, 3)
            direction = "up" if step.is_upgrade else "down"
            now = datetime.now(UTC)
            notes = self._take_notes()
            self._on_step(Step(revision, described.description, direction, seconds, now, notes))
        self._began = time.monotonic()

    def _applied(self, ctx: MigrationContext, revision: str, description: str) -> sql.Composed:
        digest = self._chain.revisions[self._chain.position(revision) - 1].digest
        return sql.SQL(queries.record_applied).format(
            revision=sql.Literal(revision),
            description=sql.Literal(description),
            file_hash=sql.Literal(digest),
            # On the server's clock, like its end; a rendered script only knows its transaction's.
            started_at=sql.SQL("now()")
            if ctx.as_sql
            else sql.SQL("clock_timestamp() - make_interval(secs => {})").format(
                sql.Literal(time.monotonic() - self._began)
            ),
            applied_by=sql.SQL("current_user") if self._actor is None else sql.Literal(self._actor),
        )

    @staticmethod
    def _emit(ctx: MigrationContext, statement: sql.SQL | sql.Composed) -> None:
        if ctx.as_sql:
            ctx.impl.static_output(statement.as_string().strip())
        else:
            driver_of(ctx).execute(statement)


def driver_of(ctx: MigrationContext) -> Connection[Any]:
    """Return psycopg's own connection, on which one text may hold many statements."""
    if ctx.connection is None:
        raise TypeError("there is no connection while rendering SQL")
    driver = ctx.connection.connection.driver_connection
    if not isinstance(driver, Connection):
        raise TypeError("migrations run on psycopg")
    return cast("Connection[Any]", driver)


def live_objects(chain: Chain) -> sql.Composed:
    """Return the query for kind, name and hash of everything of ours."""
    return sql.SQL(queries.live_objects).format(names=sql.Literal(chain.objects))


def store_objects(chain: Chain) -> sql.Composed:
    """Return the statement that makes the stored hashes equal to what is there."""
    return sql.SQL(queries.store_objects).format(live=live_objects(chain))
