"""What an environment serves: promote a snapshot, go back, and look at what was done."""

from __future__ import annotations

import json
from typing import Any

import psycopg

from seedcore.db import set_actor
from seedcore.db.errors import translated
from seedcore.pkg import store
from seedcore.pkg.canary import Lane, set_lane
from seedcore.pkg.model import Env, Snapshot
from seedcore.pkg.store import Row, fetch, fetch_one, queries


def promote(
    conn: psycopg.Connection[Any],
    snapshot: Snapshot,
    env: Env,
    *,
    actor: str,
    reason: str | None = None,
    force: bool = False,
    expected: str | None = None,
    lane: Lane | None = None,
    key: bytes | None = None,
    dry_run: bool = False,
) -> Row:
    """Make a snapshot the active one of an environment, in one transaction with its event.

    Promotions of an environment follow each other under its advisory lock. With an expected version
    only one of several at once wins; without, each replaces the one before.

    Args:
        conn: A connection in autocommit.
        snapshot: Which; its content is verified against its checksum.
        env: Where; it must be of this environment.
        actor: Who is recorded.
        reason: Why.
        force: Go on without a green validation run; takes a reason.
        expected: Go on only if this version is active; "" = none is.
        lane: Serve it to all of this lane too; the others stay as they are.
        key: It must be signed with this; None = it need not be signed.
        dry_run: Say what would happen, and change nothing.

    Returns:
        env, from_version, to_version, changed, forced, promotion_id, actor, reason, at.

    Raises:
        Conflict: Another version is active; it is of another environment, unsound, or not validated; a
            canary is under way on the lane.
        CheckFailed: Its content is not what was stored, or it lacks the signature.
        UsageError: A reason is missing.
    """
    parameters = {
        "id": snapshot.id,
        "env": env.value,
        "actor": actor,
        "reason": reason,
        "force": force,
        "expected": expected,
    }
    if snapshot.env is env:
        store.load_signed(conn, snapshot.id, key)
    with translated(), conn.transaction(force_rollback=dry_run):
        set_actor(conn, actor, reason)
        fetch(conn, queries.lock_env, {"env": env.value})
        newest = _newest(conn, env) or 0
        promotion = fetch(conn, queries.promote, parameters)[0]["id"]
        changed = promotion > newest
        if lane is not None:
            set_lane(conn, snapshot, lane, 100, actor=actor, reason=reason)
        row = _announced(conn, promotion) if changed else _promotion(conn, promotion)
    return row | {"changed": changed}


def rollback(
    conn: psycopg.Connection[Any],
    env: Env,
    *,
    actor: str,
    reason: str | None = None,
    to: Snapshot | None = None,
    expected: str | None = None,
    key: bytes | None = None,
    dry_run: bool = False,
) -> Row:
    """Make the snapshot active again that was active before, or a named one; without a gate.

    Args:
        conn: A connection in autocommit.
        env: Where.
        actor: Who is recorded.
        reason: Why.
        to: Which. Default: what stood there before; repeated, one further back.
        expected: Go on only if this version is active.
        key: It must be signed with this; None = it need not be signed.
        dry_run: Say what would happen, and change nothing.

    Returns:
        As `promote`.

    Raises:
        NotFound: There is nothing to go back to.
        CheckFailed: What is stored is not what was stored, or it lacks the signature.
        Conflict: Another version is active, or it is active already, or of another environment.
    """
    parameters = {
        "env": env.value,
        "actor": actor,
        "reason": reason,
        "to": None if to is None else to.id,
        "expected": expected,
    }
    with translated(), conn.transaction(force_rollback=dry_run):
        set_actor(conn, actor, reason)
        fetch(conn, queries.rollback, parameters)
        # The environment's lock is held, so its newest change is ours.
        row = _announced(conn, _newest(conn, env) or 0)
        # No gate, but what was damaged meanwhile would leave the environment without a policy.
        store.load_signed(conn, row["snapshot_id"], key)
        return row | {"changed": True}


def history(
    conn: psycopg.Connection[Any],
    *,
    env: str | None = None,
    target: str | None = None,
    region: str | None = None,
    limit: int = 20,
) -> list[Row]:
    """Return promotions, rollbacks and changes of lanes, newest first.

    Args:
        conn: A connection in any state.
        env: Of this environment only.
        target: Changes of this target's lanes only.
        region: Of lanes: of this region only.
        limit: At most this many; 0 = all.
    """
    parameters = {"env": env, "target": target, "region": region, "limit": limit or None}
    return fetch(conn, queries.history, parameters)


def active(conn: psycopg.Connection[Any], env: Env) -> Row | None:
    """Return id and version of what an environment serves; None = nothing."""
    return fetch_one(conn, queries.active_snapshot, {"env": env.value})


def _newest(conn: psycopg.Connection[Any], env: Env) -> int | None:
    return fetch(conn, queries.last_promotion, {"env": env.value})[0]["id"]


def _promotion(conn: psycopg.Connection[Any], promotion: int) -> Row:
    row = fetch(conn, queries.get_promotion, {"id": promotion})[0]
    return row | {"promotion_id": row.pop("id")}


def _announced(conn: psycopg.Connection[Any], promotion: int) -> Row:
    """Write the event of a promotion, in its transaction, and wake who keeps evaluators."""
    row = _promotion(conn, promotion)
    payload = {
        "promotion_id": promotion,
        "env": row["env"],
        "action": row["action"],
        "from": row["from_version"],
        "to": row["to_version"],
        "snapshot_id": row["snapshot_id"],
        "actor": row["actor"],
        "reason": row["reason"],
        "forced": row["forced"],
    }
    fetch(conn, queries.announce, {"payload": json.dumps(payload), "id": promotion})
    fetch(conn, queries.notify, {"env": row["env"]})
    return row
