"""The queue as its users see it: is work claimed, taken back, let through, and known to a tool?"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from typing import Any

import psycopg

from seedcore.agent import load
from seedcore.config.settings import Settings
from seedcore.db.sql import Queries
from seedcore.doctor.finding import LIMITS, Finding, Limits, duration, grade
from seedcore.errors import ConfigError
from seedcore.task.operate import requeue_stale
from seedcore.task.store import fetch

queries = Queries("seedcore.doctor")

Conn = psycopg.Connection[Any]

_HEAD = 2000
"""Tasks at the head of each lane whose tools are looked for."""


def stale(
    conn: Conn, settings: Settings, *, actor: str, limits: Limits = LIMITS
) -> Iterator[Finding]:
    """Yield running tasks whose owner is gone and that no watchdog took back.

    Args:
        conn: A connection in autocommit.
        settings: They say how often watchdogs look.
        actor: Who is recorded when they are taken back.
        limits: From where on it matters.
    """
    grace_s = 2 * settings.watchdog_interval
    (row,) = fetch(conn, queries.stale, {"grace_s": grace_s})
    if not row["tasks"]:
        yield Finding("stale", "ok", "no running task is without an owner", row)
        return

    def repair() -> str:
        rows = requeue_stale(
            conn,
            actor=actor,
            reason="seedcore doctor --fix",
            default_max=settings.max_task_attempts,
            max_lapses=settings.max_task_lapses,
        )
        return f"took back {sum(1 for r in rows if r['changed'])} tasks"

    yield Finding(
        "stale",
        "fail" if row["oldest_s"] >= limits.stale_fail else "warn",
        f"{row['tasks']} running tasks have no owner any more, one since {duration(row['oldest_s'])}: no "
        "worker's watchdog takes them back",
        row,
        hint="seedcore task requeue-stale",
        repair=repair,
    )


def backlog(conn: Conn, settings: Settings, limits: Limits = LIMITS) -> Iterator[Finding]:
    """Yield, for each lane, how long its oldest due task waits, and whether anybody works.

    Args:
        conn: A connection in autocommit.
        settings: They say after which silence an owner counts as dead.
        limits: From where on it matters.
    """
    (workers,) = fetch(conn, queries.workers, {"alive_s": settings.lease_seconds})
    alive = max(workers["sessions"], workers["owners"])
    for row in fetch(conn, queries.due):
        waits, lane = row["seconds"], row["lane"]
        evidence = {**row, **workers}
        if waits is None:
            yield Finding("backlog", "ok", f"lane {lane}: nothing is due", evidence)
        elif row["paused"]:
            yield Finding(
                "backlog", "ok", f"lane {lane}: paused, due for {duration(waits)}", evidence
            )
        elif not alive and not row["waiting"]:
            status = grade(waits, limits.due_warn, limits.due_warn)
            yield Finding(
                "backlog",
                status,
                f"lane {lane}: a task has been due for {duration(waits)}, and no worker is there",
                evidence,
                hint=None if status == "ok" else "seedcore worker queue",
            )
        else:
            status = "warn" if waits >= limits.due_fail else "ok"
            yield Finding(
                "backlog",
                status,
                f"lane {lane}: the oldest due task waits {duration(waits)}; workers: {alive}",
                evidence,
                hint=None
                if status == "ok"
                else "more workers or more concurrency; see what they do: seedcore top",
            )


def lanes(conn: Conn) -> Iterator[Finding]:
    """Yield lanes, and domains of lanes, that somebody holds back.

    Args:
        conn: A connection in autocommit.
    """
    rows = fetch(conn, queries.lanes)
    for row in rows:
        why = f": {row['reason']}" if row["reason"] else ""
        domain = row["domain"]
        what = f"lane {row['lane']}" if not domain else f"domain {domain} of lane {row['lane']}"
        option = f" --domain {shlex.quote(domain)}" if domain else ""
        yield Finding(
            "lanes",
            "warn",
            f"{what} has been paused for {duration(row['seconds'])} by {row['changed_by']}{why}",
            row,
            hint=f"seedcore queue resume {row['lane']}{option}",
        )
    if not rows:
        yield Finding("lanes", "ok", "no lane and no domain is paused")


def tools(
    conn: Conn, settings: Settings, *, load_tools: Callable[[Settings], Any] = load
) -> Iterator[Finding]:
    """Yield what tasks at the head of the lanes call for and no tool of this installation serves.

    Args:
        conn: A connection in autocommit.
        settings: They name the plugins.
        load_tools: Loads them.
    """
    try:
        registry = load_tools(settings)
    except ConfigError as error:
        yield Finding("tools", "fail", error.message, error.details, hint=error.hint)
        return
    wrong = False
    limit = {"limit": _HEAD}
    for row in fetch(conn, queries.waiting_types, limit):
        if registry.for_type(row["type"]) is None:
            wrong = True
            yield Finding(
                "tools",
                "warn",
                f"{row['tasks']} waiting tasks of type {row['type']!r} name no tool_calls, and no tool "
                "known here handles the type",
                row,
                hint="workers need the plugin that does: SEEDCORE_PLUGINS; see: seedcore tool list",
            )
    for row in fetch(conn, queries.called_tools, limit):
        if row["name"] not in registry:
            wrong = True
            yield Finding(
                "tools",
                "warn",
                f"{row['tasks']} calls of waiting tasks are for the tool {row['name']!r}, which is not "
                "known here",
                row,
                hint=registry.suggestion(row["name"]),
            )
    if not wrong:
        yield Finding(
            "tools",
            "ok",
            f"{len(registry)} tools serve the next {_HEAD} tasks of each lane",
            {"tools": len(registry), "head": _HEAD},
        )
