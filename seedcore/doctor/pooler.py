"""Does a session stay a session? Behind a pooler in transaction mode it does not.

Two connections of this program take turns. A pooler that hands out one server session per transaction
gives both the same one (or one connection two in a row), and what a connection set, prepared or listens
to is the other's as well, or gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from seedcore.doctor.finding import Finding

_NOTIFICATION_WAIT_S = 0.5

Conn = psycopg.Connection[Any]


@dataclass(frozen=True)
class Session:
    """What two connections that take turns keep.

    Args:
        state: Settings, locks and temporary tables of a session.
        prepared: Statements that were prepared through the protocol.
        listens: Notifications arrive.
        backends: Server processes that served one connection.
    """

    state: bool
    prepared: bool
    listens: bool
    backends: int


def check(
    connect: Callable[[], Conn], *, listens: bool, port: int | None = None
) -> Iterator[Finding]:
    """Yield how the database is reached, and what workers have to do without there.

    Args:
        connect: Opens one more connection as the program does, in autocommit.
        listens: Whether workers shall be woken by notifications.
        port: Port of the server, to be shown.
    """
    with connect() as one, connect() as other:
        found = probe(one, other)
    evidence: dict[str, Any] = {**vars(found), "port": port}
    if found.state and found.prepared and found.listens:
        yield Finding(
            "pooler",
            "ok",
            "each connection has a session of its own: prepared statements and LISTEN work",
            evidence,
        )
        return
    names = {
        "session state": found.state,
        "prepared statements": found.prepared,
        "LISTEN": found.listens,
    }
    lost = " and ".join(name for name, kept in names.items() if not kept)
    detail = (
        f"the database is behind a pooler in transaction mode: {lost} do not outlive a transaction"
    )
    if not listens:
        yield Finding("pooler", "ok", f"{detail}; workers poll, as they have to", evidence)
        return
    yield Finding(
        "pooler",
        "warn",
        detail,
        evidence,
        hint="seedcore worker queue --no-listen (USE_LISTEN_NOTIFY=0); run 'seedcore migrate', "
        "'seedcore db tune' and 'seedcore doctor' on the server itself",
    )


def probe(one: Conn, other: Conn) -> Session:
    """Find out what outlives a transaction.

    Args:
        one: A connection in autocommit.
        other: Another one to the same address.
    """
    tokens = {id(conn): uuid4().hex for conn in (one, other)}
    pids: dict[int, set[int]] = {id(conn): set() for conn in (one, other)}
    kept = True
    for conn in (one, other, one, other):
        row = _row(
            conn,
            "SELECT pg_backend_pid() AS pid, current_setting('seedcore.doctor', true) AS token",
        )
        known = pids[id(conn)]
        kept = kept and (not known or row["token"] == tokens[id(conn)])
        known.add(row["pid"])
        _row(conn, "SELECT set_config('seedcore.doctor', %s, false) AS token", [tokens[id(conn)]])
    first, second = pids.values()
    kept = kept and len(first) == len(second) == 1 and not first & second
    prepared = _keeps_prepared(one, other)
    return Session(kept, prepared, _hears(one, other), max(len(first), len(second)))


def _keeps_prepared(one: Conn, other: Conn) -> bool:
    try:
        for _ in range(2):
            for conn in (one, other):
                # The same names on both, which collide where they share a server session.
                conn.execute("SELECT 'one'" if conn is one else "SELECT 2", prepare=True)
    except psycopg.Error as error:
        if error.sqlstate in ("42P05", "26000", "08P01", "0A000"):
            return False
        raise
    return True


def _hears(one: Conn, other: Conn) -> bool:
    channel = f"seedcore_doctor_{uuid4().hex[:8]}"
    try:
        one.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        other.execute("SELECT pg_notify(%s, '')", [channel], prepare=False)
        heard = list(one.notifies(timeout=_NOTIFICATION_WAIT_S, stop_after=1))
        one.execute("UNLISTEN *")
    except psycopg.Error as error:
        if error.sqlstate in ("0A000", "08P01", "42601"):
            return False
        raise
    return bool(heard)


def _row(conn: Conn, query: Any, parameters: list[Any] | None = None) -> dict[str, Any]:
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(query, parameters, prepare=False).fetchone()
    assert row is not None  # noqa: S101 - a query without FROM has one row
    return row
