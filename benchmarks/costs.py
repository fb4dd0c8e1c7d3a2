#!/usr/bin/env python3
"""Count what tasks cost: bytes, WAL, transactions, connections. Counts need no quiet machine.

    benchmarks/costs.py [--tasks 20000] [--json FILE] [--write-docs]

One throw-away PostgreSQL, default settings of the queue. `--write-docs` puts the inputs, and the
arithmetic that follows from them, into docs/scaling.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Not this file's folder: its queue.py would hide the standard library's `queue`.
sys.path[0] = str(ROOT)

import argparse  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import time  # noqa: E402
from typing import Any  # noqa: E402

PYTHON = ROOT / ".venv" / "bin" / "python"

try:
    import psycopg
except ModuleNotFoundError:
    if Path(sys.prefix) == PYTHON.parent.parent or not PYTHON.exists():
        raise
    os.execv(PYTHON, [str(PYTHON), __file__, *sys.argv[1:]])

from benchmarks.rig import alone, ours, report  # noqa: E402
from benchmarks.rig.machine import Machine, machine  # noqa: E402

PAGE = ROOT / "docs" / "scaling.md"
DAY_S = 86_400
SIZES = """
SELECT pg_table_size(c.oid), pg_indexes_size(c.oid), greatest(c.reltuples, 0)::bigint
  FROM pg_class c WHERE c.oid = %s::regclass
"""
INDEXES = """
SELECT i.indexrelid::regclass::text, pg_relation_size(i.indexrelid)
  FROM pg_index i WHERE i.indrelid = 'tasks'::regclass ORDER BY 2 DESC
"""
EVENT_SIZES = """
SELECT sum(pg_table_size(relid))::bigint, sum(pg_indexes_size(relid))::bigint
  FROM pg_partition_tree('task_events') WHERE isleaf
"""
MEANING = {
    "waiting_heap": ("B_wait", "bytes of a waiting task in the table (an 80-byte payload)"),
    "waiting_indexes": ("", "the same in all indexes"),
    "done_heap": ("B_done", "bytes of a finished task in the table, after VACUUM, freshly drained"),
    "done_indexes": ("", "the same in all indexes"),
    "event_bytes": ("B_event", "bytes of an event with its indexes"),
    "outbox_bytes": ("B_outbox", "bytes of an outbox event with its indexes"),
    "wal_single": ("W_single", "bytes of WAL for a task that is submitted by itself"),
    "wal_bulk": ("W_bulk", "bytes of WAL for a task of a bulk load"),
    "wal_run_terminal": ("W_run", "bytes of WAL for claim and completion, events terminal"),
    "wal_run_all": ("", "the same, all events"),
    "wal_purge": ("W_purge", "bytes of WAL for a finished task that is purged"),
    "wal_partition": ("W_drop", "bytes of WAL for a day of events that is dropped, whatever it holds"),
    "transactions_per_task": ("X_task", "transactions for a task that is drained from a long queue"),
    "connections": ("C_worker", "connections of a worker"),
    "connections_poll": ("", "the same when it only polls"),
    "idle_transactions_s": ("X_idle", "transactions a second of an idle worker"),
    "idle_transactions_poll_s": ("", "the same when it only polls"),
}  # fmt: skip


def main() -> int:
    """Count, print, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--write-docs", action="store_true")
    asked = parser.parse_args()
    with machine() as server:
        costs = count(server, asked.tasks)
    text = json.dumps(costs, indent=1)
    if asked.json:
        asked.json.write_text(text + "\n")
    print(text)
    if asked.write_docs:
        page = report.put_between(PAGE.read_text(encoding="utf-8"), "inputs", inputs(costs))
        PAGE.write_text(report.put_between(page, "arithmetic", arithmetic(costs)), encoding="utf-8")
    return 0


def count(server: Machine, tasks: int) -> dict[str, Any]:
    """Return everything that is counted."""
    costs: dict[str, Any] = {"tasks": tasks}
    # An image of each page after a checkpoint depends on time, not on tasks.
    with server.setting("full_page_writes", "off"):
        costs |= life(server, tasks)
        costs |= {"wal_run_all": run_wal(server, tasks, "all")}
    costs |= outbox(server, min(tasks, 5_000))
    # Autovacuum's transactions would be counted with the worker's.
    with server.setting("autovacuum", "off"):
        costs |= idle(server, {}, "")
        costs |= idle(server, {"USE_LISTEN_NOTIFY": "0"}, "_poll")
    return costs


