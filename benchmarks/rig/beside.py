"""Scenarios in which peers take part: submitting, draining, picking up."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg

from benchmarks.rig import bare, ours
from benchmarks.rig.contenders import Entry, Figures, Peer, Roster
from benchmarks.rig.machine import Machine
from benchmarks.rig.sizes import Sizes
from seedcore.task.model import NewTask
from seedcore.task.submission import submit as submit_task

BATCH = 1_000
PAUSE_S = 0.02


def submit(machine: Machine, sizes: Sizes, roster: Roster) -> list[Entry]:
    """Single, in batches of 1,000, and as much as possible at once."""
    entries = [
        Entry("SeedCore", partial(_submit_ours, machine, sizes, full=False)),
        Entry("SeedCore, keys and outbox", partial(_submit_ours, machine, sizes, full=True)),
        Entry("SeedCore, task submit -f", partial(_submit_program, machine, sizes)),
        Entry("bare INSERT, two indexes", partial(_submit_bare, machine, sizes)),
    ]
    return entries + [
        Entry(peer.name, partial(_submit_peer, machine, sizes, peer))
        for peer in roster.peers
        if "single" in peer.operations
    ]


def _submit_ours(machine: Machine, sizes: Sizes, *, full: bool) -> Figures:
    found: Figures = {}
    for name, work in _ways(sizes, full=full).items():
        with psycopg.connect(machine.migrated(), autocommit=True) as conn:
            found[name] = work(conn)
    return found


def _ways(sizes: Sizes, *, full: bool) -> dict[str, Callable[[psycopg.Connection[Any]], float]]:
    return {
        "single_per_s": lambda c: ours.submit_single(c, sizes.single, full=full),
        "batch_per_s": lambda c: ours.submit_bulk(c, sizes.batch, batch=BATCH, full=full),
        "copy_per_s": lambda c: ours.submit_bulk(c, sizes.copy, batch=5_000, full=full),
    }


def _submit_program(machine: Machine, sizes: Sizes) -> Figures:
    rate, peak = ours.submit_program(machine, machine.migrated(), sizes.copy)
    return {"copy_per_s": rate, "peak_mb": peak / 1e6}


def _submit_bare(machine: Machine, sizes: Sizes) -> Figures:
    url = machine.migrated()
    bare.fill(url, 0)
    with psycopg.connect(url, autocommit=True) as conn:
        found = {"single_per_s": bare.submit_single(conn, sizes.single)}
        conn.execute("TRUNCATE bare")
        found["batch_per_s"] = bare.submit_batch(conn, sizes.batch, BATCH)
        conn.execute("TRUNCATE bare")
        found["copy_per_s"] = bare.submit_copy(conn, sizes.copy)
    return found


def _submit_peer(machine: Machine, sizes: Sizes, peer: Peer) -> Figures:
    single = peer.run(machine, "single", sizes.single, sizes.limit_s)
    batch = peer.run(machine, "batch", sizes.batch, sizes.limit_s)
    return {"single_per_s": single["per_s"], "batch_per_s": batch["per_s"]}


def drain(machine: Machine, sizes: Sizes, roster: Roster) -> list[Entry]:
    """One worker process and a queue of no-op tasks; tuned by each one's documented means."""
    entries = [
        Entry("SeedCore", partial(_drain_ours, machine, sizes.drain, tuned=False)),
        Entry("SeedCore tuned", partial(_drain_ours, machine, sizes.drain_tuned, tuned=True)),
        Entry("SeedCore tuned, 2 processes", partial(_drain_ours, machine, sizes.drain_tuned, tuned=True, count=2)),
        Entry("bare loop on our table, 32", partial(_drain_bare, machine, sizes.drain, prefetch=32)),
        Entry("bare loop on our table, 500", partial(_drain_bare, machine, sizes.drain_tuned, prefetch=500)),
        Entry(
            "bare loop on our table, tuned, 2 connections",
            partial(_drain_bare, machine, sizes.drain_tuned, prefetch=500, connections=2, tuned=True),
        ),
        Entry("bare loop, two indexes, 500", partial(_drain_bare, machine, sizes.drain_tuned, prefetch=500, table="bare")),
    ]  # fmt: skip
    return entries + [
        Entry(peer.name, partial(_drain_peer, machine, sizes, peer)) for peer in roster.peers
    ]


