"""SeedCore as a contender: its program, its functions, its tables."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.rig.machine import Machine
from seedcore.task.bulk import submit_lines
from seedcore.task.ids import new_id
from seedcore.task.model import NewTask
from seedcore.task.reading import read_lines
from seedcore.task.submission import submit

ROOT = Path(__file__).resolve().parents[2]
SEEDCORE = [sys.executable, "-m", "seedcore_cli"]
PARAMS: dict[str, Any] = {"tool_calls": [{"name": "bench.noop", "args": {}}]}
TUNED = {
    "DISPATCHER_CONCURRENCY": "64",
    "CLAIM_BATCH_SIZE": "500",
    "DISPATCHER_PREFETCH": "1000",
    "DISPATCHER_FLUSH_N": "500",
}
"""The worker's side of the throughput profile."""

FILL = """
INSERT INTO tasks (id, status, type, params, priority)
SELECT gen_random_uuid(), 'queued', 'bench', %s, (ARRAY[5, 3, 8])[1 + n %% %s]
  FROM generate_series(1, %s) AS n
"""
SPAN = """
SELECT count(*), extract(epoch FROM max(finished_at) - min(started_at))::float8
  FROM tasks WHERE status = 'completed' AND started_at >= to_timestamp(%s)
"""


def environment(
    machine: Machine, url: str, more: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return all of a process's environment."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": str(machine.folder),
        "PYTHONPATH": str(ROOT),
        "SEEDCORE_HOME": str(machine.folder / "home"),
        "SEEDCORE_DATABASE_URL": url,
        "SEEDCORE_PLUGINS": "benchmarks.rig.tools",
        "SEEDCORE_LOG_LEVEL": "WARNING",
        **(more or {}),
    }


def program(machine: Machine, url: str, *words: str) -> str:
    """Run a command to its end; return what it printed.

    Raises:
        RuntimeError: It failed.
    """
    done = subprocess.run(
        [*SEEDCORE, *words],
        env=environment(machine, url),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[:1]
        raise RuntimeError(f"seedcore {' '.join(words)}: {' '.join(last)}")
    return done.stdout


def tune(machine: Machine, url: str) -> None:
    """Put the throughput profile on."""
    program(machine, url, "db", "tune", "throughput", "--yes")


def fill(url: str, count: int, *, priorities: int = 1) -> None:
    """Put tasks into the queue, and let the planner know."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(FILL, [json.dumps(PARAMS), priorities, count])
        conn.execute("VACUUM ANALYZE tasks")


@contextmanager
def workers(
    machine: Machine, url: str, *words: str, count: int = 1, env: Mapping[str, str] | None = None
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start workers, and end them afterwards if they have not ended by themselves."""
    started = [
        subprocess.Popen(
            [*SEEDCORE, "worker", "queue", *words],
            env=environment(machine, url, env)
            | {"SEEDCORE_HOME": str(machine.folder / f"w{number}")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        for number in range(count)
    ]
    try:
        yield started
    finally:
        for worker in started:
            worker.terminate()
        for worker in started:
            worker.wait()


def drain(
    machine: Machine,
    url: str,
    *words: str,
    count: int = 1,
    env: Mapping[str, str] | None = None,
    limit_s: float = 600.0,
) -> float:
    """Let workers drain the queue; return tasks per second from first claim to last completion."""
    began = time.time()
    with workers(machine, url, *(words or ("--until-empty",)), count=count, env=env) as started:
        end = time.monotonic() + limit_s
        for worker in started:
            try:
                code = worker.wait(max(1.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise RuntimeError(f"not drained within {limit_s:g} s") from None
            if code:
                raise RuntimeError(f"the worker ended with {code}")
    with psycopg.connect(url) as conn:
        row = conn.execute(SPAN, [began]).fetchone()
    if row is None or not row[0] or not row[1]:
        raise RuntimeError("the worker completed nothing")
    return row[0] / row[1]


def submit_single(conn: psycopg.Connection[Any], count: int, *, full: bool = False) -> float:
    """Submit one by one, each its own commit; return tasks per second.

    Args:
        conn: In autocommit.
        count: How many.
        full: With an idempotency key, and an outbox event in the same transaction.
    """
    started = time.perf_counter()
    for number in range(count):
        if not full:
            submit(conn, NewTask(type="bench", params=PARAMS))
            continue
        with conn.transaction():
            done = submit(
                conn, NewTask(type="bench", params=PARAMS, idempotency_key=f"bench-{number}")
            )
            conn.execute("SELECT outbox_enqueue(%s, 'bench', '{}'::jsonb)", [done.id])
    return count / (time.perf_counter() - started)


def submit_bulk(
    conn: psycopg.Connection[Any], count: int, *, batch: int, full: bool = False
) -> float:
    """Submit lines with ids in transactions of `batch`; return tasks per second.

    The lines are there as text, as a file or another program would hand them over.
    """
    texts: list[tuple[bytes, list[str]]] = []
    # In batches of a thousand each is a submission of its own; a bulk load is one stream.
    step = batch if batch <= 1_000 else count
    for start in range(0, count, step):
        ids = [str(new_id()) for _ in range(min(step, count - start))]
        texts.append((b"".join(_line(i, full=full) for i in ids), ids))
    started = time.perf_counter()
    for text, ids in texts:
        lines = read_lines(io.BytesIO(text), max_bytes=1 << 20)
        if not full:
            _consume(conn, lines, batch)
            continue
        with conn.transaction():
            _consume(conn, lines, batch)
            conn.execute(
                "SELECT outbox_enqueue(id, 'bench', '{}'::jsonb) FROM unnest(%s::uuid[]) AS id",
                [ids],
            )
    return count / (time.perf_counter() - started)


def submit_program(machine: Machine, url: str, count: int) -> tuple[float, int]:
    """Submit by `task submit -f`, start of the program included.

    Returns:
        Tasks per second, and the peak resident size of the program in bytes.
    """
    path = machine.folder / "lines.ndjson"
    with path.open("wb") as out:
        out.writelines(_line(str(new_id()), full=False) for _ in range(count))
    started = time.perf_counter()
    with path.open("rb") as lines:
        process = subprocess.Popen(
            [*SEEDCORE, "-q", "task", "submit", "-f", "-", "-o", "jsonl"],
            env=environment(machine, url),
            stdin=lines,
            stdout=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise RuntimeError(f"task submit ended with {process.returncode}")
    return count / (time.perf_counter() - started), usage.ru_maxrss * 1024


def _line(task_id: str, *, full: bool) -> bytes:
    line: dict[str, Any] = {"id": task_id, "type": "bench", "params": PARAMS}
    if full:
        line["idempotency_key"] = f"bench-{task_id}"
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def _consume(conn: psycopg.Connection[Any], lines: Any, batch: int) -> None:
    for result in submit_lines(conn, lines, actor="bench", batch_size=batch):
        if result.error:
            raise RuntimeError(str(result.error))
