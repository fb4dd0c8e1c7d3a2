"""All checks in their order: what each needs, what becomes of the others when the database is down."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg

from seedcore.config import Loaded, Settings
from seedcore.db import actor
from seedcore.db.connection import connect, is_embedded
from seedcore.db.errors import translate
from seedcore.doctor import (
    claim,
    horizon,
    local,
    pooler,
    queue,
    ray,
    registry,
    schema,
    server,
    storage,
)
from seedcore.doctor.finding import LIMITS, Finding, Limits
from seedcore.errors import ConfigError, NotMigrated, SeedcoreError, Unavailable, UsageError

Conn = psycopg.Connection[Any]
Check = Callable[[], Iterable[Finding]]

LOCAL = ("config", "permissions", "disk", "ray")
PLAIN = ("settings", "connections", "clock", "pooler", "migrations", "pgvector")
MIGRATED = (
    "horizon", "bloat", "indexes", "autovacuum", "notifications", "claim", "stale", "backlog",
    "lanes", "tools", "registry",
)  # fmt: skip
NAMES = (*LOCAL, "db", *PLAIN, *MIGRATED)


def examine(
    loaded: Loaded,
    *,
    only: tuple[str, ...] = (),
    fix: bool = False,
    application_name: str = "seedcore doctor",
    limits: Limits = LIMITS,
) -> Iterator[Finding]:
    """Run the checks and yield their findings as they come.

    Args:
        loaded: Settings, read without being strict.
        only: Names out of `NAMES`; empty = all.
        fix: Repair what is safe to repair, and look again.
        application_name: How the session is named.
        limits: From where on something matters.

    Raises:
        UsageError: There is no such check.
    """
    unknown = [name for name in only if name not in NAMES]
    if unknown:
        raise UsageError(
            f"there is no check named {unknown[0]!r}",
            code="doctor.unknown_check",
            hint=f"choose from {', '.join(NAMES)}",
        )
    examination = _Examination(loaded, only or NAMES, fix, application_name, limits)
    with examination:
        yield from examination.run()


class _Examination:
    """One run."""

    def __init__(
        self,
        loaded: Loaded,
        wanted: Iterable[str],
        fix: bool,
        application_name: str,
        limits: Limits,
    ) -> None:
        self._loaded = loaded
        self._settings: Settings = loaded.settings
        self._wanted = [name for name in NAMES if name in set(wanted)]
        self._fix = fix
        self._name = application_name
        self._limits = limits
        self._stack = ExitStack()

    def __enter__(self) -> _Examination:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self) -> Iterator[Finding]:
        settings, limits = self._settings, self._limits
        local_checks: dict[str, Check] = {
            "config": lambda: local.config(self._loaded),
            "permissions": lambda: local.permissions(settings),
            "disk": lambda: local.disk(settings, limits),
            "ray": lambda: ray.check(settings),
        }
        for name in self._wanted:
            if name in local_checks:
                yield from self._findings(name, local_checks[name])
        left = [name for name in self._wanted if name not in local_checks]
        if not left:
            return
        conn, finding = self._connected()
        if "db" in left or conn is None:
            yield finding
        if conn is None:
            yield from _skipped(left, "the database can't be reached")
            return
        yield from self._on_database(conn, [name for name in left if name != "db"])

    def _on_database(self, conn: Conn, names: list[str]) -> Iterator[Finding]:
        checks = self._checks(conn)
        missing = _missing_schema(conn)
        for index, name in enumerate(names):
            if missing is not None and name in MIGRATED:
                yield Finding(name, "skip", missing.message, hint=missing.hint)
                continue
            try:
                yield from self._findings(name, checks[name])
            except Unavailable as error:
                yield Finding(
                    "db", "fail", f"the connection broke: {error.message}", hint=error.hint
                )
                yield from _skipped(names[index:], "the connection broke")
                return

    def _checks(self, conn: Conn) -> dict[str, Check]:
        settings, limits = self._settings, self._limits
        return {
            "settings": lambda: server.settings(conn),
            "connections": lambda: server.connections(conn, limits),
            "clock": lambda: server.clock(conn, limits),
            "pooler": lambda: pooler.check(
                lambda: connect(settings, application_name=self._name),
                listens=settings.use_listen_notify,
                port=conn.info.port,
            ),
            "migrations": lambda: schema.check(settings),
            "pgvector": lambda: server.vector(conn),
            "horizon": lambda: horizon.check(conn, limits),
            "bloat": lambda: storage.bloat(conn, limits),
            "indexes": lambda: storage.indexes(conn),
            "autovacuum": lambda: storage.autovacuum(conn, limits),
            "notifications": lambda: server.notifications(conn, limits),
            "claim": lambda: claim.check(conn),
            "stale": lambda: queue.stale(conn, settings, actor=actor(settings), limits=limits),
            "backlog": lambda: queue.backlog(conn, settings, limits),
            "lanes": lambda: queue.lanes(conn),
            "tools": lambda: queue.tools(conn, settings),
            "registry": lambda: registry.check(conn, settings),
        }

    def _connected(self) -> tuple[Conn | None, Finding]:
        """Connect; an embedded server that is stopped is started only to repair."""
        began = time.monotonic()
        if any(problem.fatal for problem in self._loaded.problems):
            return None, Finding(
                "db",
                "fail",
                "not looked for, because the configuration is invalid",
                hint="seedcore config check",
            )
        try:
            stopped = None if self._fix else _stopped(self._settings)
            if stopped is not None:
                return None, stopped
            conn = self._stack.enter_context(connect(self._settings, application_name=self._name))
        except SeedcoreError as error:
            return None, Finding(
                "db",
                "fail",
                error.message,
                {"code": error.code, **error.details},
                hint=error.hint,
                seconds=time.monotonic() - began,
            )
        info = conn.info
        return conn, Finding(
            "db",
            "ok",
            f"PostgreSQL {info.parameter_status('server_version')}, database {info.dbname}",
            {
                "version": info.parameter_status("server_version"),
                "host": info.host,
                "port": info.port,
                "database": info.dbname,
                "role": info.user,
                "embedded": is_embedded(self._settings),
            },
            seconds=time.monotonic() - began,
        )

    def _findings(self, name: str, check: Check) -> Iterator[Finding]:
        found = _timed(name, check)
        done = [_repaired(f) for f in found if f.repair is not None] if self._fix else []
        yield from done
        # After a repair the check has the last word.
        yield from _timed(name, check) if done else found


def _timed(name: str, check: Check) -> list[Finding]:
    """Run a check; what the role may not do or the server refuses is an answer as well.

    Raises:
        Unavailable: The connection is gone.
    """
    began = time.monotonic()
    try:
        found = list(check())
    except (SeedcoreError, psycopg.Error) as error:
        found = [_refused(name, error)]
    seconds = time.monotonic() - began
    return [dataclasses.replace(finding, seconds=seconds) for finding in found]


def _refused(name: str, error: SeedcoreError | psycopg.Error) -> Finding:
    known = translate(error) if isinstance(error, psycopg.Error) else error
    if isinstance(known, Unavailable) and not isinstance(known, NotMigrated):
        raise known from error
    if isinstance(known, ConfigError) and known.code == "db.not_permitted":
        return Finding(
            name,
            "skip",
            f"this role may not look: {known.message}",
            known.details,
            hint="as a superuser: GRANT pg_monitor TO the role, or run it as the tables' owner",
        )
    return Finding(
        name, "warn", f"the check did not end: {known.message}", known.details, hint=known.hint
    )


def _repaired(finding: Finding) -> Finding:
    """Repair, and return the finding with what was done, or with why it was not."""
    if finding.repair is None:
        return finding
    began = time.monotonic()
    try:
        said = finding.repair()
    except (SeedcoreError, OSError) as error:
        message = error.message if isinstance(error, SeedcoreError) else str(error.strerror)
        return dataclasses.replace(finding, detail=f"could not be repaired: {message}", repair=None)
    return dataclasses.replace(
        finding,
        status="ok",
        detail=f"repaired: {finding.detail}",
        repaired=said,
        repair=None,
        seconds=time.monotonic() - began,
    )


def _missing_schema(conn: Conn) -> NotMigrated | None:
    from seedcore.db.migrate.schema import ensure_migrated

    try:
        ensure_migrated(conn)
    except NotMigrated as error:
        return error
    except psycopg.errors.InsufficientPrivilege:
        return NotMigrated("this role may not read the schema", hint="run it as the tables' owner")
    return None


def _stopped(settings: Settings) -> Finding | None:
    if not is_embedded(settings):
        return None
    from seedcore.db.overview import server as embedded

    status = embedded(settings).status()
    if status.is_running:
        return None
    absent = status.state == "absent"
    return Finding(
        "db",
        "fail",
        "there is no embedded database yet" if absent else "the embedded server is not running",
        {"state": status.state, "data_dir": str(status.data_dir)},
        hint="seedcore migrate up" if absent else "seedcore db start",
    )


def _skipped(names: Iterable[str], why: str) -> Iterator[Finding]:
    return (Finding(name, "skip", why) for name in names if name != "db")
