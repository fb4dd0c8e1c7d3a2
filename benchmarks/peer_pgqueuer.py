"""Drain no-op jobs with PgQueuer on asyncpg at its defaults; print one JSON line.

Runs in an environment of its own (`benchmarks/drain.py` makes it): PgQueuer, asyncpg and uvloop, as
its documentation advises. Arguments: a PostgreSQL URL, the number of jobs.
"""

from __future__ import annotations

import json
import sys
import time

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode

BATCH = 1_000


async def drain(url: str, count: int) -> dict[str, float]:
    """Enqueue `count` no-op jobs, then drain them; return seconds and rate of the drain alone."""
    connection = await asyncpg.connect(url)
    driver = AsyncpgDriver(connection)
    queries = Queries(driver)
    if await queries.schema_is_installed():
        await queries.uninstall()
    await queries.install()
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        await queries.enqueue(["noop"] * size, [None] * size, [0] * size)
    await connection.execute("VACUUM ANALYZE pgqueuer")

    app = PgQueuer(driver)
    done = 0

    @app.entrypoint("noop")
    async def noop(_job: Job) -> None:
        nonlocal done
        done += 1

    started = time.perf_counter()
    await app.run(mode=QueueExecutionMode.drain)
    seconds = time.perf_counter() - started
    if done != count:
        raise SystemExit(f"PgQueuer ran {done} of {count} jobs")
    return {"seconds": round(seconds, 3), "per_s": round(done / seconds)}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(drain(sys.argv[1], int(sys.argv[2])))))
