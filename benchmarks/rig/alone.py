"""Scenarios about the engine itself: bad company, big tables, idleness, memory, WAL."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import time
from functools import partial
from itertools import pairwise
from typing import Any

import psycopg

from benchmarks.rig import bare, ours
from benchmarks.rig.contenders import Entry, Figures, Roster
from benchmarks.rig.machine import Machine
from benchmarks.rig.noise import cpu_s, rss_bytes
from benchmarks.rig.sizes import Sizes

SLICES = 10
ENDS = """
SELECT extract(epoch FROM finished_at)::float8 FROM {} WHERE finished_at IS NOT NULL ORDER BY finished_at
"""
BEGAN = "SELECT extract(epoch FROM min(started_at))::float8 FROM {}"


def snapshot(machine: Machine, sizes: Sizes, _: Roster) -> list[Entry]:
    """A REPEATABLE READ transaction is open elsewhere: the last tenth of a drain beside the first."""
    return [
        Entry("SeedCore, one priority", partial(_held, machine, sizes, priorities=1), once=True),
        Entry("SeedCore, three priorities", partial(_held, machine, sizes, priorities=3), once=True),
        Entry("bare loop on our table, 500", partial(_held_bare, machine, sizes), once=True),
    ]  # fmt: skip


def _held(machine: Machine, sizes: Sizes, *, priorities: int) -> Figures:
    url = machine.migrated()
    ours.fill(url, sizes.snapshot, priorities=priorities)
    with _Snapshot(url):
        rate = ours.drain(machine, url, limit_s=3600)
    return _slices(url, "tasks", rate)


def _held_bare(machine: Machine, sizes: Sizes) -> Figures:
    url = machine.migrated()
    ours.fill(url, sizes.snapshot)
    with _Snapshot(url):
        rate = bare.drain(url, "tasks", prefetch=500)
    return _slices(url, "tasks", rate)


class _Snapshot:
    """A transaction that keeps every dead row from being removed."""

    def __init__(self, url: str) -> None:
        self._conn = psycopg.connect(url)

    def __enter__(self) -> None:
        self._conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        self._conn.execute("SELECT count(*) FROM queue_lanes")

    def __exit__(self, *_: object) -> None:
        self._conn.close()


def _slices(url: str, table: str, rate: float) -> Figures:
    name = psycopg.sql.Identifier(table)
    with psycopg.connect(url) as conn:
        ends = [row[0] for row in conn.execute(psycopg.sql.SQL(ENDS).format(name)).fetchall()]
        row = conn.execute(psycopg.sql.SQL(BEGAN).format(name)).fetchone()
    size = len(ends) // SLICES
    borders = [row[0] if row else ends[0], *(ends[n * size - 1] for n in range(1, SLICES + 1))]
    rates = [size / max(b - a, 1e-6) for a, b in pairwise(borders)]
    slices = {f"slice_{number}_per_s": rate for number, rate in enumerate(rates, 1)}
    return {"per_s": rate, "last_to_first": rates[-1] / rates[0], **slices}


def big(machine: Machine, sizes: Sizes, _: Roster) -> list[Entry]:
    """A long backlog, as many finished rows, and some that are not due: claims, and a drain."""
    return [Entry("SeedCore", partial(_big, machine, sizes), once=True)]


FILL_OTHERS = """
INSERT INTO tasks (id, status, type, params, attempts, started_at, finished_at, created_at)
SELECT gen_random_uuid(), 'completed', 'bench', %s, 1, now(), now(), now() - interval '1 day'
  FROM generate_series(1, %s);
