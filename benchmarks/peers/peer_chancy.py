"""Chancy, driven as `protocol` says, with its asyncio executor. Tuned: 256 at a time, polled eagerly."""

from __future__ import annotations

import asyncio
import logging
import time

from chancy import Chancy, Job, Queue, Worker
from protocol import BATCH, CONCURRENCY, Asked, Pickup, answer, asked, rate, until_done

logging.disable(logging.WARNING)
pickup = Pickup()
done = 0


async def noop() -> None:
    """Count."""
    global done
    done += 1
    pickup.ran()


async def run(call: Asked) -> dict[str, object]:
    """Do one operation on an empty database."""
    async with Chancy(call.url) as chancy:
        await chancy.migrate()
        fast = {"polling_interval": 1, "eager_polling": True} if call.is_tuned else {}
        concurrency = 256 if call.is_tuned else CONCURRENCY
        executor = Chancy.Executor.Async
        await chancy.declare(
            Queue("default", concurrency=concurrency, executor=executor, **fast), upsert=True
        )
        job = Job.from_func(noop)
        if call.operation == "single":
            started = time.perf_counter()
            for _ in range(call.count):
                await chancy.push(job)
            return rate(call.count, time.perf_counter() - started)
        if call.operation in ("batch", "drain"):
            started = time.perf_counter()
            async for _ in chancy.push_many([job] * call.count, batch_size=BATCH):
                pass
            if call.operation == "batch":
                return rate(call.count, time.perf_counter() - started)
            started = time.perf_counter()
            async with Worker(chancy, register_signal_handlers=False, shutdown_timeout=1):
                forever = asyncio.create_task(asyncio.sleep(call.limit_s + 60))
                await until_done(lambda: done >= call.count, forever, call.limit_s)
                seconds = time.perf_counter() - started
                forever.cancel()
            return rate(done, seconds)
        async with Worker(chancy, register_signal_handlers=False, shutdown_timeout=1):
            await asyncio.sleep(2)
            await pickup.measure(lambda: chancy.push(job), call.count + 1)
        return pickup.found()


if __name__ == "__main__":
    answer(asyncio.run(run(asked())))
