"""What each optional index, storage parameter and setting costs a drain and a bulk load.

    python benchmarks/tune.py [--count 20000] [--rounds 5] [--quick] [--only NAME ...] [--json FILE]

Every round takes each variant in turn, on a database of its own on one embedded PostgreSQL with its
shipped settings (fsync and synchronous_commit on). A variant is the default schema with one thing
changed. Measured are a COPY of the tasks, and one connection that claims and completes them in batches
through the engine's own functions: so the database's share, without a worker's. Beside the time by the
clock stands the processor time of the server's process, which a busy machine disturbs far less, and the
log written per task, which is exact. Ratios are to the default variant of the same round, more is
faster; the medians of those are what to quote.
"""

from __future__ import annotations

import sys

# Not this file's folder: a neighbour's name would hide the standard library's `queue`.
del sys.path[0]

import argparse  # noqa: E402
import json  # noqa: E402
import statistics  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import psycopg  # noqa: E402
from psycopg import sql  # noqa: E402

from seedcore.db import migrate  # noqa: E402
from seedcore.db.embedded import EmbeddedServer  # noqa: E402

BATCH = 200
TEMPLATE = "tune_template"
THROUGHPUT = (
    "ix_tasks_params_gin",
    "ix_tasks_type",
    "ix_tasks_domain",
    "idx_tasks_multimodal_fast",
)
"""What `seedcore db tune throughput` drops."""
EVENTS = "INSERT INTO seedcore_settings (name, value, changed_by) VALUES ('task_event_level', '{}', 'bench')"


def without(*names: str) -> str:
    """Return the statement that drops indexes."""
    return f"DROP INDEX IF EXISTS {', '.join(names)}"


VARIANTS = {
    "default": "SELECT",
    **{f"without {name}": without(name) for name in THROUGHPUT},
    "without ix_tasks_created_at_desc": without("ix_tasks_created_at_desc"),
    "without ix_tasks_status_runafter": without("ix_tasks_status_runafter"),
    "gin with pending list off": "ALTER INDEX ix_tasks_params_gin SET (fastupdate = off)",
    "fillfactor 100": "ALTER TABLE tasks SET (fillfactor = 100)",
    "fillfactor 50": "ALTER TABLE tasks SET (fillfactor = 50)",
    "events none": EVENTS.format("none"),
    "events all": EVENTS.format("all"),
    "wal_compression": "ALTER DATABASE {database} SET wal_compression = on",
    "synchronous_commit off": "ALTER DATABASE {database} SET synchronous_commit = off",
    "throughput": without(*THROUGHPUT),
    "throughput, events none": f"{without(*THROUGHPUT)}; {EVENTS.format('none')}",
    "throughput, synchronous_commit off": (
        f"{without(*THROUGHPUT)}; ALTER DATABASE {{database}} SET synchronous_commit = off"
    ),
}
"""What each variant changes."""

QUICK = ("default", *(f"without {n}" for n in THROUGHPUT), "throughput")

COPY = "COPY tasks (id, status, type, description, domain, params) FROM STDIN"


def rows(count: int) -> str:
    """Return tasks as COPY reads them; ids rise with time, as ours do."""
    lines: list[str] = []
    for n in range(count):
        task = f"01900000-0000-7000-8000-{n:012x}"
        params = json.dumps(
            {"tool_calls": [{"name": "echo", "args": {"value": n}}], "site": n % 97}
        )
        lines.append(f"{task}\tqueued\techo\treading {n} of the day\tbuilding-{n % 7}\t{params}\n")
    return "".join(lines)


class Timer:
    """Seconds of a block, by the clock and on the processor of the connection's server process."""

    def __init__(self, conn: psycopg.Connection) -> None:
        self._path = Path(f"/proc/{conn.info.backend_pid}/schedstat")
        self.clock = self.processor = 0.0

    def _used(self) -> float:
        # Elsewhere than on Linux the clock has to do.
        if not self._path.exists():
            return time.perf_counter()
        return int(self._path.read_text().split()[0]) / 1e9

    def __enter__(self) -> Timer:
        self._began = time.perf_counter(), self._used()
        return self

    def __exit__(self, *_: object) -> None:
        self.clock = time.perf_counter() - self._began[0]
        self.processor = self._used() - self._began[1]


def load(conn: psycopg.Connection, data: str) -> None:
    """COPY the tasks in one transaction."""
    with conn.cursor() as cursor, cursor.copy(COPY) as target:
        target.write(data)