def _drain_ours(machine: Machine, tasks: int, *, tuned: bool, count: int = 1) -> Figures:
    url = machine.migrated()
    if tuned:
        ours.tune(machine, url)
    ours.fill(url, tasks)
    rate = ours.drain(machine, url, count=count, env=ours.TUNED if tuned else None)
    return {"per_s": rate}


def _drain_bare(
    machine: Machine,
    tasks: int,
    *,
    prefetch: int,
    connections: int = 1,
    table: str = "tasks",
    tuned: bool = False,
) -> Figures:
    url = machine.migrated()
    if tuned:
        ours.tune(machine, url)
    if table == "tasks":
        ours.fill(url, tasks)
    else:
        bare.fill(url, tasks)
    return {"per_s": bare.drain(url, table, prefetch=prefetch, connections=connections)}


def _drain_peer(machine: Machine, sizes: Sizes, peer: Peer) -> Figures:
    tasks = sizes.drain_tuned if peer.profile == "tuned" else sizes.drain
    return {"per_s": peer.run(machine, "drain", tasks, sizes.limit_s)["per_s"]}


def pickup(machine: Machine, sizes: Sizes, roster: Roster) -> list[Entry]:
    """Into an idle queue, one after the other: from the submitter's answer until the tool runs."""
    entries = [
        Entry("SeedCore", partial(_pickup_ours, machine, sizes.pickup, {})),
        Entry(
            f"SeedCore, poll only, {sizes.poll_s:g} s",
            partial(
                _pickup_ours,
                machine,
                max(10, sizes.pickup // 5),
                {"USE_LISTEN_NOTIFY": "0", "DISPATCHER_POLL_INTERVAL_S": str(sizes.poll_s)},
            ),
        ),
    ]
    return entries + [
        Entry(peer.name, partial(_pickup_peer, machine, sizes, peer))
        for peer in roster.peers
        if "pickup" in peer.operations
    ]


STAMPS = """
SELECT id::text, (result #>> '{payload,result}')::float8 FROM tasks WHERE status = 'completed'
"""


def _pickup_ours(machine: Machine, count: int, env: dict[str, str]) -> Figures:
    url = machine.migrated()
    called: dict[str, float] = {}
    stored: dict[str, float] = {}
    new = NewTask(type="bench", params={"tool_calls": [{"name": "bench.stamp", "args": {}}]})
    with (
        ours.workers(machine, url, env=env),
        psycopg.connect(url, autocommit=True) as conn,
    ):
        for _ in range(count + 3):
            at = time.clock_gettime(time.CLOCK_MONOTONIC)
            task_id = str(submit_task(conn, new).id)
            called[task_id], stored[task_id] = at, time.clock_gettime(time.CLOCK_MONOTONIC)
            _wait_completed(conn, task_id)
            time.sleep(PAUSE_S)
        ran: dict[str, float] = dict(conn.execute(STAMPS).fetchall())
    # The first ones wait for the worker to start.
    latencies = [max(0.0, ran[i] - stored[i]) * 1000 for i in list(stored)[3:]]
    calls = [(ran[i] - called[i]) * 1000 for i in list(called)[3:]]
    return _percentiles(latencies, calls)


def _wait_completed(conn: psycopg.Connection[Any], task_id: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if conn.execute(
            "SELECT FROM tasks WHERE id = %s AND status = 'completed'", [task_id]
        ).rowcount:
            return
        time.sleep(0.005)
    raise RuntimeError("a task was not picked up within a minute")


def _pickup_peer(machine: Machine, sizes: Sizes, peer: Peer) -> Figures:
    found = peer.run(machine, "pickup", sizes.pickup, sizes.limit_s + sizes.pickup * 2)
    return _percentiles(found["latencies_ms"], found["calls_ms"])


def _percentiles(latencies: list[float], calls: list[float]) -> Figures:
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    return {"p50_ms": cuts[49], "p99_ms": cuts[98], "call_p50_ms": statistics.median(calls)}
