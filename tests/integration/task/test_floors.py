"""A claim that begins behind the last one, and what it must not lose: see workers/floors.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from seedcore.task.engine import Engine
from seedcore.task.exchange import PRIORITIES, Answer, Batch, Owner, Position
from tests.integration.task.worker import Row, Worker, new, status, task
from workers.floors import Floors

Conn = psycopg.Connection[dict[str, Any]]


def ids(rows: list[Row]) -> list[UUID]:
    return [row["id"] for row in rows]


def test_a_floor_leaves_out_what_is_before_it_and_the_row_itself(conn: Conn) -> None:
    """In one transaction all are due at the same time, and only the ids tell them apart."""
    with conn.transaction():
        submitted = sorted(new(conn) for _ in range(6))
    worker = Worker(conn)
    with conn.transaction(force_rollback=True):
        rows = worker.claim(6)
        assert ids(rows) == submitted
    assert ids(worker.claim(2, behind=[rows[2]])) == submitted[3:5]
    assert ids(worker.claim(9, behind=[rows[2]])) == submitted[5:]
    assert ids(worker.claim(9)) == submitted[:3]


def test_each_priority_has_its_own_floor(conn: Conn) -> None:
    low, high = [new(conn, priority=2) for _ in range(3)], [new(conn, priority=8) for _ in range(3)]
    worker = Worker(conn)
    behind = [task(conn, low[1]), task(conn, high[0])]
    assert ids(worker.claim(9, behind=behind)) == [*high[1:], low[2]]
    assert ids(worker.claim(9)) == [high[0], *low[:2]]


def test_a_floor_holds_for_a_filtered_claim_and_for_the_graph_lane(conn: Conn) -> None:
    chats = [new(conn, "chat") for _ in range(2)]
    graphs = [new(conn, "graph", params={"graph_op": "sync_nodes"}) for _ in range(2)]
    worker = Worker(conn)
    assert ids(worker.claim(9, types=["chat"], behind=[task(conn, chats[0])])) == [chats[1]]
    assert ids(worker.claim(9, lane="graph", behind=[task(conn, graphs[0])])) == [graphs[1]]


@pytest.mark.parametrize("count", [0, 5, 12])
def test_a_floor_for_each_priority_is_asked_for(conn: Conn, count: int) -> None:
    with pytest.raises(psycopg.Error, match="a floor for each of the 11 priorities") as refused:
        conn.execute(
            "SELECT FROM tasks_claim('queue', 'w', 1, p_floor_at => %s::timestamptz[])",
            [["-infinity"] * count],
        )
    assert refused.value.sqlstate == "SC422"


def test_what_is_due_anew_comes_behind_every_floor_and_what_lapsed_where_it_was(conn: Conn) -> None:
    """Retried and requeued by hand: behind what was claimed. A lapsed one is found by the next scan."""
    for _ in range(3):
        new(conn)
    other, worker = Worker(conn, "other"), Worker(conn)
    retried, lapsed, failed = ids(other.claim(3, lease_s=0.001))
    new(conn)
    (last,) = worker.claim(1)
    other.fail(retried, delay_s=0)
    other.fail(failed, retryable=False)
    conn.execute("SELECT tasks_requeue(%s)", [[failed]])
    conn.execute("SELECT tasks_reap_expired()")
    assert set(ids(worker.claim(9, behind=[last]))) == {retried, failed}
    assert ids(worker.claim(9)) == [lapsed]


def test_what_is_given_back_keeps_its_place(conn: Conn) -> None:
    """Held by a worker that drains, it must not go behind a backlog that came after it."""
    delayed = new(conn, run_after=datetime.now(UTC) - timedelta(hours=1))
    first, second, third = (
        new(conn, concurrency_key="k", concurrency_limit=None) for _ in range(3)
    )
    for _ in range(5):
        new(conn)
    other, worker = Worker(conn, "other"), Worker(conn)
    assert ids(other.claim(2)) == [delayed, first]
    assert other.give_back(first, delayed) == {first, delayed}
    assert ids(worker.claim(2)) == [delayed, first]
    worker.complete(first)
    assert ids(worker.claim(1)) == [second]
    worker.give_back(second, delay_s=60)
    assert ids(worker.claim(1)) == [third]


def test_a_task_that_waited_keeps_its_place_below_the_floor(conn: Conn) -> None:
    """A chain that began early ends early, however long the queue; a scan finds its next link."""
    first = new(conn)
    second = new(conn, depends_on=[str(first)])
    later = new(conn)
    worker = Worker(conn)
    (row,) = worker.claim(1)
    worker.complete(first)
    assert status(conn, second) == "queued"
    assert ids(worker.claim(1, behind=[task(conn, later)])) == []
    assert ids(worker.claim(1)) == [second]
    assert row["id"] == first


def test_a_submission_that_commits_late_is_found_by_a_scan(conn: Conn, database_url: str) -> None:
    worker = Worker(conn)
    with psycopg.connect(database_url) as slow, slow.transaction():
        late = new(slow)
        new(conn)
        (claimed,) = worker.claim(9)
    assert ids(worker.claim(9, behind=[claimed])) == []
    assert ids(worker.claim(9)) == [late]


def test_rows_from_before_the_clock_was_set_back_are_found_by_a_scan(conn: Conn) -> None:
    new(conn)
    worker = Worker(conn)
    (claimed,) = worker.claim(9)
    # Since then the clock tells an hour less.
    after = new(conn)
    conn.execute("UPDATE tasks SET created_at = created_at - interval '1 h' WHERE id = %s", [after])
    assert ids(worker.claim(9, behind=[claimed])) == []
    assert ids(worker.claim(9)) == [after]


# -- the worker's side ----------------------------------------------------------------------------

OWNER = Owner(id="w@1", logical_id="w", lease_s=60, max_attempts=3)


class Claims:
    """Claims as the worker makes them, at times that the test chooses."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.floors = Floors()

    async def at(self, now: float, limit: int, *, slow_s: float = 0.0) -> tuple[bool, Answer]:
        """Claim, and return whether it was a scan, and what came; a scan seems so much slower."""
        floors = self.floors.choose(now)
        measure = self.floors.wants_measure(floors)
        answer = await self.engine.exchange(Batch(limit=limit, floors=floors, measure=measure))
        if measure and floors is None:
            assert answer.claim_s is not None
            answer.claim_s += slow_s
        self.floors.learn(floors, limit, answer, now)
        return floors is None, answer


