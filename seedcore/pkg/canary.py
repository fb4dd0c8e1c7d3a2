"""Canaries: bring a snapshot to a lane step by step, hold it, take it on, take it back.

The state is in the database, where every change is one transaction with its event: whoever is killed in
the middle leaves what was there before. Automatic ones are moved by the workers (`pkg_rollout_tick`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import psycopg

from seedcore.db import set_actor
from seedcore.db.errors import translated
from seedcore.errors import Conflict, NotFound, UsageError
from seedcore.pkg import store
from seedcore.pkg.gate import DEFAULT_STEPS, MAX_FAIL, MIN_SAMPLES, Gate
from seedcore.pkg.model import Snapshot
from seedcore.pkg.store import Row, fetch, fetch_one, queries

GLOBAL = "global"
_ROOM = 10
"""Between the numbers of two steps, for those that are put in later."""
_MAX_NAME_CHARS = 200
_UNFINISHED = ("planned", "running", "paused")


class Phase(StrEnum):
    """Where a canary stands, as `canary status` says it."""

    WAITING = "Waiting"
    """Too few evaluations yet, or the step is not over, or somebody has to advance it."""
    PROGRESSING = "Progressing"
    """Every gate passed and the step is over: it goes on."""
    DEGRADED = "Degraded"
    """A gate is missed."""
    PAUSED = "Paused"
    PROMOTING = "Promoting"
    """At 100 %, and still watched."""
    SUCCEEDED = "Succeeded"
    ABORTED = "Aborted"


@dataclass(frozen=True, slots=True)
class Lane:
    """Where a snapshot is served.

    Attributes:
        target: `router`, or a class of devices such as `edge:door`.
        region: `global` serves whom no lane of their own region serves.
    """

    target: str
    region: str = GLOBAL

    def __post_init__(self) -> None:
        """Refuse names that nobody could type again."""
        for what, name in (("target", self.target), ("region", self.region)):
            if not name.strip() or name != name.strip() or not name.isprintable():
                raise UsageError(f'"{name}" is no {what}', code="pkg.bad_lane")
            if len(name) > _MAX_NAME_CHARS:
                raise UsageError(
                    f"a {what} has at most {_MAX_NAME_CHARS} characters", code="pkg.bad_lane"
                )

    def __str__(self) -> str:
        """Write it for messages."""
        return f"{self.target} in {self.region}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a canary is to go.

    Attributes:
        steps: Percents that rise to 100.
        pause_s: How long each step lasts at least, in seconds; None = until somebody advances it.
        gates: What must hold before the next step.
        automatic: The workers take it on, and back.
        max_fail: Misses of a step after which an automatic one is aborted.
        min_samples: Evaluations that a gate takes to be measured.
    """

    steps: Sequence[int] = DEFAULT_STEPS
    pause_s: float | None = 600.0
    gates: Sequence[Gate] = ()
    automatic: bool = False
    max_fail: int = MAX_FAIL
    min_samples: int = MIN_SAMPLES


