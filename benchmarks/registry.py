"""What the registry costs a database, and that rotations and outages leave it right.

    python benchmarks/registry.py [--instances 2000] [--every 5] [--seconds 30] [--rotations 200]

Three runs on one embedded PostgreSQL with its shipped settings:

- beats: so many instances beat at that pace, while a reaper passes every second; printed are the
  processor time of the server's sessions, the share of heap-only updates, and the latency of beats
  beside a reaper's pass and without one;
- rotations: so many at once expect the same epoch, ten rounds; one may win each;
- restart: 50 clients beat while the server is stopped at once and started again.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID, uuid4

import psutil
import psycopg
from psycopg.rows import dict_row

from seedcore.config.settings import Settings
from seedcore.db import migrate
from seedcore.db.embedded import EmbeddedServer
from seedcore.errors import Conflict
from seedcore.registry import RegistryClient, epoch as epochs, store
from seedcore.registry.reaper import Reaper, Rules

CONNECTIONS = 20
CLIENTS = 50
BEAT_S = 0.5


def connect(conninfo: str) -> psycopg.Connection[Any]:
    """Open a connection in autocommit."""
    return psycopg.connect(conninfo, autocommit=True, row_factory=dict_row)


def cpu_of(pids: list[int]) -> float:
    """Return the processor seconds that these processes have used."""
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


def beats(conninfo: str, instances: int, every_s: float, seconds: float) -> None:
    """Let instances beat and print what that costs."""
    with connect(conninfo) as conn:
        store.ensure_epoch(conn, uuid4())
        ids = [uuid4() for _ in range(instances)]
        for one in ids:
            store.register(conn, store.Identity(instance_id=one, logical_id=f"i-{one}"), None)
        conn.execute("UPDATE registry_instance SET status = 'alive'")
        conn.execute("VACUUM ANALYZE registry_instance")
    time.sleep(1.5)  # sessions hand their statistics in when they end
    with connect(conninfo) as conn:
        before = _updates(conn)
    waits: list[tuple[float, float]] = []
    passes: list[tuple[float, float]] = []
    stop = threading.Event()
    connections = [connect(conninfo) for _ in range(CONNECTIONS)]

    def beat(conn: psycopg.Connection[Any], mine: list[UUID]) -> None:
        pause = every_s / len(mine)
        due = time.monotonic()
        while not stop.is_set():
            for one in mine:
                due += pause
                if stop.wait(max(due - time.monotonic(), 0.0)):
                    return
                began = time.monotonic()
                store.beat(conn, one)
                waits.append((began, time.monotonic() - began))

    def reap() -> None:
        reaper = Reaper(Rules(stale_s=15))
        with connect(conninfo) as conn:
            while not stop.wait(1.0):
                began = time.monotonic()
                reaper.run(conn)
                passes.append((began, time.monotonic()))

    pids = [conn.info.backend_pid for conn in connections]
    used, began = cpu_of(pids), time.monotonic()
    with ThreadPoolExecutor(CONNECTIONS + 1) as threads:
        for number, conn in enumerate(connections):
            threads.submit(beat, conn, ids[number::CONNECTIONS])
        threads.submit(reap)
        time.sleep(seconds)
        took, used = time.monotonic() - began, cpu_of(pids) - used
        stop.set()
    for conn in connections:
        conn.close()
    beside = [w for at, w in waits if any(a <= at + w and at <= b for a, b in passes)]
    apart = [w for at, w in waits if not any(a <= at + w and at <= b for a, b in passes)]
    time.sleep(1.5)
    with connect(conninfo) as conn:
        updates, hot = (after - then for after, then in zip(_updates(conn), before, strict=True))
    print(f"beats        {len(waits) / took:8.0f} per second from {instances} instances")
    print(f"server       {100 * used / took:8.1f} % of one core (mark: under 12)")
    print(f"heap-only    {100 * hot / max(updates, 1):8.1f} % of {updates} updates")
    print(f"beat p50/p99 {_ms(apart)} ms apart from a pass, {_ms(beside)} ms beside one")
    print(
        f"passes       {len(passes):8d}, median {1000 * _median([b - a for a, b in passes]):.1f} ms"
    )


def _updates(conn: psycopg.Connection[Any]) -> tuple[int, int]:
    """Return how many updates the registry has seen, and how many were heap-only."""
    row = conn.execute(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'registry_instance'"
    ).fetchone()
    assert row is not None
    return row["n_tup_upd"], row["n_tup_hot_upd"]


def rotations(conninfo: str, count: int) -> None:
    """Let many rotations expect the same epoch, and print who won."""
    for number in range(1, 11):
        with connect(conninfo) as conn:
            expected = store.ensure_epoch(conn, uuid4())

        def rotate(_: int, expected: UUID = expected) -> str:
            with connect(conninfo) as conn:
                try:
                    epochs.rotate(conn, actor="benchmark", expected=str(expected))
                except Conflict as error:
                    return error.code
            return "won"

        began = time.monotonic()
        with ThreadPoolExecutor(count) as threads:
            answers = list(threads.map(rotate, range(count)))
        with connect(conninfo) as conn:
            locks = conn.execute(
                "SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory'"
            ).fetchone()
        assert locks is not None
        said = {answer: answers.count(answer) for answer in sorted(set(answers))}
        print(
            f"rotation {number:2d} {said}, {time.monotonic() - began:.2f} s, locks left {locks['n']}"
        )


def restart(server: EmbeddedServer, settings: Settings) -> None:
    """Stop the server under beating clients, start it, and print when all are alive again."""
    clients = [RegistryClient(f"client-{n}", settings=settings) for n in range(CLIENTS)]
    for client in clients:
        client.start()
    conninfo = server.conninfo()
    alive = (
        "SELECT count(*) AS n FROM registry_instance"
        " WHERE status = 'alive' AND last_heartbeat > %s::timestamptz"
    )
    try:
        _until(lambda: _count(conninfo, alive, "-infinity") == CLIENTS)
        server.stop("immediate")
        time.sleep(3 * BEAT_S)
        server.ensure_running()
        began = time.monotonic()
        with connect(conninfo) as conn:
            row = conn.execute("SELECT clock_timestamp() AS now").fetchone()
        assert row is not None
        _until(lambda: _count(conninfo, alive, row["now"]) == CLIENTS)
        took = time.monotonic() - began
        print(f"restart      all {CLIENTS} alive after {took:.2f} s = {took / BEAT_S:.1f} beats")
    finally:
        for client in clients:
            client.close()


def _count(conninfo: str, statement: LiteralString, since: Any) -> int:
    with connect(conninfo) as conn:
        row = conn.execute(statement, [since]).fetchone()
    return 0 if row is None else int(row["n"])


def _until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.02)


def _median(values: list[float]) -> float:
    return statistics.median(values) if values else 0.0


def _ms(values: list[float]) -> str:
    if not values:
        return "-/-"
    ordered = sorted(values)
    last = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"{1000 * _median(values):.2f}/{1000 * last:.2f}"


def main() -> None:
    """Run all three and print their lines."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--instances", type=int, default=2000)
    parser.add_argument("--every", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rotations", type=int, default=200)
    args = parser.parse_args()
    logging.getLogger("seedcore").addHandler(logging.NullHandler())  # outages are meant here
    with tempfile.TemporaryDirectory(prefix="sc-bench-") as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedServer(Path(folder) / "home")
        server.ensure_running()
        try:
            migrate.up_url(server.conninfo())
            beats(server.conninfo(), args.instances, args.every, args.seconds)
            rotations(server.conninfo(), args.rotations)
            settings = Settings(home=str(Path(folder) / "home"))
            restart(server, dataclasses.replace(settings, registry_beat_sec=BEAT_S))
        finally:
            server.destroy()


if __name__ == "__main__":
    main()
