"""One look at the whole queue, cheap enough to be taken every second: what `seedcore top` shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import dict_row

from seedcore.db.errors import translated
from seedcore.db.sql import Queries
from seedcore.task.store import Row, fetch

queries = Queries("seedcore.task", "frame.sql")

CAP = 200
"""Rows that a count reads at most; what is beyond is estimated."""
_FAILURES = 20
_STATUSES = ("created", "queued", "retry", "running", "failed")


@dataclass(frozen=True)
class Counters:
    """What the server counted up to a moment.

    Args:
        at: Its time, in seconds since 1970.
        submitted: Tasks stored.
        changed: Changes of tasks: each claim, end and renewal is one.
        events: Audit rows.
        event_level: Which transitions those are of.
        failed: Failed tasks; None when there are too many to count.
    """

    at: float
    submitted: int
    changed: int
    events: int
    event_level: str
    failed: int | None


@dataclass(frozen=True)
class Frame:
    """What there is to see at one moment.

    Args:
        at: The database's time, in seconds since 1970.
        lanes: Per lane: paused, reason, workers waiting, due, oldest_due_s, and counts by status; a count
            that reached the cap is in `capped`, with its estimate in `estimates`.
        rates: Per second since the frame before: submitted, started, ended, failed; None = not known.
        waits: How long tasks that run now had waited: p50_s, max_s.
        running: Tasks that run, longest first.
        workers: Owners of leases and workers that wait.
        failures: Tasks that failed last, latest first.
        counters: To be handed to the next frame.
    """

    at: float
    lanes: list[Row]
    rates: dict[str, float | None]
    waits: dict[str, float | None]
    running: list[Row]
    workers: list[Row]
    failures: list[Row]
    counters: Counters = field(repr=False)

    def row(self) -> Row:
        """Return the frame as JSON shows it."""
        return {name: value for name, value in vars(self).items() if name != "counters"}


def take(conn: psycopg.Connection[Any], before: Counters | None = None, *, cap: int = CAP) -> Frame:
    """Look at the queue.

    Args:
        conn: A connection in autocommit.
        before: Counters of an earlier frame; without them there are no rates.
        cap: Rows that each count reads at most.

    Raises:
        SeedcoreError: The database is gone, or refuses.
    """
    limit = {"cap": cap, "shown": _FAILURES}
    with translated(), conn.transaction():
        lanes, counts, queue, graph, keyed, running, waiters, failures, (raw,) = _ask(conn, limit)
        due = {"queue": queue[0], "graph": graph[0]}
        for some in keyed:
            row = due[some["lane"]]
            row["tasks"] += some["tasks"]
            row["oldest_s"] = max(row["oldest_s"] or 0.0, some["oldest_s"])
        estimates: dict[str, int] = {}
        capped = _capped(counts, cap)
        if capped:
            estimates = {row["status"]: row["tasks"] for row in fetch(conn, queries.estimates)}
        if raw.pop("has_progress"):
            _add_progress(conn, running)
    counters = Counters(
        **raw,
        failed=None
        if "failed" in capped
        else sum(row["tasks"] for row in counts if row["status"] == "failed"),
    )
    return Frame(
        at=counters.at,
        lanes=[_lane(lane, counts, due[lane["lane"]], capped, estimates, cap) for lane in lanes],
        rates=_rates(before, counters),
        waits=_waits(running),
        running=running,
        workers=_workers(running, waiters),
        failures=failures,
        counters=counters,
    )


def _ask(conn: psycopg.Connection[Any], limit: Mapping[str, int]) -> list[list[Row]]:
    """Return the rows of all statements of which each frame needs one, in a single round trip."""
    statements = (
        queries.lanes,
        queries.counts,
        queries.due_queue,
        queries.due_graph,
        queries.due_keyed,
        queries.running,
        queries.waiters,
        queries.failures,
        queries.counters,
    )
    with conn.pipeline():
        conn.execute(queries.pin_plan)
        asked = [conn.cursor(row_factory=dict_row).execute(text, limit) for text in statements]
        return [cursor.fetchall() for cursor in asked]


def _capped(counts: list[Row], cap: int) -> frozenset[str]:
    totals = dict.fromkeys(_STATUSES, 0)
    for row in counts:
        totals[row["status"]] += row["tasks"]
    return frozenset(status for status, total in totals.items() if total >= cap)


def _lane(
    lane: Row,
    counts: list[Row],
    due: Row,
    capped: frozenset[str],
    estimates: Mapping[str, int],
    cap: int,
) -> Row:
    name = lane["lane"]
    found = {row["status"]: row["tasks"] for row in counts if row["lane"] == name}
    return {
        **lane,
        **{status: found.get(status, 0) for status in _STATUSES},
        "due": due["tasks"],
        "oldest_due_s": due["oldest_s"],
        "capped": sorted(
            [*(s for s in capped if found.get(s)), *(["due"] if due["tasks"] >= cap else [])]
        ),
        # The statistics don't know lanes: the estimate is shown for the lane that has the sample's most.
        "estimates": {
            status: estimates[status]
            for status in sorted(capped)
            if status in estimates and found.get(status, 0) * 2 > cap and estimates[status] > cap
        },
    }


def _rates(before: Counters | None, now: Counters) -> dict[str, float | None]:
    rates: dict[str, float | None] = dict.fromkeys(("submitted", "started", "ended", "failed"))
    if before is None or now.at <= before.at:
        return rates
    seconds = now.at - before.at
    changed = max(now.changed - before.changed, 0)
    events = max(now.events - before.events, 0)
    # With the ends alone in the audit, the other changes are claims (and few renewals); else a task is
    # changed twice, once to start and once to end.
    ended = min(events, changed) if now.event_level == "terminal" else changed / 2
    rates["submitted"] = max(now.submitted - before.submitted, 0) / seconds
    rates["started"] = (changed - ended) / seconds
    rates["ended"] = ended / seconds
    if now.failed is not None and before.failed is not None:
        rates["failed"] = max(now.failed - before.failed, 0) / seconds
    return rates


def _waits(running: list[Row]) -> dict[str, float | None]:
    waited = sorted(row["wait_s"] for row in running if row["wait_s"] is not None)
    if not waited:
        return {"p50_s": None, "max_s": None}
    return {"p50_s": waited[len(waited) // 2], "max_s": waited[-1]}


def _workers(running: list[Row], waiters: list[Row]) -> list[Row]:
    found: dict[str, Row] = {}
    for row in running:
        worker = found.setdefault(
            row["owner"],
            {
                "owner": row["owner"],
                "running": 0,
                "beat_s": None,
                "lease_left_s": None,
                "idle_s": None,
            },
        )
        worker["running"] += 1
        if row["lease_age_s"] is not None:
            worker["beat_s"] = min(row["lease_age_s"], worker["beat_s"] or row["lease_age_s"])
        if row["lease_left_s"] is not None:
            left = worker["lease_left_s"]
            worker["lease_left_s"] = (
                row["lease_left_s"] if left is None else min(left, row["lease_left_s"])
            )
    for row in waiters:
        worker = found.setdefault(
            row["owner"],
            {
                "owner": row["owner"],
                "running": 0,
                "beat_s": None,
                "lease_left_s": None,
                "idle_s": None,
            },
        )
        worker["idle_s"] = row["idle_s"]
    return sorted(found.values(), key=lambda worker: (-worker["running"], worker["owner"]))


def _add_progress(conn: psycopg.Connection[Any], running: list[Row]) -> None:
    """Add what each attempt that runs now reported; an earlier one's is of no interest any more."""
    ids = [row["id"] for row in running]
    told = {(row["id"], row["attempt"]): row for row in fetch(conn, queries.progress, {"ids": ids})}
    for row in running:
        found = told.get((row["id"], row["attempt"]))
        row["progress"] = found and {key: found[key] for key in ("done", "total", "message")}
