"""Apply revisions and take them back: one at a time per database, one transaction per revision."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from seedcore.db.errors import translate, translated
from seedcore.db.migrate import adoption, losses, scripts, session, state as states
from seedcore.db.migrate.lock import migration_lock
from seedcore.db.migrate.session import patient
from seedcore.db.migrate.target import path_down, path_up
from seedcore.db.sql import Queries
from seedcore.errors import Conflict, LockBusy, SeedcoreError, Unavailable

if TYPE_CHECKING:
    from seedcore.config.settings import Settings
    from seedcore.db.migrate.recorder import Step

log = logging.getLogger(__name__)
queries = Queries("seedcore.db.migrate")

_PAUSE_AFTER_LOCK_TIMEOUT_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to run.

    Args:
        lock_timeout_s: How long to wait, in seconds, first for another migration, then for sessions
            that use the tables; 0 = not at all.
        statement_timeout_s: Longest time of one statement, in seconds; 0 = none.
        dry_run: Tell what would be done.
        drop_data: Let a downgrade drop tables that have rows.
        actor: Who is recorded; default: as `seedcore.db.actor` says.
        directory: Another script directory than this program's.
        on_step: Called as each step is done.
    """

    lock_timeout_s: float = 60.0
    statement_timeout_s: float = 0.0
    dry_run: bool = False
    drop_data: bool = False
    actor: str | None = None
    directory: Path | None = None
    on_step: Callable[[Step], None] | None = None


@dataclass(frozen=True)
class Outcome:
    """What was done.

    Args:
        steps: The revisions, in the order in which they ran.
        rebuilt: Indexes that an interrupted build had left invalid.
        current: Where the database stands now; None = before the first revision.
    """

    steps: list[Step] = field(default_factory=list["Step"])
    rebuilt: list[str] = field(default_factory=list[str])
    current: str | None = None


def up(where: Settings | str, target: str = "head", options: Options | None = None) -> Outcome:
    """Apply what is missing up to `target`.

    A database that is there already costs one connection and four queries, and no lock.

    Args:
        where: Settings (the embedded server is started if they name no database), or a libpq
            connection string.
        target: A revision, `+N`, or `head`.
        options: How to run.

    Raises:
        CheckFailed: The database is not on this program's chain.
        Conflict: Something that was made by hand is in the way.
        NotFound: There is no such revision.
        LockBusy: Another migration, or a session that uses the tables, stayed too long.
        SeedcoreError: A revision failed; the database is at the one before.
    """
    options = options or Options()
    chain = scripts.chain_of(options.directory)
    with session.open_session(where, statement_timeout_s=options.statement_timeout_s) as connection:
        with translated():
            state = states.read(connection, chain)
        path = path_up(chain, state, target)
        if not path and not state.invalid_indexes:
            return Outcome(current=state.current)
        if options.dry_run:
            if path:
                _look(connection, chain, state, path[-1].id)
            return Outcome(_unrun(path, "up"), list(state.invalid_indexes), state.current)
        with _locked(connection, chain, where, options) as runner:
            state = states.read(connection, chain)
            path = path_up(chain, state, target)
            if path:
                _look(connection, chain, state, path[-1].id)
                runner.walk("up", path[-1].id)
            return runner.outcome(rebuild=True)


def down(where: Settings | str, target: str, options: Options | None = None) -> Outcome:
    """Take back revisions down to `target`, newest first.

    Args:
        where: As for `up`.
        target: A revision to stop at, `-N`, or `base`.
        options: How to run.

    Raises:
        Conflict: A revision can't be taken back, or a table that would go has rows.
        CheckFailed, NotFound, LockBusy, SeedcoreError: As for `up`.
    """
    options = options or Options()
    chain = scripts.chain_of(options.directory)
    with session.open_session(where, statement_timeout_s=options.statement_timeout_s) as connection:
        with translated():
            state = states.read(connection, chain)
        path, stop = path_down(chain, state, target)
        _refuse_irreversible(path)
        if not path:
            return Outcome(current=state.current)
        with translated():
            _set_drop_data(connection, options)
            losses.refuse(connection, chain, path[0].id, stop)
        if options.dry_run:
            return Outcome(_unrun(path, "down"), current=state.current)
        with _locked(connection, chain, where, options) as runner:
            state = states.read(connection, chain)
            path, stop = path_down(chain, state, target)
            if path:
                runner.walk("down", stop)
            return runner.outcome(rebuild=False)


def up_url(conninfo: str, target: str = "head") -> None:
    """Bring the database at `conninfo` to `target`; for tests and scripts."""
    up(conninfo, target)