def start(
    conn: psycopg.Connection[Any],
    snapshot: Snapshot,
    lane: Lane,
    plan: Plan,
    *,
    actor: str,
    reason: str | None = None,
    force: bool = False,
    key: bytes | None = None,
    dry_run: bool = False,
) -> Row:
    """Serve a snapshot to the first step's share of a lane.

    Args:
        conn: A connection in autocommit.
        snapshot: Which; its content is verified against its checksum.
        lane: Where.
        plan: How it is to go on.
        actor: Who is recorded.
        reason: Why.
        force: Go on without a green validation run; takes a reason.
        key: It must be signed with this; None = it need not be signed.
        dry_run: Say what would happen, and change nothing.

    Returns:
        As `status`.

    Raises:
        Conflict: A canary is under way there; the lane serves it already, or another environment; it
            is unsound or not validated.
        CheckFailed: Its content is not what was stored, or it lacks the signature.
    """
    store.load_signed(conn, snapshot.id, key)
    busy = Conflict(
        f"a canary is under way on {lane}",
        code="pkg.lane_busy",
        hint=f"seedcore pkg canary status --target {lane.target} --region {lane.region}",
    )
    parameters = {
        "target": lane.target,
        "region": lane.region,
        "id": snapshot.id,
        "automatic": plan.automatic,
        "max_fail": plan.max_fail,
        "min_samples": plan.min_samples,
        "actor": actor,
        "reason": reason,
    }
    gates = json.dumps([gate.document() for gate in plan.gates])
    with (
        translated(uq_pkg_rollout_plans_unfinished=lambda _: busy),
        conn.transaction(force_rollback=dry_run),
    ):
        set_actor(conn, actor, reason)
        found = fetch_one(conn, queries.insert_plan, parameters)
        if found is None:
            raise busy
        steps = {
            "plan": found["id"],
            "numbers": [_ROOM * place for place in range(1, len(plan.steps) + 1)],
            "percents": list(plan.steps),
            "pause_s": plan.pause_s or 0.0,
            "manual": plan.pause_s is None,
            "gates": gates,
        }
        fetch(conn, queries.insert_steps, steps)
        fetch(conn, queries.start_plan, {"plan": found["id"], "actor": actor, "force": force})
        _notify(conn, snapshot.env.value)
        return _one(conn, found["id"])


def status(
    conn: psycopg.Connection[Any],
    *,
    target: str | None = None,
    region: str | None = None,
    finished: bool = False,
    limit: int = 0,
) -> list[Row]:
    """Return canaries with how their gates stand now, newest first.

    Args:
        conn: A connection in any state.
        target: Of this target only.
        region: Of this region only.
        finished: Also those that are over.
        limit: At most this many; 0 = all.

    Returns:
        Rows of plan, target, region, version, stable, env, percent, step, steps, phase, automatic,
        gates (rows of gate, operator, threshold, value, passed, samples), next_at, age_s, fails,
        max_fail, message, actor, reason.
    """
    parameters = {
        "target": target,
        "region": region,
        "finished": finished,
        "plan": None,
        "limit": limit or None,
    }
    return [_with_phase(row) for row in fetch(conn, queries.canaries, parameters)]


def latest(conn: psycopg.Connection[Any], lane: Lane) -> Row:
    """Return a lane's newest canary, as `status`.

    Raises:
        NotFound: There never was one.
    """
    rows = status(conn, target=lane.target, region=lane.region, finished=True, limit=1)
    if not rows:
        raise _none(lane)
    return rows[0]


def advance(
    conn: psycopg.Connection[Any],
    lane: Lane,
    *,
    actor: str,
    reason: str | None = None,
    to: int | None = None,
    skip_gate: bool = False,
    expected: int | None = None,
    dry_run: bool = False,
) -> Row:
    """Take a lane's canary to its next step, or from its last one to its end.

    Args:
        conn: A connection in autocommit.
        lane: Which.
        actor: Who is recorded.
        reason: Why.
        to: Go to this percent; steps on the way are left out.
        skip_gate: Whatever the gates say, and before the step's time; takes a reason.
        expected: Go on only if it is at this percent.
        dry_run: Say what would happen, and change nothing.

    Returns:
        As `status`, with from_percent.

    Raises:
        NotFound: There is no canary under way.
        Conflict: A gate is missed or not measured, it is paused, or at another percent.
        UsageError: It is not below that percent, or a reason is missing.
    """
    with translated(), conn.transaction(force_rollback=dry_run):
        set_actor(conn, actor, reason)
        found = _under_way(conn, lane)
        parameters = {
            "plan": found["id"],
            "actor": actor,
            "force": skip_gate,
            "reason": reason,
            "expected": expected,
            "percent": to,
        }
        fetch(conn, queries.record_gates, {"plan": found["id"]})
        fetch(conn, queries.advance_plan if to is None else queries.jump_plan, parameters)
        _notify(conn, found["env"])
        return _one(conn, found["id"]) | {"from_percent": found["percent"]}


