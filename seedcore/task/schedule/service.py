"""What people do to schedules."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg.types.json import Jsonb

from seedcore.db import set_actor
from seedcore.db.errors import translated
from seedcore.errors import Duplicate, NotFound, UsageError
from seedcore.task.lint import Finding, compact_json
from seedcore.task.model import NewTask
from seedcore.task.schedule.cron import Cron
from seedcore.task.schedule.model import NAME, NewSchedule
from seedcore.task.schedule.store import queries
from seedcore.task.schedule.zone import zone_of
from seedcore.task.store import Row, fetch, fetch_one
from seedcore.task.submission import lint_new

UPCOMING = 5
MAX_TTL_S = 100 * 366 * 86400


def check(
    new: NewSchedule,
    *,
    lint_mode: str = "warn",
    params_max_bytes: int = 1_048_576,
    known_tools: Collection[str] | None = None,
) -> list[Finding]:
    """Return the linter's warnings about the tasks of a schedule that is to be added.

    Raises:
        UsageError: Its name, cron line, zone or a field of its tasks can't be so.
    """
    if not NAME.fullmatch(new.name):
        raise UsageError(
            f'"{new.name[:80]}" can\'t be the name of a schedule',
            code="schedule.bad_name",
            hint="up to 63 letters, digits, '.', '_' and '-', the first a letter or digit",
        )
    Cron(new.cron)
    zone_of(new.timezone)
    if new.ttl_s is not None and not 1 <= new.ttl_s <= MAX_TTL_S:
        raise UsageError("the time to live is from 1 second to 100 years", code="schedule.bad_ttl")
    task = NewTask(
        type=new.type,
        params=new.params,
        description=new.description,
        domain=new.domain,
        priority=new.priority,
        max_attempts=new.max_attempts,
    )
    return lint_new(
        task, lint_mode=lint_mode, params_max_bytes=params_max_bytes, known_tools=known_tools
    )


def add(
    conn: psycopg.Connection[Any],
    new: NewSchedule,
    *,
    actor: str,
    reason: str | None = None,
    dry_run: bool = False,
) -> Row:
    """Add a schedule that `check` has passed; it fires from now on.

    Args:
        conn: A connection in autocommit.
        new: The schedule.
        actor: Who.
        reason: Why.
        dry_run: Do everything and take it back.

    Returns:
        As `show`, with the next five times as `upcoming`.

    Raises:
        Duplicate: There is one of that name.
    """
    cron, zone = Cron(new.cron), zone_of(new.timezone)
    with translated(), conn.transaction(force_rollback=dry_run):
        set_actor(conn, actor, reason)
        now = _now(conn)
        added = fetch_one(
            conn,
            queries.add_schedule,
            {
                "name": new.name,
                "cron": cron.line,
                "timezone": new.timezone,
                "type": new.type,
                "description": new.description,
                "domain": new.domain,
                "params": Jsonb(dict(new.params), dumps=compact_json),
                "priority": new.priority,
                "max_attempts": new.max_attempts,
                "ttl_s": new.ttl_s,
                "misfire": new.misfire.value,
                "overlap": new.overlap.value,
                "next_run_at": cron.following(now, zone),
                "actor": actor,
                "reason": reason,
            },
        )
        if added is None:
            raise Duplicate(
                f'there is a schedule "{new.name}" already',
                code="schedule.duplicate_name",
                hint=f"seedcore task schedule show {new.name}",
                details={"name": new.name},
            )
        row = _one(conn, new.name)
    return row | {"upcoming": upcoming(cron, zone, now)}


def list_all(conn: psycopg.Connection[Any]) -> list[Row]:
    """Return every schedule, by name; `late_s` is for how long its time has passed unfired."""
    return fetch(conn, queries.list_schedules, {"name": None})


def show(conn: psycopg.Connection[Any], name: str, *, fires: int = 10) -> Row:
    """Return one schedule in full, its next times as `upcoming` and its latest as `fires`.

    Raises:
        NotFound: There is none of that name.
    """
    row = _one(conn, name)
    recent = {"schedule_id": row["schedule_id"], "limit": fires}
    row["upcoming"] = []
    if row["enabled"]:
        try:
            row["upcoming"] = upcoming(Cron(row["cron"]), zone_of(row["timezone"]), _now(conn))
        except UsageError as error:  # written by other hands; that must not keep it from being seen
            row["last_error"] = row["last_error"] or error.message
    row["fires"] = fetch(conn, queries.recent_fires, recent)
    return row


def pause(
    conn: psycopg.Connection[Any], name: str, *, actor: str, reason: str | None = None
) -> bool:
    """Fire it no more until `resume`; False when it was paused already.

    Raises:
        NotFound: There is none of that name.
    """
    given = {"name": name, "actor": actor, "reason": reason}
    with conn.transaction():
        set_actor(conn, actor, reason)
        return _changed(conn, name, fetch_one(conn, queries.pause_schedule, given))


def resume(
    conn: psycopg.Connection[Any], name: str, *, actor: str, reason: str | None = None
) -> bool:
    """Fire it again, from the next time on; False when it was not paused.

    Raises:
        NotFound: There is none of that name.
        UsageError: Its cron line or zone can't be read (any more).
    """
    row = _one(conn, name)
    following = Cron(row["cron"]).following(_now(conn), zone_of(row["timezone"]))
    given = {"name": name, "actor": actor, "reason": reason, "next_run_at": following}
    with conn.transaction():
        set_actor(conn, actor, reason)
        return _changed(conn, name, fetch_one(conn, queries.resume_schedule, given))


def remove(
    conn: psycopg.Connection[Any], name: str, *, actor: str, reason: str | None = None
) -> None:
    """Delete a schedule and the history of its fires; its tasks stay, and so does the record of this.

    Raises:
        NotFound: There is none of that name.
    """
    with conn.transaction():
        set_actor(conn, actor, reason)
        if fetch_one(conn, queries.remove_schedule, {"name": name}) is None:
            raise _not_found(conn, name)


def run(
    conn: psycopg.Connection[Any],
    name: str,
    *,
    actor: str,
    reason: str | None = None,
    dry_run: bool = False,
) -> Row:
    """Submit its task now, beside its times; also while it is paused.

    Returns:
        name and id of the task (None in a dry run).

    Raises:
        NotFound: There is none of that name.
        Conflict: Its last task has not ended, and overlap is `skip`.
    """
    with translated(), conn.transaction(force_rollback=dry_run):
        _one(conn, name)
        set_actor(conn, actor, reason)
        row = fetch_one(conn, queries.run_schedule, {"name": name})
    return {"name": name, "id": None if dry_run or row is None else row["id"]}


def upcoming(cron: Cron, zone: ZoneInfo, now: datetime, count: int = UPCOMING) -> list[Row]:
    """Return the next times: `at` in UTC, and `local`, what a clock in the zone will show."""
    far = now + timedelta(days=60 * 366)
    return [
        {"at": moment, "local": moment.astimezone(zone).isoformat()}
        for moment in islice(cron.between(now, far, zone), count)
    ]


def _one(conn: psycopg.Connection[Any], name: str) -> Row:
    row = fetch_one(conn, queries.list_schedules, {"name": name})
    if row is None:
        raise _not_found(conn, name)
    return row


def _changed(conn: psycopg.Connection[Any], name: str, row: Row | None) -> bool:
    if row is None:
        _one(conn, name)
    return row is not None


def _not_found(conn: psycopg.Connection[Any], name: str) -> NotFound:
    names = [row["name"] for row in fetch(conn, queries.schedule_names)]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else "seedcore task schedule list"
    return NotFound(f'there is no schedule "{name[:80]}"', code="schedule.not_found", hint=hint)


def _now(conn: psycopg.Connection[Any]) -> datetime:
    row = fetch_one(conn, queries.database_time)
    if row is None:
        raise RuntimeError("the database told no time")
    return row["now"]