class _Runner:
    """Walks the chain on the connection that holds the lock."""

    def __init__(
        self, connection: psycopg.Connection, chain: scripts.Chain, actor: str, options: Options
    ) -> None:
        self._connection = connection
        self._chain = chain
        self._actor = actor
        self._options = options
        self._steps: list[Step] = []
        self._notes: dict[str, None] = {}
        connection.add_notice_handler(self._hear)

    def walk(self, direction: str, stop: str) -> None:
        """Run revisions until the database is at `stop`, patiently with busy tables."""
        deadline: float | None = None
        while True:
            try:
                self._walk_once(direction, stop)
            except psycopg.Error as error:
                busy = isinstance(
                    error, (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
                )
                if deadline is None:
                    deadline = time.monotonic() + self._options.lock_timeout_s
                if not busy or time.monotonic() >= deadline:
                    raise self._failure(error, direction) from error
                log.info(
                    "Tables were busy, trying again",
                    extra={"event": "migrate.busy", "blockers": self._blockers()},
                )
                time.sleep(_PAUSE_AFTER_LOCK_TIMEOUT_S)
            else:
                return

    def outcome(self, *, rebuild: bool) -> Outcome:
        """Rebuild broken indexes if asked to, and tell what was done."""
        state = states.read(self._connection, self._chain)
        rebuilt = list(state.invalid_indexes) if rebuild else []
        for name in rebuilt:
            self._rebuild(name, state.invalid_indexes[name])
        return Outcome(self._steps, rebuilt, state.current)

    def _walk_once(self, direction: str, stop: str) -> None:
        from alembic import command
        from sqlalchemy.exc import DBAPIError

        from seedcore.db.migrate.recorder import Recorder

        config = scripts.alembic_config(self._chain)
        config.attributes["on_version_apply"] = Recorder(
            self._chain, actor=self._actor, on_step=self._done, take_notes=self._take_notes
        )
        move = command.upgrade if direction == "up" else command.downgrade
        with session.lent_to_sqlalchemy(self._connection) as lent:
            config.attributes["connection"] = lent
            try:
                move(config, stop)
            except DBAPIError as error:
                if isinstance(error.orig, psycopg.Error):
                    raise error.orig from error
                raise

    def _hear(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        """Keep what a revision says of old rows; the server's own remarks are made elsewhere."""
        if diagnostic.source_function == "exec_stmt_raise":
            # A step that had to be run again says it again.
            self._notes[diagnostic.message_primary or ""] = None

    def _take_notes(self) -> tuple[str, ...]:
        notes = tuple(self._notes)
        self._notes.clear()
        return notes

    def _done(self, step: Step) -> None:
        self._steps.append(step)
        log.info(
            "Applied a revision" if step.direction == "up" else "Took back a revision",
            extra={"event": "migrate.step", "revision": step.revision, "seconds": step.seconds},
        )
        if self._options.on_step is not None:
            self._options.on_step(step)

    def _failure(self, error: psycopg.Error, direction: str) -> SeedcoreError:
        """Say which revision failed, and what to do about it."""
        known = translate(error)
        details = {**known.details, "steps_done": [s.revision for s in self._steps]}
        command = f"seedcore migrate {direction}"
        if self._connection.closed:
            return Unavailable(
                f"lost the connection: {known.message}",
                code="db.unavailable",
                hint=f"the database is at a revision; '{command}' goes on from there",
                details=details,
            )
        at = states.read(self._connection, self._chain).current
        message = f"stopped at revision {at or 'base'}: {known.message}"
        if isinstance(known, LockBusy):
            blockers = self._blockers()
            seen = f" (in use by {', '.join(blockers)})" if blockers else ""
            return LockBusy(
                f"{message}{seen}",
                code="migrate.tables_busy",
                hint=f"end those sessions, then '{command}'",
                details={**details, "blockers": blockers},
            )
        if (error.sqlstate or "").startswith("42") and error.sqlstate != "42501":
            # "Not migrated", says the translation of an unknown name: true, and no help here.
            return SeedcoreError(message, code="migrate.failed", details=details)
        return type(known)(message, code=known.code, hint=known.hint, details=details)

    def _blockers(self) -> list[str]:
        rows = self._connection.execute(queries.blockers, {"names": self._chain.objects})
        return [
            f"pid {r[0]} ({r[2] or r[1] or 'unknown'}, {r[3]} since {r[4]:%H:%M:%S})" for r in rows
        ]

    def _rebuild(self, name: str, definition: str) -> None:
        """Drop what an interrupted build left, and build it again without stopping writers.

        Both texts come from the server's catalog, quoted by the server.
        """
        with patient(self._connection):
            self._connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}".encode())
            # REINDEX CONCURRENTLY leaves a spare copy under a name of its own.
            if not name.endswith(("_ccnew", "_ccold")):
                build = definition.replace(" INDEX ", " INDEX CONCURRENTLY ", 1)
                self._connection.execute(build.encode())
        log.info("Rebuilt an index", extra={"event": "migrate.index_rebuilt", "index": name})


@contextmanager
def _locked(
    connection: psycopg.Connection, chain: scripts.Chain, where: Settings | str, options: Options
) -> Generator[_Runner]:
    """Take the lock and make the session ready to change the schema."""
    with translated(), migration_lock(connection, options.lock_timeout_s):
        session.notice_lost_clients(connection)
        session.limit_lock_waits(connection, options.lock_timeout_s)
        _set_drop_data(connection, options)
        yield _Runner(connection, chain, options.actor or session.actor_of(where), options)


def _set_drop_data(connection: psycopg.Connection, options: Options) -> None:
    # Always said, because the role or the database may have a value of its own.
    connection.execute(
        "SELECT set_config('seedcore.drop_data', %s, false)", ["yes" if options.drop_data else "no"]
    )


def _look(
    connection: psycopg.Connection, chain: scripts.Chain, state: states.State, stop: str
) -> None:
    """Name what would stop the revisions on their way, before the first of them."""
    with translated():
        adoption.ensure_possible(connection, chain, state, stop)
        adoption.survey(connection, chain, state, stop).refuse()


def _unrun(path: list[scripts.Revision], direction: str) -> list[Step]:
    from seedcore.db.migrate.recorder import Step

    return [Step(r.id, r.description, direction) for r in path]


def _refuse_irreversible(path: list[scripts.Revision]) -> None:
    fixed = [r.id for r in path if r.irreversible]
    if fixed:
        raise Conflict(
            f"revision {fixed[0]} can't be taken back",
            code="migrate.irreversible",
            hint="restore a backup from before it: 'seedcore db restore'",
            details={"irreversible": fixed},
        )
