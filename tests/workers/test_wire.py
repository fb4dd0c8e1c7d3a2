"""One round trip on the wire, against a real server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
import uvloop

from seedcore.errors import Unavailable
from seedcore.task.wire import Call, Wire

LONG = 3_000_000


@pytest.fixture
async def connection(blank_database_url: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    connection = await psycopg.AsyncConnection.connect(
        blank_database_url, autocommit=True, client_encoding="UTF8"
    )
    yield connection
    await connection.close()


@pytest.fixture(params=[True, False], ids=["prepared", "unprepared"])
async def wire(connection: psycopg.AsyncConnection[Any], request: pytest.FixtureRequest) -> Wire:
    return Wire(connection, prepare=request.param, timeout_s=10)


async def test_rows_come_back_statement_by_statement(wire: Wire) -> None:
    twice = Call("SELECT %(a)s::int, %(b)s::text, %(a)s::float8 / 2", {"a": "3", "b": "é\\"})
    empty = Call("SELECT 1 WHERE %(a)s::text IS NOT NULL", {"a": None})
    for _ in range(3):
        assert await wire.send([twice, empty, twice]) == [[(3, "é\\", 1.5)], [], [(3, "é\\", 1.5)]]


async def test_statements_have_left_before_the_loop_goes_on(wire: Wire, conn: Any) -> None:
    answer = wire.send([Call("SELECT FROM pg_advisory_lock(%(key)s::bigint)", {"key": "77"})])
    # The loop stands still here, and yet the server has done it.
    for _ in range(1000):
        found = conn.execute("SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 77")
        if found.rowcount:
            break
        conn.execute("SELECT pg_sleep(0.01)")
    else:
        pytest.fail("nothing was sent")
    assert await answer == [[()]]


async def test_more_than_the_socket_takes_at_once_goes_both_ways(wire: Wire) -> None:
    text = "x" * LONG
    rows = await wire.send([Call("SELECT %(a)s::text", {"a": text})] * 4)
    assert [len(row[0][0]) for row in rows] == [LONG] * 4


async def test_a_refused_statement_undoes_the_others_and_the_session_goes_on(wire: Wire) -> None:
    await wire.send([Call("CREATE TABLE t (n int)", {})])
    one = Call("INSERT INTO t VALUES (%(n)s::int)", {"n": "1"})
    committed = one._replace(ends_transaction=True)
    never_prepared = Call("SELECT count(*) FROM t WHERE n >= %(n)s::int", {"n": "0"})
    with pytest.raises(psycopg.errors.DivisionByZero):
        await wire.send(
            [committed, one, Call("SELECT 1 / %(zero)s::int", {"zero": "0"}), never_prepared]
        )
    assert await wire.send([never_prepared]) == [[(1,)]]


async def test_an_answer_that_nobody_awaits_any_more_ends_the_connection(
    wire: Wire, connection: psycopg.AsyncConnection[Any]
) -> None:
    slow = wire.send([Call("SELECT pg_sleep(5)", {})])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await slow
    await asyncio.sleep(0)
    assert connection.closed
    with pytest.raises(psycopg.OperationalError):
        await wire.send([Call("SELECT 1", {})])


async def test_silence_ends_the_connection(connection: psycopg.AsyncConnection[Any]) -> None:
    wire = Wire(connection, prepare=True, timeout_s=0.1)
    with pytest.raises(Unavailable, match=r"0\.1 s"):
        await wire.send([Call("SELECT pg_sleep(5)", {})])
    assert connection.closed


async def test_a_session_that_is_ended_says_so(
    wire: Wire, connection: psycopg.AsyncConnection[Any], conn: Any
) -> None:
    answer = wire.send([Call("SELECT pg_sleep(5)", {})])
    conn.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
    with pytest.raises(psycopg.errors.AdminShutdown):
        await answer


def test_a_session_that_ends_with_words_unread_is_noticed_under_uvloop(
    blank_database_url: str, conn: Any
) -> None:
    async def cut_off() -> float:
        connection = await psycopg.AsyncConnection.connect(blank_database_url, autocommit=True)
        wire = Wire(connection, prepare=True, timeout_s=10)
        unread = Call("SELECT %(text)s::text", {"text": "x" * 100_000})
        answer = wire.send([Call("SELECT pg_sleep(10)", {}), unread])
        await asyncio.sleep(0.05)
        began = time.monotonic()
        conn.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
        with pytest.raises(psycopg.OperationalError):
            await answer
        await connection.close()
        return time.monotonic() - began

    # Each has an even chance to be one of those that the loop keeps to itself.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert max(runner.run(cut_off()) for _ in range(12)) < 8