def pause(
    conn: psycopg.Connection[Any], lane: Lane, *, actor: str, reason: str | None = None
) -> Row:
    """Hold a lane's canary where it is.

    Raises:
        NotFound: There is no canary under way.
        Conflict: It is paused already.
    """
    return _change(conn, lane, queries.pause_plan, actor, reason)


def resume(
    conn: psycopg.Connection[Any], lane: Lane, *, actor: str, reason: str | None = None
) -> Row:
    """Let a paused canary go on.

    Raises:
        NotFound: There is no canary under way.
        Conflict: It is not paused.
    """
    return _change(conn, lane, queries.resume_plan, actor, reason)


def abort(
    conn: psycopg.Connection[Any],
    lane: Lane,
    *,
    actor: str,
    reason: str | None = None,
    dry_run: bool = False,
) -> Row:
    """End a lane's canary: the lane serves what it did before, to the same share.

    Raises:
        NotFound: There is no canary under way.
    """
    return _change(conn, lane, queries.abort_plan, actor, reason, dry_run=dry_run)


def deployments(
    conn: psycopg.Connection[Any], *, target: str | None = None, region: str | None = None
) -> list[Row]:
    """Return the lanes: target, region, version, env, percent, active, activated_by, activated_at."""
    return fetch(conn, queries.lanes, {"target": target, "region": region})


def set_lane(
    conn: psycopg.Connection[Any],
    snapshot: Snapshot,
    lane: Lane,
    percent: int,
    *,
    actor: str,
    reason: str | None = None,
) -> None:
    """Serve a snapshot to a share of a lane at once; the caller's transaction makes it final.

    Raises:
        Conflict: A canary is under way there.
    """
    parameters = {
        "target": lane.target,
        "region": lane.region,
        "id": snapshot.id,
        "percent": percent,
        "actor": actor,
        "reason": reason,
    }
    fetch(conn, queries.set_lane, parameters)


def _change(
    conn: psycopg.Connection[Any],
    lane: Lane,
    statement: Any,
    actor: str,
    reason: str | None,
    *,
    dry_run: bool = False,
) -> Row:
    with translated(), conn.transaction(force_rollback=dry_run):
        set_actor(conn, actor, reason)
        found = _under_way(conn, lane)
        fetch(conn, statement, {"plan": found["id"], "actor": actor, "reason": reason})
        _notify(conn, found["env"])
        return _one(conn, found["id"]) | {"from_percent": found["percent"]}


def _under_way(conn: psycopg.Connection[Any], lane: Lane) -> Row:
    """Return id, percent and env of the lane's canary, locked."""
    found = fetch_one(conn, queries.lock_plan, {"target": lane.target, "region": lane.region})
    if found is None:
        raise _none(lane)
    return found


def _none(lane: Lane) -> NotFound:
    return NotFound(
        f"there is no canary on {lane}",
        code="pkg.no_canary",
        hint=f"seedcore pkg canary start VERSION --target {lane.target}",
    )


def _one(conn: psycopg.Connection[Any], plan: int) -> Row:
    parameters = {"target": None, "region": None, "finished": True, "plan": plan, "limit": 1}
    return _with_phase(fetch(conn, queries.canaries, parameters)[0])


def _notify(conn: psycopg.Connection[Any], env: str) -> None:
    fetch(conn, queries.notify, {"env": env})


def _with_phase(row: Row) -> Row:
    return row | {"phase": _phase(row).value}


def _phase(row: Row) -> Phase:
    if row["state"] == "completed":
        return Phase.SUCCEEDED
    if row["state"] not in _UNFINISHED:
        return Phase.ABORTED
    if row["state"] == "paused":
        return Phase.PAUSED
    gates: list[Row] = row["gates"] or []
    if any(gate["passed"] is False for gate in gates):
        return Phase.DEGRADED
    if row["percent"] == 100:
        return Phase.PROMOTING
    if row["manual"] or row["wait_s"] > 0 or any(gate["passed"] is None for gate in gates):
        return Phase.WAITING
    return Phase.PROGRESSING
