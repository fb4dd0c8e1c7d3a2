"""Bringing `tasks` to a profile: what differs is changed beside readers and writers, one object at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, LiteralString, cast

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from seedcore.db import set_actor
from seedcore.db.errors import translated
from seedcore.db.migrate.lock import migration_lock
from seedcore.db.migrate.session import notice_lost_clients, open_session, patient
from seedcore.db.sql import Queries
from seedcore.db.tuning.profiles import (
    DEFAULT,
    INDEXES,
    OPTIONAL,
    PROFILES,
    SETTING,
    TABLE,
    OptionalIndex,
    Profile,
)
from seedcore.errors import ConfigError, LockBusy, UsageError

if TYPE_CHECKING:
    from seedcore.config.settings import Settings

queries = Queries("seedcore.db.tuning")

Conn = psycopg.Connection[Any]
Row = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """One object that a profile chooses.

    Args:
        object: Its name.
        kind: `index`, `storage` or `setting`.
        before: How it stood.
        after: How it stands then.
        changed: Whether the two differ.
        trade: What the choice gives and takes.
        seconds: How long the change took; None when there was none.
    """

    object: str
    kind: str
    before: str
    after: str
    changed: bool
    trade: str
    seconds: float | None = None

    def row(self) -> Row:
        """Return it as it is printed."""
        return dict(vars(self))


@dataclass(frozen=True)
class _Step:
    change: Change
    statements: tuple[sql.Composable, ...] = ()
    patient: bool = False


def tune(
    settings: Settings,
    name: str,
    *,
    actor: str,
    dry_run: bool = False,
    synchronous_commit: bool | None = None,
    confirm: Callable[[list[Change]], None] | None = None,
) -> Iterator[Change]:
    """Bring the database to a profile and yield every object it speaks of, as it is done.

    Nothing stops readers or writers. Interrupted, it is gone on with by running it again.

    Args:
        settings: Which database.
        name: The profile.
        actor: Who is recorded.
        dry_run: Change nothing, yield what would change.
        synchronous_commit: Also let commits of new sessions wait for the disk, or not; None = as it is.
        confirm: Is shown all that will happen before anything does, and may raise.

    Raises:
        UsageError: There is no such profile.
        ConfigError: The role lacks a right; nothing was changed.
        LockBusy: A migration or another tuning is running.
    """
    profile = PROFILES.get(name)
    if profile is None:
        raise UsageError(
            f"there is no profile {name!r}",
            code="tune.unknown_profile",
            hint=f"choose from {', '.join(PROFILES)}",
        )
    with open_session(settings) as conn, translated():
        _demand_rights(conn, of_database=synchronous_commit is not None)
        if dry_run:
            yield from (step.change for step in _plan(conn, profile, synchronous_commit))
            return
        try:
            lock = migration_lock(conn, timeout_s=0.0)
            lock.__enter__()
        except LockBusy as busy:
            raise LockBusy(
                busy.message.replace("another migration", "a migration or another tuning"),
                code="tune.busy",
                hint="wait for it, then run this again",
                details=busy.details,
            ) from None
        try:
            steps = _plan(conn, profile, synchronous_commit)
            if confirm is not None:
                confirm([step.change for step in steps])
            notice_lost_clients(conn)
            _keep(conn, profile, actor)
            for step in steps:
                yield _done(conn, step)
        finally:
            lock.__exit__(None, None, None)


def chosen(conn: Conn) -> Profile:
    """Return the profile that the database was brought to last; one we don't know counts as the default.

    Args:
        conn: A connection to a migrated database.
    """
    row = _one(conn, queries.profile)
    return PROFILES.get(row["value"] if row else DEFAULT, PROFILES[DEFAULT])


def faults(conn: Conn) -> list[str]:
    """Return one sentence per optional index that is not as the chosen profile wants it.

    Args:
        conn: A connection to a migrated database.
    """
    profile = chosen(conn)
    found = {row["name"]: row for row in _rows(conn, queries.indexes, {"names": list(OPTIONAL)})}
    is_default = profile.name == DEFAULT
    whose = f"the profile {profile.name} (seedcore db tune {profile.name})"
    said: list[str] = []
    for index in INDEXES:
        row = found.get(index.name)
        if row is None and index.name in profile.indexes:
            said.append(
                f"index {index.name} is missing"
                + ("" if is_default else f", which belongs to {whose}")
            )
        elif row is not None and index.name not in profile.indexes:
            said.append(
                f"index {index.name} "
                + ("was not made by a revision" if is_default else f"does not belong to {whose}")
            )
        elif row is not None and not _is_right(row, index):
            maker = "its revision" if is_default else whose
            said.append(f"index {index.name} is not as {maker} made it")
    return said


def _demand_rights(conn: Conn, *, of_database: bool) -> None:
    row = _one(conn, queries.rights)
    assert row is not None  # noqa: S101 - the database we are connected to
    missing = [
        (not row["owns"], "must own table tasks", f"GRANT {row['owner']} TO {row['role']}"),
        (
            not row["creates"],
            "lacks CREATE on schema public",
            f"GRANT CREATE ON SCHEMA public TO {row['role']}",
        ),
        (
            not row["settles"],
            "may not write table seedcore_settings",
            f"GRANT INSERT, UPDATE, DELETE ON seedcore_settings TO {row['role']}",
        ),
        (
            of_database and not row["owns_database"],
            f"must own database {row['database']} to change synchronous_commit",
            f"GRANT {row['database_owner']} TO {row['role']}",
        ),
    ]
    for lacks, what, grant in missing:
        if lacks:
            raise ConfigError(
                f"role {row['role']} {what}; nothing was changed",
                code="db.not_permitted",
                hint=f"run it as {row['owner']}, or: {grant}",
            )


def _plan(conn: Conn, profile: Profile, synchronous_commit: bool | None) -> list[_Step]:
    steps = [_profile_step(conn, profile), *_storage_steps(conn, profile)]
    found = {row["name"]: row for row in _rows(conn, queries.indexes, {"names": list(OPTIONAL)})}
    # What goes first makes room, and makes the builds cheaper.
    indexes = [_index_step(index, found.get(index.name), profile) for index in INDEXES]
    steps += sorted(indexes, key=lambda step: step.change.after != "none")
    if synchronous_commit is not None:
        steps.append(_commit_step(conn, synchronous_commit))
    return steps


def _profile_step(conn: Conn, profile: Profile) -> _Step:
    row = _one(conn, queries.profile)
    before = row["value"] if row else DEFAULT
    change = Change(
        SETTING, "setting", before, profile.name, before != profile.name, profile.summary
    )
    return _Step(change)


def _storage_steps(conn: Conn, profile: Profile) -> Iterator[_Step]:
    found = {row["name"]: row["value"] for row in _rows(conn, queries.storage)}
    for name, value in profile.storage.items():
        before = found.get(name)
        if before == value == PROFILES[DEFAULT].storage[name]:
            continue  # as it always is: nothing to tell
        change = Change(
            f"{TABLE}.{name}",
            "storage",
            before or "unset",
            value,
            before != value,
            profile.storage_trade or "as the revisions set it",
        )
        statement = sql.SQL("ALTER TABLE {} SET ({} = {})").format(
            sql.Identifier("public", TABLE), sql.Identifier(name), sql.Literal(value)
        )
        yield _Step(change, (statement,) if change.changed else ())


def _index_step(index: OptionalIndex, found: Row | None, profile: Profile) -> _Step:
    wanted = index.name in profile.indexes
    before = "none"
    right = False
    if found is not None:
        right = _is_right(found, index)
        before = f"valid, {found['bytes']} bytes" if right else "another one"
        if found["valid"] is False:
            before = "invalid"
    name = sql.Identifier("public", index.name)
    drop = sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(name)
    if not wanted:
        trade = f"gives up {index.gives}; saves {index.costs}"
        change = Change(index.name, "index", before, "none", found is not None, trade)
        return _Step(change, (drop,) if found is not None else (), patient=True)
    trade = f"gives {index.gives}; costs {index.costs}"
    if right:
        return _Step(Change(index.name, "index", before, before, False, trade))
    build = sql.SQL("CREATE INDEX CONCURRENTLY {} ON {} USING {}").format(
        sql.Identifier(index.name), sql.Identifier("public", TABLE), sql.SQL(index.definition)
    )
    comment = sql.SQL("COMMENT ON INDEX {} IS {}").format(name, sql.Literal(index.comment))
    statements = (build, comment) if found is None else (drop, build, comment)
    return _Step(
        Change(index.name, "index", before, "valid", True, trade), statements, patient=True
    )


def _commit_step(conn: Conn, on: bool) -> _Step:
    row = _one(conn, queries.commit_setting)
    before = (row["value"] if row else None) or "the server's"
    after = "the server's" if on else "off"
    trade = (
        "every commit waits for the disk, if the server does not say otherwise"
        if on
        else "commits don't wait for the disk: a crash of the server loses up to the last 0.6 s, so a "
        "submitted task can vanish and a finished one run again; nothing is ever damaged"
    )
    database = sql.Identifier(conn.info.dbname)
    statement = sql.SQL(
        "ALTER DATABASE {} RESET synchronous_commit"
        if on
        else "ALTER DATABASE {} SET synchronous_commit = off"
    ).format(database)
    changed = before != after
    change = Change("synchronous_commit", "setting", before, after, changed, trade)
    return _Step(change, (statement,) if changed else ())


def _is_right(found: Row, index: OptionalIndex) -> bool:
    return bool(
        found["valid"]
        and found["ours"]
        and not found["is_unique"]
        and found["definition"] == index.definition
    )


def _keep(conn: Conn, profile: Profile, actor: str) -> None:
    with conn.transaction():
        set_actor(conn, actor)
        row = _one(conn, queries.profile)
        if profile.name == DEFAULT:
            conn.execute(queries.forget_profile)
        elif row is None or row["value"] != profile.name:
            conn.execute(queries.keep_profile, {"value": profile.name, "actor": actor})


def _done(conn: Conn, step: _Step) -> Change:
    if not step.statements:
        return step.change
    began = time.monotonic()
    if step.patient:
        with patient(conn):
            for statement in step.statements:
                conn.execute(cast("sql.Composed", statement))
    else:
        for statement in step.statements:
            conn.execute(cast("sql.Composed", statement))
    after = step.change.after
    if step.change.kind == "index" and after == "valid":
        (row,) = _rows(conn, queries.indexes, {"names": [step.change.object]})
        after = f"valid, {row['bytes']} bytes"
    return replace(step.change, after=after, seconds=round(time.monotonic() - began, 3))


def _rows(conn: Conn, statement: LiteralString, parameters: Row | None = None) -> list[Row]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, parameters or {}).fetchall()


def _one(conn: Conn, statement: LiteralString) -> Row | None:
    found = _rows(conn, statement)
    return found[0] if found else None
