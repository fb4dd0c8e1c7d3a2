"""Procrastinate, driven as `protocol` says. Tuned: more jobs at a time, nothing waited for."""

from __future__ import annotations

import asyncio
import logging
import time

from procrastinate import App, PsycopgConnector
from protocol import BATCH, CONCURRENCY, Asked, Pickup, answer, asked, rate, until_done

logging.disable(logging.WARNING)


async def run(call: Asked) -> dict[str, object]:
    """Do one operation on an empty database."""
    app = App(connector=PsycopgConnector(conninfo=call.url))
    pickup = Pickup()
    done = 0

    @app.task(name="noop")
    async def noop() -> None:
        nonlocal done
        done += 1
        pickup.ran()

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        if call.operation == "single":
            started = time.perf_counter()
            for _ in range(call.count):
                await noop.defer_async()
            return rate(call.count, time.perf_counter() - started)
        if call.operation in ("batch", "drain"):
            started = time.perf_counter()
            for start in range(0, call.count, BATCH):
                await noop.batch_defer_async(*[{}] * min(BATCH, call.count - start))
            if call.operation == "batch":
                return rate(call.count, time.perf_counter() - started)
            await app.connector.execute_query_async("ANALYZE procrastinate_jobs")
            concurrency = 64 if call.is_tuned else CONCURRENCY
            work = asyncio.create_task(app.run_worker_async(concurrency=concurrency, wait=False))
            started = time.perf_counter()
            # Over when the worker has written the last result and returned.
            await until_done(lambda: False, work, call.limit_s)
            seconds = time.perf_counter() - started
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            return rate(done, seconds)
        work = asyncio.create_task(app.run_worker_async(concurrency=CONCURRENCY))
        await asyncio.sleep(1)
        await pickup.measure(noop.defer_async, call.count + 1)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        return pickup.found()


if __name__ == "__main__":
    answer(asyncio.run(run(asked())))