"""
FILL_FUTURE = """
INSERT INTO tasks (id, status, type, params, run_after)
SELECT gen_random_uuid(), 'queued', 'bench', %s, now() + interval '1 day' FROM generate_series(1, %s)
"""


def _big(machine: Machine, sizes: Sizes) -> Figures:
    small = machine.migrated()
    ours.fill(small, sizes.drain)
    small_rate = ours.drain(machine, small)
    url = machine.migrated()
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("SET search_path = public, pg_temp, seedcore_engine")
        conn.execute(FILL_OTHERS.rstrip().rstrip(";"), [json.dumps(ours.PARAMS), sizes.finished])
        conn.execute(FILL_FUTURE, [json.dumps(ours.PARAMS), sizes.future])
    ours.fill(url, sizes.backlog)
    with psycopg.connect(url, autocommit=True) as conn:
        claims = [_claim_ms(conn) for _ in range(21)]
        conn.execute(
            "SELECT tasks_give_back('bench', array_agg(id), array_agg(attempts)) FROM tasks WHERE owner_id = 'bench'"
        )
    rate = ours.drain(machine, url, "--max-tasks", str(sizes.big_drain), limit_s=3600)
    return {
        "claim_100_ms": statistics.median(claims),
        "per_s": rate,
        "small_per_s": small_rate,
        "to_small": rate / small_rate,
    }  # fmt: skip


def _claim_ms(conn: psycopg.Connection[Any]) -> float:
    started = time.perf_counter()
    rows = conn.execute("SELECT id FROM tasks_claim('queue', 'bench', 100)").fetchall()
    took = (time.perf_counter() - started) * 1000
    if len(rows) != 100:
        raise RuntimeError(f"a claim of 100 brought {len(rows)}")
    return took


def submitters(machine: Machine, sizes: Sizes, _: Roster) -> list[Entry]:
    """Sixteen clients that submit single tasks while a worker drains, with wake-ups and without."""
    return [
        Entry("wake-ups on", partial(_submitters, machine, sizes, {})),
        Entry("wake-ups off", partial(_submitters, machine, sizes, {"USE_LISTEN_NOTIFY": "0"})),
    ]


def _submitters(machine: Machine, sizes: Sizes, env: dict[str, str]) -> Figures:
    url = machine.migrated()
    script = machine.folder / "submit.sql"
    params = json.dumps(ours.PARAMS)
    script.write_text(f"SELECT FROM task_submit(p_type => 'bench', p_params => '{params}');\n")
    bench = [str(machine.pgbench), "-n", "-M", "prepared", "-c", "16", "-j", "2", "-f", str(script)]
    with ours.workers(machine, url, env=env):
        wait_idle(url, wants_waiter="USE_LISTEN_NOTIFY" not in env)
        done = subprocess.run(
            [*bench, "-T", str(sizes.submitters_s), url],
            env={"PATH": "/usr/bin:/bin", "PGOPTIONS": ""},
            capture_output=True,
            text=True,
            check=False,
        )
    rates = [line for line in done.stdout.splitlines() if line.startswith("tps = ")]
    if not rates:
        raise RuntimeError(f"pgbench: {done.stderr.strip().splitlines()[-1:]}")
    return {"per_s": float(rates[0].split()[2])}


def wait_idle(url: str, *, wants_waiter: bool, timeout_s: float = 30) -> None:
    """Wait until a worker has connected and, if it listens, said that it waits."""
    query = (
        "SELECT FROM queue_waiters"
        if wants_waiter
        else "SELECT FROM pg_stat_activity WHERE application_name LIKE 'seedcore worker%'"
        " AND datname = current_database()"
    )
    end = time.monotonic() + timeout_s
    with psycopg.connect(url, autocommit=True) as conn:
        while time.monotonic() < end:
            if conn.execute(query).rowcount:
                return
            time.sleep(0.05)
    raise RuntimeError("the worker did not come up")


def idle(machine: Machine, sizes: Sizes, _: Roster) -> list[Entry]:
    """What a worker with nothing to do costs the server, and itself."""
    return [
        Entry("SeedCore", partial(_idle, machine, sizes, {}), once=True),
        Entry("SeedCore, poll only", partial(_idle, machine, sizes, {"USE_LISTEN_NOTIFY": "0"}), once=True),
    ]  # fmt: skip


COUNT = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'bench'"


def _idle(machine: Machine, sizes: Sizes, env: dict[str, str]) -> Figures:
    url = machine.migrated()
    # Autovacuum's transactions would be counted with the worker's.
    with machine.setting("autovacuum", "off"), ours.workers(machine, url, env=env) as started:
        wait_idle(url, wants_waiter=not env)
        time.sleep(5)
        with machine.admin() as admin:
            # Sessions report what they did about once a second, so the count is of a long stretch.
            first, cpu, at = _count(admin), cpu_s(started[0].pid), time.monotonic()
            time.sleep(sizes.idle_s)
            last, seconds = _count(admin), time.monotonic() - at
        used = cpu_s(started[0].pid) - cpu
    return {"transactions_per_s": (last - first) / seconds, "cpu_percent": 100 * used / seconds}


def _count(admin: psycopg.Connection[Any]) -> int:
    row = admin.execute(COUNT).fetchone()
    return row[0] if row else 0


def memory(machine: Machine, sizes: Sizes, _: Roster) -> list[Entry]:
    """Resident size of a worker over very many tasks: its peak in the last tenth beside the first."""
    return [Entry("SeedCore", partial(_memory, machine, sizes), once=True)]


def _memory(machine: Machine, sizes: Sizes) -> Figures:
    url = machine.migrated()
    ours.fill(url, sizes.memory)
    readings: list[tuple[float, int]] = []
    with ours.workers(machine, url, "--until-empty") as started:
        while started[0].poll() is None:
            with contextlib.suppress(OSError, IndexError):  # it ends just now
                readings.append((time.time(), rss_bytes(started[0].pid)))
            time.sleep(0.02)
    with psycopg.connect(url) as conn:
        row = conn.execute(
            "SELECT extract(epoch FROM min(started_at))::float8,"
            " extract(epoch FROM percentile_disc(0.1) WITHIN GROUP (ORDER BY finished_at))::float8,"
            " extract(epoch FROM percentile_disc(0.9) WITHIN GROUP (ORDER BY finished_at))::float8,"
            " extract(epoch FROM max(finished_at))::float8 FROM tasks WHERE status = 'completed'"
        ).fetchone()
    begin, tenth, ninth, end = row or (0.0, 0.0, 0.0, 0.0)
    # The start of the process is not yet work.
    first = [rss for at, rss in readings if begin <= at <= tenth]
    last = [rss for at, rss in readings if ninth <= at <= end]
    if not first or not last:
        raise RuntimeError("too few readings: the queue was drained too soon")
    return {
        "first_mb": max(first) / 1e6,
        "last_mb": max(last) / 1e6,
        "last_to_first": max(last) / max(first),
    }


def wal(machine: Machine, sizes: Sizes, _: Roster) -> list[Entry]:
    """Bytes of WAL for claim and completion of a task, full-page images left out."""
    return [
        Entry("no events", partial(_wal, machine, sizes, "none"), once=True),
        Entry("events terminal", partial(_wal, machine, sizes, "terminal"), once=True),
        Entry("events all", partial(_wal, machine, sizes, "all"), once=True),
        Entry("throughput profile", partial(_wal, machine, sizes, None), once=True),
    ]


def _wal(machine: Machine, sizes: Sizes, level: str | None) -> Figures:
    url = machine.migrated()
    if level is None:
        ours.tune(machine, url)
    else:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(
                "INSERT INTO seedcore_settings (name, value) VALUES ('task_event_level', %s)"
                " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                [level],
            )
    ours.fill(url, sizes.wal)
    with machine.setting("full_page_writes", "off"), machine.admin("bench") as admin:
        before = lsn(admin)
        ours.drain(machine, url, env=ours.TUNED if level is None else None)
        after = lsn(admin)
        dead = admin.execute(
            "SELECT n_dead_tup::float8 / greatest(n_live_tup, 1) FROM pg_stat_user_tables"
            " WHERE relname = 'tasks'"
        ).fetchone()
    return {
        "bytes_per_task": (after - before) / sizes.wal,
        "dead_to_live": dead[0] if dead else 0.0,
    }


def lsn(admin: psycopg.Connection[Any]) -> int:
    row = admin.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
    return int(row[0]) if row else 0