@pytest.fixture
async def claims(database_url: str) -> Any:
    engine = await Engine.connect(database_url, OWNER)
    yield Claims(engine)
    await engine.close()


async def test_a_busy_worker_scans_every_one_to_two_seconds(claims: Claims, conn: Conn) -> None:
    for _ in range(8):
        new(conn)
    assert [(await claims.at(now, 1))[0] for now in (100.0, 100.5, 100.99)] == [True, False, False]
    assert (await claims.at(102.01, 1))[0]
    assert not (await claims.at(102.5, 1))[0]


async def test_nothing_found_behind_the_floors_means_a_scan_at_once(
    claims: Claims, conn: Conn, database_url: str
) -> None:
    with psycopg.connect(database_url) as slow, slow.transaction():
        late = new(slow)
        new(conn)
        assert len((await claims.at(100.0, 1))[1].claimed) == 1
    scanned, answer = await claims.at(100.1, 1)
    assert (scanned, answer.claimed) == (False, [])
    scanned, answer = await claims.at(100.2, 1)
    assert scanned
    assert [found.id for found in answer.claimed] == [str(late)]


async def test_the_dearer_a_scan_the_rarer(claims: Claims, conn: Conn) -> None:
    for _ in range(6):
        new(conn)
    await claims.at(100.0, 1)
    assert (await claims.at(103.0, 1, slow_s=1.0))[0]
    assert claims.floors.cost_s == pytest.approx(1.0, abs=0.5)
    assert not (await claims.at(110.0, 1))[0]
    assert (await claims.at(140.0, 1))[0]  # and what it costs now counts
    assert (await claims.at(143.0, 1))[0]


async def test_a_dear_scan_is_rare_when_idle_too(claims: Claims) -> None:
    assert (await claims.at(100.0, 1, slow_s=1.0))[0]
    assert not (await claims.at(100.1, 1))[0]
    assert claims.floors.scan_in_s(100.1) == pytest.approx(5, abs=1)


async def test_a_scan_that_found_little_moves_every_floor(claims: Claims, conn: Conn) -> None:
    """Else a priority in which nothing is left would have its dead read with each claim."""
    new(conn, priority=3)
    _, answer = await claims.at(100.0, 5)
    assert answer.now is not None
    places = [Position(answer.now)] * PRIORITIES
    (claimed,) = answer.claimed
    places[3] = Position(claimed.due_at, claimed.id)
    assert claims.floors._floors == places  # pyright: ignore[reportPrivateUsage]


async def test_positions_keep_the_database_s_precision(claims: Claims, conn: Conn) -> None:
    conn.execute(
        "INSERT INTO tasks (type, status, created_at)"
        " SELECT 'echo', 'queued', timestamptz '2026-02-03 04:05:06+00' + n * interval '1 us'"
        " FROM generate_series(1, 400) AS n"
    )
    seen: list[str] = []
    for turn in range(400):
        scanned, answer = await claims.at(100 + turn / 1000, 1)
        assert scanned == (turn == 0)
        seen += [claimed.id for claimed in answer.claimed]
    assert len(set(seen)) == 400
