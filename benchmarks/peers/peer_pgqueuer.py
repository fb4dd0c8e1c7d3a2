"""PgQueuer, driven as `protocol` says, on asyncpg (with uvloop, as its documentation advises) or psycopg.

The profile names the driver too: `default`, `tuned` (asyncpg), `psycopg`. Tuned: batches of 1,000.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import Any

import uvloop
from pgqueuer import PgQueuer
from pgqueuer.models import Job
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode
from protocol import BATCH, Asked, Pickup, answer, asked, rate, until_done

logging.disable(logging.WARNING)


async def driver_for(call: Asked) -> Any:
    """Connect."""
    if call.profile == "psycopg":
        import psycopg
        from pgqueuer.adapters.drivers.psycopg import PsycopgDriver

        return PsycopgDriver(await psycopg.AsyncConnection.connect(call.url, autocommit=True))
    import asyncpg
    from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver

    return AsyncpgDriver(await asyncpg.connect(call.url))


async def run(call: Asked) -> dict[str, object]:
    """Do one operation on an empty database."""
    driver = await driver_for(call)
    queries = Queries(driver)
    await queries.install()
    if call.operation == "single":
        started = time.perf_counter()
        for _ in range(call.count):
            await queries.enqueue("noop", None)
        return rate(call.count, time.perf_counter() - started)
    if call.operation in ("batch", "drain"):
        started = time.perf_counter()
        for start in range(0, call.count, BATCH):
            size = min(BATCH, call.count - start)
            await queries.enqueue(["noop"] * size, [None] * size, [0] * size)
        if call.operation == "batch":
            return rate(call.count, time.perf_counter() - started)
        await driver.execute("ANALYZE pgqueuer")
    app, pickup, done = PgQueuer(driver), Pickup(), 0

    @app.entrypoint("noop")
    async def noop(_job: Job) -> None:
        nonlocal done
        done += 1
        pickup.ran()

    if call.operation == "drain":
        size: dict[str, Any] = {"batch_size": BATCH} if call.profile == "tuned" else {}
        started = time.perf_counter()
        work = asyncio.create_task(app.run(mode=QueueExecutionMode.drain, **size))
        await until_done(lambda: False, work, call.limit_s)
        seconds = time.perf_counter() - started
        if not work.done():
            app.shutdown.set()
        await asyncio.gather(work, return_exceptions=True)
        return rate(done, seconds)
    work = asyncio.create_task(app.run())
    await asyncio.sleep(1)
    own = Queries(await driver_for(call))
    await pickup.measure(lambda: own.enqueue("noop", None), call.count + 1)
    app.shutdown.set()
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    return pickup.found()


if __name__ == "__main__":
    call = asked()
    answer(asyncio.run(run(call)) if call.profile == "psycopg" else uvloop.run(run(call)))
    sys.stdout.flush()
