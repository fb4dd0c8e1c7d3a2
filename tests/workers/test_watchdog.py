"""The watchdog's rounds: duties stand on their own, and nothing delays the reap."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from seedcore.config.settings import Settings
from seedcore.errors import Unavailable
from seedcore.task.engine import Engine
from seedcore.task.exchange import Batch, Owner
from seedcore.task.sweeps import Sweeps
from tests.workers.conftest import until
from workers.duties.tasks import Age, Reap
from workers.metrics import Metrics
from workers.watchdog import Round, Watchdog


class Noted:
    """A duty that counts its runs and may fail."""

    def __init__(
        self, name: str, error: Exception | None = None, again_s: float | None = None
    ) -> None:
        self.name = name
        self.error = error
        self.again_s = again_s
        self.runs = 0

    async def run(self, sweeps: Sweeps) -> float | None:
        self.runs += 1
        await sweeps.queue_ages()
        if self.error is not None:
            raise self.error
        return self.again_s


@pytest.mark.parametrize("error", [Unavailable("gone"), RuntimeError("a bug")])
async def test_a_failing_duty_is_logged_and_the_others_go_on(
    database_url: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    first, bad, last = Noted("first"), Noted("bad", error), Noted("last")
    duties = Round(lambda: database_url, [first, bad, last], interval_s=60)
    pause_s = await duties.tick()
    assert (first.runs, bad.runs, last.runs) == (1, 1, 1)
    assert 0 < pause_s <= 0.2  # the failed one soon, the others at their time
    assert duties.last_tick_at is None
    (line,) = [r for r in caplog.records if getattr(r, "event", "") == "watchdog.failed"]
    assert (line.duty, line.error) == ("bad", getattr(error, "message", str(error)))  # pyright: ignore[reportAttributeAccessIssue]

    bad.error = None
    await asyncio.sleep(pause_s)
    assert await duties.tick() > 30
    assert (first.runs, bad.runs, last.runs) == (1, 2, 1)
    assert duties.last_tick_at is not None
    await duties.close()


async def test_a_duty_says_when_it_wants_to_run_again(database_url: str) -> None:
    often, seldom, usual = Noted("often", None, 0.0), Noted("seldom", None, 3600), Noted("usual")
    duties = Round(lambda: database_url, [often, seldom, usual], interval_s=0.2)
    pauses = [await duties.tick()]
    while usual.runs < 2:
        await asyncio.sleep(pauses[-1])
        pauses.append(await duties.tick())
    assert seldom.runs == 1
    assert often.runs >= 2  # never without a pause, though
    assert max(pauses) <= 0.1
    await duties.close()


async def test_a_database_that_is_away_is_tried_again_soon() -> None:
    duty = Noted("duty")
    duties = Round(lambda: "host=/nonexistent", [duty], interval_s=60)
    assert 0 < await duties.tick() <= 0.2
    assert (duty.runs, duties.last_tick_at) == (0, None)


async def test_a_duty_that_hangs_does_not_delay_the_reap(
    database_url: str, submit_many: Callable[..., None], counts: Any, conn: Any
) -> None:
    submit_many(3)
    owner = Owner(id="dead@1", logical_id="dead", lease_s=0.001, max_attempts=3)
    engine = await Engine.connect(database_url, owner)
    metrics = Metrics("w")
    watchdog = Watchdog(lambda: database_url, Settings(watchdog_interval=0.1), metrics)
    conn.execute(
        "INSERT INTO queue_waiters (lane, worker, since)"
        " VALUES ('queue', 'long gone', now() - interval '1 day')"
    )
    with conn.transaction():
        # Forgetting this waiter waits for the row.
        conn.execute("SELECT FROM queue_waiters FOR UPDATE")
        running = asyncio.create_task(watchdog.run())
        await engine.exchange(Batch(limit=3))
        await asyncio.to_thread(until, lambda: counts() == {"retry": 3})
        await asyncio.to_thread(until, lambda: watchdog.last_tick_at is not None)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await watchdog.close()
    await engine.close()


async def test_two_reapers_share_the_work(
    database_url: str, conn: Any, submit_many: Callable[..., None]
) -> None:
    submit_many(5)
    conn.execute("SELECT FROM tasks_claim('queue', 'dead@1', 5, -1)")
    metrics = Metrics("w")
    duty = Reap(Settings(task_reap_batch=2), metrics)
    sweeps = await Sweeps.connect(database_url)
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('seedcore.watchdog.reap', 0))")
        await duty.run(sweeps)
        assert b"seedcore_watchdog_reaped_total 0.0" in metrics.render()
    await duty.run(sweeps)
    assert b"seedcore_watchdog_reaped_total 5.0" in metrics.render()
    await sweeps.close()


async def test_waiting_tasks_age_if_that_is_wanted(
    database_url: str, conn: Any, submit_many: Callable[..., None]
) -> None:
    submit_many(3)
    conn.execute("UPDATE tasks SET created_at = created_at - interval '61 s'")
    metrics = Metrics("w")
    sweeps = await Sweeps.connect(database_url)
    await Age(Settings(), metrics).run(sweeps)
    assert b"seedcore_watchdog_aged_total 0.0" in metrics.render()
    await Age(Settings(task_priority_age_s=60), metrics).run(sweeps)
    assert b"seedcore_watchdog_aged_total 3.0" in metrics.render()
    await sweeps.close()
    levels = conn.execute("SELECT DISTINCT priority, aged FROM tasks").fetchall()
    assert levels == [{"priority": 6, "aged": 1}]