def drain(conn: psycopg.Connection, count: int) -> None:
    """Claim and complete every task."""
    done = 0
    while done < count:
        claimed = conn.execute(
            "SELECT id, attempts FROM tasks_claim('queue', 'bench', %s)", [BATCH]
        ).fetchall()
        if not claimed:
            raise SystemExit(f"the queue ran dry after {done} of {count} tasks")
        ids, attempts = [r[0] for r in claimed], [r[1] for r in claimed]
        conn.execute(
            "SELECT count(*) FROM tasks_complete('bench', %s::uuid[], %s::int[],"
            " array_fill('{\"ok\": true}'::jsonb, ARRAY[cardinality(%s::uuid[])]))",
            [ids, attempts, ids],
        )
        done += len(claimed)


def wal(conn: psycopg.Connection) -> int:
    """Return the position in the log, in bytes."""
    row = conn.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn").fetchone()
    assert row is not None
    return int(row[0])


def measure(server: EmbeddedServer, change: str, data: str, count: int) -> dict[str, float]:
    """Return tasks per second of a load and a drain, and the log that the drain wrote per task."""
    name = "tune_run"
    with psycopg.connect(server.conninfo("postgres", superuser=True), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name}")
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
        admin.execute("CHECKPOINT")
    with psycopg.connect(server.conninfo(name, superuser=True), autocommit=True) as conn:
        conn.execute(change.format(database=name) if "{database}" in change else change)
    with psycopg.connect(server.conninfo(name, superuser=True), autocommit=True) as conn:
        conn.execute("ALTER TABLE tasks SET (autovacuum_enabled = off)")
        with Timer(conn) as loading:
            load(conn, data)
        conn.execute("VACUUM (ANALYZE) tasks")
        # No checkpoint in between: it would have whole pages written to the log once more.
        before = wal(conn)
        with Timer(conn) as draining:
            drain(conn, count)
        written = wal(conn) - before
    return {
        "copy": count / loading.clock,
        "copy_cpu": count / loading.processor,
        "drain": count / draining.clock,
        "drain_cpu": count / draining.processor,
        "wal_bytes": written / count,
    }


def main() -> None:
    """Run the rounds and print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--count", type=int, default=20_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--quick", action="store_true", help="a minute or two, indexes only")
    options.add_argument("--only", nargs="*", default=None, metavar="NAME", help="these variants")
    options.add_argument("--json", type=Path, default=None)
    args = options.parse_args()
    names = list(QUICK if args.quick else VARIANTS)
    if args.quick:
        args.count, args.rounds = 5_000, 3
    if args.only:
        names = ["default", *(n for n in VARIANTS if n in args.only and n != "default")]
    data = rows(args.count)
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="sc-bench-") as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedServer(Path(folder) / "home")
        server.ensure_running()
        try:
            with psycopg.connect(
                server.conninfo("postgres", superuser=True), autocommit=True
            ) as admin:
                admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
            with psycopg.connect(
                server.conninfo(TEMPLATE, superuser=True), autocommit=True
            ) as conn:
                conn.execute("CREATE EXTENSION IF NOT EXISTS vector")
            migrate.up_url(server.conninfo(TEMPLATE, superuser=True))
            for number in range(args.rounds):
                # Turned round each time, so that none always follows the same one.
                for name in names if number % 2 == 0 else reversed(names):
                    measured[name].append(measure(server, VARIANTS[name], data, args.count))
                print(f"round {number + 1} of {args.rounds}", flush=True)
        finally:
            server.stop("immediate")
    kinds = ("drain", "drain_cpu", "copy", "copy_cpu")
    print("\nratios to default; WAL in bytes a drained task")
    print(f"{'variant':36}" + "".join(f"{kind:>10}" for kind in kinds) + f"{'WAL':>8}")
    table: dict[str, dict[str, float]] = {}
    for name in names:
        pairs = list(zip(measured[name], measured["default"], strict=True))
        row = {kind: statistics.median(a[kind] / b[kind] for a, b in pairs) for kind in kinds}
        row["wal_bytes"] = statistics.median(a["wal_bytes"] for a, _ in pairs)
        table[name] = row
        print(
            f"{name:36}"
            + "".join(f"{row[kind]:10.2f}" for kind in kinds)
            + f"{row['wal_bytes']:8.0f}"
        )
    base = measured["default"]
    print(
        f"default: {statistics.median(m['drain'] for m in base):.0f} drained/s,"
        f" {statistics.median(m['copy'] for m in base):.0f} copied/s"
    )
    if args.json:
        args.json.write_text(json.dumps({"medians": table, "rounds": measured}, indent=2))


if __name__ == "__main__":
    main()
