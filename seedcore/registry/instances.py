"""Instances as operators see them: find, list, watch, move on, drain."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg

from seedcore.db import id_prefix
from seedcore.db.errors import translated
from seedcore.errors import Conflict, NotFound, WaitTimeout
from seedcore.registry import store
from seedcore.registry.model import InstanceStatus
from seedcore.registry.store import Row, fetch, fetch_one, queries

_LOOK_S = 0.5
_FIRST_LOOK_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which instances; every condition counts.

    Attributes:
        ids: These only.
        statuses: In one of these states. Default: all but dead.
        logical_id: With this logical id.
        node_id: On this machine.
        all_epochs: Also those of epochs that are over.
        stale_s: Silent for longer than so many seconds.
    """

    ids: Sequence[UUID] | None = None
    statuses: Sequence[InstanceStatus] | None = None
    logical_id: str | None = None
    node_id: str | None = None
    all_epochs: bool = False
    stale_s: float | None = None


def list_instances(conn: psycopg.Connection[Any], wanted: Filter) -> list[Row]:
    """Return instances, by logical id and start."""
    statuses = wanted.statuses
    if statuses is None and wanted.ids is None:
        statuses = [status for status in InstanceStatus if status is not InstanceStatus.DEAD]
    return fetch(
        conn,
        queries.instances,
        {
            "ids": None if wanted.ids is None else list(wanted.ids),
            "statuses": None if statuses is None else [status.value for status in statuses],
            "logical_id": wanted.logical_id,
            "node_id": wanted.node_id,
            "all_epochs": wanted.all_epochs or wanted.ids is not None,
            "stale_s": wanted.stale_s,
        },
    )


def resolve(conn: psycopg.Connection[Any], ref: str | UUID) -> UUID:
    """Return the id of the instance that a person means by an id or its first digits.

    Raises:
        NotFound: There is no such instance.
        UsageError: It is no part of an id, too short, or several instances begin with it.
    """

    def between(low: UUID, high: UUID) -> list[UUID]:
        rows = fetch(conn, queries.find_instances, {"low": low, "high": high})
        return [row["instance_id"] for row in rows]

    return id_prefix.resolve(
        str(ref).strip(),
        between,
        noun="instance",
        code="registry",
        bad_id_hint="give an id, or its first digits: seedcore registry instances list",
        look="seedcore registry instances list --all-epochs",
    )


def show(conn: psycopg.Connection[Any], instance_id: UUID) -> Row:
    """Return everything about one instance, with the number of tasks it holds.

    Raises:
        NotFound: It is unknown.
    """
    rows = list_instances(conn, Filter(ids=[instance_id]))
    if not rows:
        raise _unknown(str(instance_id))
    return rows[0] | {"leases": _leases(conn, [instance_id])[instance_id]}


def locate(conn: psycopg.Connection[Any], logical_id: str) -> Row:
    """Return the best active instance with a logical id.

    Raises:
        NotFound: None is active.
    """
    row = fetch_one(conn, queries.active, {"logical_id": logical_id})
    if row is None:
        raise NotFound(
            f'no instance of "{logical_id}" is active',
            code="registry.not_active",
            hint=f"seedcore registry instances list --logical-id {logical_id}",
        )
    return row


def set_status(
    conn: psycopg.Connection[Any], instance_id: UUID, status: InstanceStatus
) -> tuple[InstanceStatus, InstanceStatus]:
    """Move an instance on and return its status before and after.

    Raises:
        NotFound: It is unknown.
        Conflict: It is dead, or that would lead back.
    """
    with translated(), conn.transaction():
        row = fetch_one(conn, queries.lock_instance, {"instance_id": instance_id})
        if row is None:
            raise _unknown(str(instance_id))
        before = InstanceStatus(row["status"])
        if before is InstanceStatus.DEAD and status is not before:
            raise Conflict(
                f"instance {instance_id} is dead, which can't become {status}",
                code="registry.bad_transition",
                hint="only registering again brings an instance back to starting",
            )
        store.set_status(conn, instance_id, status)
    return before, status


