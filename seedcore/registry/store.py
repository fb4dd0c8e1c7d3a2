"""The registry's statements, typed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from seedcore.db.rows import Row, fetch, fetch_one
from seedcore.db.sql import Queries
from seedcore.registry.model import Beat, InstanceStatus

__all__ = [
    "Identity", "Row", "active", "beat", "current_epoch", "ensure_epoch", "fetch", "fetch_one", "queries",
    "register", "set_status",
]  # fmt: skip

queries = Queries("seedcore.registry")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What an instance says of itself.

    Attributes:
        instance_id: New at each start of a process.
        logical_id: The name that callers look for; several instances may bear it.
        actor_name: Name of the Ray actor, where it is one.
        serve_route: Where it answers: a route, a URL or a socket.
        node_id: The machine.
        ip_address: Its address on the network.
        pid: Its process.
    """

    instance_id: UUID
    logical_id: str
    actor_name: str | None = None
    serve_route: str | None = None
    node_id: str | None = None
    ip_address: str | None = None
    pid: int | None = None


def current_epoch(conn: psycopg.Connection[Any]) -> UUID | None:
    """Return the current epoch, or None before the first one."""
    row = fetch_one(conn, queries.current_epoch)
    return None if row is None else row["epoch"]


def active(conn: psycopg.Connection[Any], logical_id: str | None = None) -> list[Row]:
    """Return the best active instance of each logical id, or of one."""
    return fetch(conn, queries.active, {"logical_id": logical_id})


def ensure_epoch(conn: psycopg.Connection[Any], candidate: UUID) -> UUID:
    """Return the current epoch; where there is none yet, the candidate becomes it."""
    return fetch(conn, queries.ensure_epoch, {"candidate": candidate})[0]["epoch"]


def register(
    conn: psycopg.Connection[Any], identity: Identity, epoch: UUID | None, *, adopt: bool = False
) -> UUID:
    """Store an instance as starting, or revive its row.

    Args:
        conn: A connection in autocommit.
        identity: Who.
        epoch: The epoch that it believes to be current; None = whatever is.
        adopt: Take the current epoch when that is another one.

    Returns:
        The current epoch, for which it now stands.

    Raises:
        Conflict: Another epoch is current; the message names both.
        NotFound: There is no epoch yet.
    """
    parameters = {
        "instance_id": identity.instance_id,
        "logical_id": identity.logical_id,
        "epoch": epoch,
        "actor_name": identity.actor_name,
        "serve_route": identity.serve_route,
        "node_id": identity.node_id,
        "ip_address": identity.ip_address,
        "pid": identity.pid,
        "adopt": adopt,
    }
    return fetch(conn, queries.register, parameters)[0]["epoch"]


def beat(conn: psycopg.Connection[Any], instance_id: UUID) -> Beat:
    """Give a sign of life and learn where the instance stands."""
    row = fetch_one(conn, queries.beat, {"instance_id": instance_id})
    if row is None:
        return Beat(None, epoch_current=False)
    return Beat(InstanceStatus(row["status"]), epoch_current=row["epoch_current"])


def set_status(conn: psycopg.Connection[Any], instance_id: UUID, status: InstanceStatus) -> bool:
    """Move an instance on; False when it is unknown or dead, and must register again.

    Raises:
        Conflict: That would lead back.
    """
    parameters = {"instance_id": instance_id, "status": status.value}
    return fetch(conn, queries.set_status, parameters)[0]["accepted"]
