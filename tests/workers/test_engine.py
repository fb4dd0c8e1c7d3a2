"""The worker's statements against a real server: what one round trip promises."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg
import pytest

from seedcore.agent.executor import Outcome
from seedcore.config.settings import Settings
from seedcore.errors import Unavailable, UsageError
from seedcore.task.engine import Engine
from seedcore.task.exchange import Batch, Failure, Lease, Note, Owner, Success
from seedcore.task.lanes import limit_lane
from workers.completer import Completer, Finished, Shipment
from workers.ledger import Held, Ledger
from workers.metrics import Metrics
from workers.prefetch import Prefetch
from workers.tally import Tally

OWNER = Owner(id="w@1", logical_id="w", lease_s=60, max_attempts=3)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[Engine]:
    engine = await Engine.connect(database_url, OWNER)
    yield engine
    await engine.close()


async def test_writes_and_claim_are_one_transaction(
    engine: Engine, submit_many: Callable[..., None], counts: Callable[[], dict[str, int]]
) -> None:
    submit_many(5)
    first = await engine.exchange(Batch(limit=2))
    done = [Success(task.id, task.attempts, "{}") for task in first.claimed]

    with pytest.raises(UsageError):
        await engine.exchange(
            Batch(successes=[*done, Success(done[0].id, 1, "{nonsense")], limit=2)
        )
    assert counts() == {"running": 2, "queued": 3}

    second = await engine.exchange(Batch(successes=done, limit=2))
    assert second.completed == {success.id for success in done}
    assert len(second.claimed) == 2
    assert counts() == {"completed": 2, "running": 2, "queued": 1}


async def test_every_write_needs_the_lease(
    engine: Engine, database_url: str, submit: Callable[..., str], task: Any
) -> None:
    ids = [submit() for _ in range(4)]
    claimed = {t.id: t.attempts for t in (await engine.exchange(Batch(limit=4))).claimed}
    success, failure, note, lease = (
        Success(ids[0], claimed[ids[0]], "{}"),
        Failure(ids[1], claimed[ids[1]], "why", None, retryable=True, delay_s=None),
        Note(ids[2], claimed[ids[2]], "{}"),
        Lease(ids[3], claimed[ids[3]]),
    )
    batch = Batch(successes=[success], failures=[failure], notes=[note], returned=[lease])
    stranger = await Engine.connect(database_url, Owner(**{**_fields(OWNER), "id": "w@2"}))
    refused = await stranger.exchange(batch)
    await stranger.close()
    stale = await engine.exchange(
        Batch(
            successes=[Success(ids[0], 0, "{}")],
            failures=[Failure(ids[1], 0, "why", None, retryable=True, delay_s=None)],
            notes=[Note(ids[2], 0, "{}")],
            returned=[Lease(ids[3], 0)],
        )
    )
    for answer in (refused, stale):
        found = (answer.completed, answer.decided, answer.noted, answer.returned)
        assert not any(found)
    assert {task(id_)["status"] for id_ in ids} == {"running"}

    answer = await engine.exchange(batch)
    assert answer.completed == {ids[0]}
    assert answer.decided[ids[1]][0] == "retry"
    assert 15 < (answer.decided[ids[1]][1] or 0) < 30
    assert answer.noted == {ids[2]}
    assert answer.returned == {ids[3]}


def _fields(owner: Owner) -> dict[str, Any]:
    return {name: getattr(owner, name) for name in Owner.__slots__}


async def test_texts_with_quotes_and_backslashes_arrive_as_they_are(
    engine: Engine, submit: Callable[..., str], task: Any
) -> None:
    odd = 'a"b\\c{d},NULL \n é €'
    done, failed = submit(), submit()
    claimed = {t.id: t.attempts for t in (await engine.exchange(Batch(limit=2))).claimed}
    await engine.exchange(
        Batch(
            successes=[Success(done, claimed[done], json.dumps({"x": odd}))],
            failures=[Failure(failed, claimed[failed], odd, None, retryable=False, delay_s=None)],
        )
    )
    assert task(done)["result"] == {"x": odd}
    assert task(failed)["error"] == odd


async def test_the_next_due_task_is_known_without_being_claimed(
    engine: Engine, submit: Callable[..., str], conn: Any
) -> None:
    assert (await engine.exchange(Batch(limit=1, ask_next=True))).next_due_s is None
    later = submit(p_priority=3)
    conn.execute("UPDATE tasks SET run_after = now() + interval '60 s' WHERE id = %s", (later,))
    answer = await engine.exchange(Batch(limit=1, declare=True, ask_next=True))
    assert answer.claimed == []
    assert answer.next_due_s == pytest.approx(60, abs=2)
    assert conn.execute("SELECT worker FROM queue_waiters").fetchone() == {"worker": "w@1"}
    await engine.exchange(Batch(withdraw=True))
    assert conn.execute("SELECT FROM queue_waiters").rowcount == 0


async def test_a_used_up_limit_says_when_to_look_again(
    engine: Engine, submit_many: Callable[..., None], conn: psycopg.Connection[Any]
) -> None:
    submit_many(3)
    limit_lane(conn, "queue", rate_per_s=0.05, burst=1, actor="ann")
    assert len((await engine.exchange(Batch(limit=3))).claimed) == 1
    answer = await engine.exchange(Batch(limit=3, ask_next=True))
    assert answer.claimed == []
    assert answer.next_due_s == pytest.approx(20, abs=5)


async def test_a_server_that_stays_silent_counts_as_lost(
    database_url: str, submit: Callable[..., str]
) -> None:
    # Without session state there is no time limit in the server that would come first.
    engine = await Engine.connect(database_url, OWNER, prepare=False, timeout_s=0.5)
    submit()
    (claimed,) = (await engine.exchange(Batch(limit=1))).claimed
    with psycopg.connect(database_url) as other:
        other.execute("SELECT FROM tasks WHERE id = %s FOR UPDATE", (claimed.id,))
        began = time.monotonic()
        with pytest.raises(Unavailable, match="did not answer"):
            await engine.exchange(Batch(successes=[Success(claimed.id, claimed.attempts, "{}")]))
        assert time.monotonic() - began < 10
    await engine.close()


async def test_a_lost_answer_is_found_out_and_nothing_is_written_twice(
    engine: Engine, submit_many: Callable[..., None], counts: Callable[[], dict[str, int]]
) -> None:
    submit_many(4)
    tasks = (await engine.exchange(Batch(limit=4))).claimed
    ledger, metrics, tally = Ledger(10), Metrics("w"), Tally()
    completer = Completer(
        ledger,
        Settings(),
        metrics=metrics,
        tally=tally,
        nudge=lambda: None,
        prefetch=Prefetch(Settings(), 90),
        is_idle=lambda: False,
        has_ready=lambda: False,
    )
    good = Outcome(success=True, envelope={}, document="{}")
    bad = Outcome(success=False, envelope={}, document="{}", error="e", error_type="internal")
    for task, outcome in zip(tasks, (good, bad, good, bad), strict=True):
        held = Held(task, leased_at=0.0)
        ledger.add(held)
        completer.finish(held, outcome)
    shipment = completer.take()
    arrived = Shipment(finished=shipment.finished[:2])
    await engine.exchange(arrived.batch())  # its answer never reaches the completer

    ends = await engine.own_ends([Lease(t.id, t.attempts) for t in tasks])
    rest = completer.settle_unknown(shipment, ends)

    assert [finished.held.task.id for finished in rest.finished] == [t.id for t in tasks[2:]]
    assert (tally.completed, tally.failed, len(ledger)) == (1, 1, 2)
    assert all(isinstance(finished, Finished) for finished in rest.finished)
    completer.settle(rest, await engine.exchange(rest.batch()))
    assert counts() == {"completed": 2, "failed": 2}
    assert (tally.completed, tally.failed, len(ledger)) == (2, 2, 0)


async def test_leases_that_never_reached_the_worker_are_found(
    engine: Engine, submit_many: Callable[..., None]
) -> None:
    submit_many(3)
    claimed = (await engine.exchange(Batch(limit=3))).claimed
    assert {lease.id for lease in await engine.own_running()} == {task.id for task in claimed}
    assert not await engine.is_drained()
    leases = await engine.own_running()
    answer = await engine.exchange(Batch(returned=leases))
    assert answer.returned == {lease.id for lease in leases}
    left = await engine.left_over()
    assert (left.due, left.delayed, left.running, left.created) == (3, 0, 0, 0)