def drain(conn: psycopg.Connection[Any], ids: Sequence[UUID]) -> list[Row]:
    """Ask instances to finish what they hold and end; they learn it at their next beat.

    Returns:
        For each: instance_id, logical_id, before, status, leases (tasks that it holds).

    Raises:
        NotFound: One of them is unknown; none is asked then.
        Conflict: One of them is dead; none is asked then.
    """
    before = {row["instance_id"]: row for row in list_instances(conn, Filter(ids=ids))}
    for one in ids:
        if one not in before:
            raise _unknown(str(one))
        if before[one]["status"] == InstanceStatus.DEAD:
            raise Conflict(f"instance {one} is dead already", code="registry.already_dead")
    asked = {row["instance_id"] for row in fetch(conn, queries.drain, {"ids": list(ids)})}
    leases = _leases(conn, ids)
    return [
        {
            "instance_id": one,
            "logical_id": before[one]["logical_id"],
            "before": before[one]["status"],
            "status": "draining" if one in asked else before[one]["status"],
            "leases": leases[one],
        }
        for one in dict.fromkeys(ids)
    ]


def wait_drained(
    conn: psycopg.Connection[Any], ids: Sequence[UUID], *, timeout_s: float | None = None
) -> None:
    """Wait until draining instances are dead. One that fell silent holding nothing is declared so.

    Raises:
        WaitTimeout: Not all ended in time.
    """
    end = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        fetch(conn, queries.bury_drained, {"ids": list(ids)})
        rows = list_instances(conn, Filter(ids=ids))
        left = [row for row in rows if row["status"] != InstanceStatus.DEAD]
        if not left:
            return
        if end is not None and time.monotonic() >= end:
            leases = _leases(conn, [row["instance_id"] for row in left])
            first = left[0]
            raise WaitTimeout(
                f"{len(left)} of {len(ids)} instances did not end within {timeout_s:g} s"
                f" ({first['logical_id']} holds {leases[first['instance_id']]} tasks)",
                code="registry.wait_timeout",
                hint="they go on draining; wait again, or look: seedcore registry instances list",
            )
        pause = _LOOK_S if end is None else min(_LOOK_S, max(end - time.monotonic(), 0.0))
        time.sleep(pause)


def watch(
    conn: psycopg.Connection[Any], wanted: Filter, *, timeout_s: float | None = None
) -> Iterator[Row]:
    """Yield what changes among instances: first all of them as added, then every change.

    Yields:
        type (`added`, `modified`, `removed`), object (as `list_instances` shows it), at.

    Raises:
        WaitTimeout: The time is over.
    """
    end = None if timeout_s is None else time.monotonic() + timeout_s
    known: dict[UUID, Row] = {}
    pause = _FIRST_LOOK_S
    while True:
        found = {row["instance_id"]: row for row in list_instances(conn, wanted)}
        changes = list(_changes(known, found))
        for kind, row in changes:
            yield {"type": kind, "object": row, "at": datetime.now(UTC)}
        known = found
        pause = _FIRST_LOOK_S if changes else min(pause * 1.3, 1.0)
        if end is not None:
            left = end - time.monotonic()
            if left <= 0:
                raise WaitTimeout(
                    f"{len(known)} instances were watched for {timeout_s:g} s",
                    code="registry.wait_timeout",
                )
            pause = min(pause, left)
        time.sleep(pause)


def _changes(known: dict[UUID, Row], found: dict[UUID, Row]) -> Iterator[tuple[str, Row]]:
    for one, row in known.items():
        if one not in found:
            yield "removed", row
    for one, row in found.items():
        before = known.get(one)
        if before is None:
            yield "added", row
        elif any(
            before[key] != row[key] for key in ("status", "epoch", "serve_route", "started_at")
        ):
            yield "modified", row


def _leases(conn: psycopg.Connection[Any], ids: Sequence[UUID]) -> dict[UUID, int]:
    rows = fetch(conn, queries.leases, {"ids": list(ids)})
    return {row["instance_id"]: row["leases"] for row in rows}


def _unknown(text: str) -> NotFound:
    return NotFound(
        f"there is no instance {text}",
        code="registry.instance_not_found",
        hint="seedcore registry instances list --all-epochs",
    )
