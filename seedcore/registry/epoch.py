"""Epochs: the incarnations of the cluster. One is current; a rotation makes another one so."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import UUID, uuid4

import psycopg

from seedcore.db import set_actor
from seedcore.db.errors import translated
from seedcore.errors import Conflict, NotFound, UsageError
from seedcore.registry.store import Row, current_epoch, ensure_epoch, fetch, fetch_one, queries

_LOOK_S = 0.5
_LEAST_DIGITS = 6


def show(conn: psycopg.Connection[Any]) -> Row | None:
    """Return the current epoch with the number of its instances by status, or None before the first."""
    return fetch_one(conn, queries.epoch)


def history(conn: psycopg.Connection[Any], limit: int = 20) -> list[Row]:
    """Return the rotations, newest first."""
    return fetch(conn, queries.epoch_history, {"limit": limit or None})


def init(
    conn: psycopg.Connection[Any],
    epoch: UUID | None = None,
    *,
    actor: str,
    reason: str | None = None,
) -> UUID:
    """Make the first epoch.

    Args:
        conn: A connection in autocommit.
        epoch: Which. Default: a new one.
        actor: Who is recorded.
        reason: Why.

    Raises:
        Conflict: There is one already.
    """
    wanted = epoch or uuid4()
    with translated(), conn.transaction():
        set_actor(conn, actor, reason)
        current = ensure_epoch(conn, wanted)
    if current != wanted:
        raise Conflict(
            f"there is an epoch already: {current}",
            code="registry.epoch_exists",
            hint="seedcore registry epoch rotate begins a new one",
        )
    return wanted


def rotate(
    conn: psycopg.Connection[Any],
    *,
    actor: str,
    reason: str | None = None,
    expected: str | None = None,
    to: UUID | None = None,
    expire_old: bool = True,
    drain_s: float | None = None,
    dry_run: bool = False,
) -> Row:
    """Begin a new epoch: compare, set, expire the old epoch's instances and announce it, as one.

    Rotations wait for each other under the epoch's advisory lock, which ends with the transaction.

    Args:
        conn: A connection in autocommit.
        actor: Who is recorded.
        reason: Why.
        expected: Go on only if this epoch, or one that begins with these digits, is current.
        to: The new epoch. Default: a new one.
        expire_old: Declare instances of other epochs dead; live ones register again at their next beat.
        drain_s: First ask all instances to drain, and wait so long for them, holding no lock.
        dry_run: Say what would happen, and change nothing.

    Returns:
        old, new, expired (instances), drained (instances that ended in time).

    Raises:
        NotFound: There is no epoch yet.
        Conflict: Another epoch is current; or the new one is it already.
        LockBusy: Another rotation did not end in time.
    """
    meant = _meant(conn, expected)
    drained = 0
    if drain_s is not None and not dry_run:
        drained = _drain(conn, drain_s)
    new = to or uuid4()
    with translated(), conn.transaction(force_rollback=dry_run):
        set_actor(conn, actor, reason)
        fetch(conn, queries.lock_epoch)
        old = current_epoch(conn)
        if old is None:
            raise _none_yet()
        if old == new:
            raise Conflict(f"epoch {new} is current already", code="registry.same_epoch")
        parameters = {"new": new, "expected": meant, "actor": actor, "reason": reason}
        fetch(conn, queries.rotate_epoch, parameters)
        expired = fetch(conn, queries.expire_old_epochs)[0]["expired"] if expire_old else 0
        event = {"old": str(old), "new": str(new), "actor": actor, "reason": reason}
        payload = json.dumps(event | {"expired": expired})
        fetch(conn, queries.announce_epoch, {"payload": payload, "epoch": str(new)})
    return {"old": old, "new": new, "expired": expired, "drained": drained}


def _meant(conn: psycopg.Connection[Any], expected: str | None) -> UUID | None:
    """Return the epoch that is expected to be current; the rotation itself compares once more."""
    if expected is None:
        return None
    digits = expected.replace("-", "").lower()
    if len(digits) > 32 or digits.strip("0123456789abcdef") or len(digits) < _LEAST_DIGITS:
        raise UsageError(
            f'"{expected}" is no epoch; give its id, or at least {_LEAST_DIGITS} digits of it',
            code="registry.bad_epoch",
        )
    if len(digits) == 32:
        return UUID(digits)
    current = current_epoch(conn)
    if current is None:
        raise _none_yet()
    if not current.hex.startswith(digits):
        raise Conflict(
            f"the epoch is {current}, not {expected}…",
            code="registry.epoch_changed",
            hint="look at it with 'seedcore registry epoch show', then decide again",
        )
    return current


def _drain(conn: psycopg.Connection[Any], drain_s: float) -> int:
    """Ask everybody to finish and return how many did in time."""
    asked = [row["instance_id"] for row in fetch(conn, queries.drain_epoch)]
    end = time.monotonic() + drain_s
    while asked:
        rows = fetch(conn, queries.judge, {"stale_s": 0.0})
        left = {row["instance_id"] for row in rows}.intersection(asked)
        if not left or (pause := min(_LOOK_S, end - time.monotonic())) <= 0:
            return len(asked) - len(left)
        time.sleep(pause)
    return 0


def _none_yet() -> NotFound:
    return NotFound(
        "there is no epoch yet", code="registry.no_epoch", hint="seedcore registry epoch init"
    )