def life(server: Machine, tasks: int) -> dict[str, Any]:
    """Follow tasks from the bulk load to the purge."""
    url = server.migrated()
    found: dict[str, Any] = {}
    with psycopg.connect(url, autocommit=True) as conn, server.admin("bench") as admin:
        few = min(tasks, 2_000)
        found["wal_single"] = spent(admin, lambda: ours.submit_single(conn, few), few)
        found["wal_bulk"] = spent(admin, lambda: ours.submit_bulk(conn, tasks, batch=5_000), tasks)
        total = tasks + few
        conn.execute("VACUUM ANALYZE tasks")
        found["waiting_heap"], found["waiting_indexes"] = per_row(conn, "tasks", total)
        found["waiting_each_index"] = {
            name: round(size / total, 1) for name, size in conn.execute(INDEXES).fetchall()
        }
        before = transactions(admin)
        found["wal_run_terminal"] = spent(admin, lambda: ours.drain(server, url), total)
        time.sleep(1.5)  # sessions report their transactions about once a second
        found["transactions_per_task"] = (transactions(admin) - before) / total
        conn.execute("VACUUM ANALYZE tasks")
        found["done_heap"], found["done_indexes"] = per_row(conn, "tasks", total)
        row = conn.execute(EVENT_SIZES).fetchone()
        events = conn.execute("SELECT count(*) FROM task_events").fetchone()
        if row and events:
            found["event_bytes"] = (row[0] + row[1]) / max(1, events[0])
        partition = conn.execute(
            "SELECT relid::regclass::text FROM pg_partition_tree('task_events') WHERE isleaf"
            " ORDER BY pg_table_size(relid) DESC LIMIT 1"
        ).fetchone()
        found["wal_purge"] = spent(admin, lambda: purge(conn), total)
        if partition:
            found["wal_partition"] = spent(
                admin,
                lambda: conn.execute(
                    psycopg.sql.SQL("DROP TABLE {}").format(psycopg.sql.Identifier(partition[0]))
                ),
                1,
            )
    return found


def purge(conn: psycopg.Connection[Any]) -> None:
    """Purge all finished tasks, in batches."""
    while True:
        row = conn.execute("SELECT tasks_purge(interval '0')").fetchone()
        if not row or not row[0]:
            return


def run_wal(server: Machine, tasks: int, level: str) -> float:
    """Return the WAL of claim and completion at an event level."""
    url = server.migrated()
    with psycopg.connect(url, autocommit=True) as conn, server.admin("bench") as admin:
        conn.execute(
            "INSERT INTO seedcore_settings (name, value) VALUES ('task_event_level', %s)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            [level],
        )
        ours.fill(url, tasks)
        return spent(admin, lambda: ours.drain(server, url), tasks)


def outbox(server: Machine, tasks: int) -> dict[str, float]:
    """Return the bytes of an outbox event."""
    url = server.migrated()
    with psycopg.connect(url, autocommit=True) as conn:
        ours.submit_bulk(conn, tasks, batch=1_000, full=True)
        conn.execute("VACUUM ANALYZE task_outbox")
        return {"outbox_bytes": sum(per_row(conn, "task_outbox", tasks))}


def idle(server: Machine, env: dict[str, str], suffix: str) -> dict[str, float]:
    """Return connections and transactions of a worker that has nothing to do."""
    url = server.migrated()
    with ours.workers(server, url, env=env), server.admin("bench") as admin:
        alone.wait_idle(url, wants_waiter=not env)
        time.sleep(5)
        row = admin.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = 'bench'"
            " AND application_name LIKE 'seedcore worker%'"
        ).fetchone()
        before, at = transactions(admin), time.monotonic()
        time.sleep(20)
        rate = (transactions(admin) - before) / (time.monotonic() - at)
    connections = row[0] if row else 0
    return {f"connections{suffix}": connections, f"idle_transactions{suffix}_s": rate}


def transactions(admin: psycopg.Connection[Any]) -> int:
    """Return the transactions of the measured database so far."""
    row = admin.execute(
        "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'bench'"
    ).fetchone()
    return row[0] if row else 0


def spent(admin: psycopg.Connection[Any], work: Any, tasks: int) -> float:
    """Return the bytes of WAL that some work wrote, for each task."""
    before = alone.lsn(admin)
    work()
    return (alone.lsn(admin) - before) / tasks


def per_row(conn: psycopg.Connection[Any], table: str, rows: int) -> tuple[float, float]:
    """Return bytes per row in the table and in its indexes."""
    row = conn.execute(SIZES, [table]).fetchone()
    return (row[0] / rows, row[1] / rows) if row else (0.0, 0.0)


def inputs(costs: dict[str, Any]) -> str:
    """Return the table of what was counted."""
    lines = ["| name | what | measured |", "|---|---|---:|"]
    for key, (name, what) in MEANING.items():
        if key in costs:
            value = costs[key]
            shown = f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
            lines.append(f"| {f'`{name}`' if name else ''} | {what} | {shown} |")
    each = ", ".join(
        f"`{n}` {size:g}" for n, size in costs["waiting_each_index"].items() if size >= 1
    )
    return "\n".join(lines) + f"\n\nBytes of a waiting task per index: {each}."


def arithmetic(costs: dict[str, Any]) -> str:
    """Return what follows for three sizes, with a week of finished tasks kept and events terminal."""
    per_done = costs["done_heap"] + costs["done_indexes"] + costs["event_bytes"]
    wal = costs["wal_bulk"] + costs["wal_run_terminal"] + costs["wal_purge"]
    lines = [
        "| tasks a day | a second | WAL | WAL a day | a week of finished tasks | transactions a second |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for day in (10**6, 10**8, 10**10):
        rate = day / DAY_S
        lines.append(
            f"| 10{'⁶' if day == 10**6 else '⁸' if day == 10**8 else '¹⁰'} | {rate:,.0f}"
            f" | {size(rate * wal)}/s | {size(day * wal)} | {size(7 * day * per_done)}"
            f" | {max(1.0, rate * costs['transactions_per_task']):,.0f} |"
        )
    return "\n".join(lines)


def size(value: float) -> str:
    """Return bytes with a unit."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1_000:
            return f"{value:,.3g} {unit}"
        value /= 1_000
    return f"{value:,.3g} PB"


if __name__ == "__main__":
    sys.exit(main())
