"""What the queue worker says to PostgreSQL: claim, complete, retry, give back, all fenced.

Asynchronous, and used by workers only. One `Engine` is one connection. A round trip carries whatever
is due (outcomes, progress marks, returned tasks, the next claim) as one transaction, so a commit is
shared by a whole batch.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString, NamedTuple, TypeVar

import psycopg
from psycopg.conninfo import make_conninfo

from seedcore.db.errors import translated
from seedcore.db.sql import Queries
from seedcore.errors import Unavailable
from seedcore.task.exchange import (
    Answer,
    Batch,
    ClaimedTask,
    Failure,
    Lease,
    LeftOver,
    Note,
    Owner,
    Position,
    Success,
)
from seedcore.task.wire import Call, Wire

queries = Queries("seedcore.task", "engine.sql")
T = TypeVar("T")


def attentive(conninfo: str, *, patience_s: float = 30.0) -> str:
    """Return a connection string that notices a dead network, also while the session is silent.

    Args:
        conninfo: Where the database is.
        patience_s: How long data may stay unacknowledged, in seconds.
    """
    return make_conninfo(
        conninfo,
        keepalives_idle=30,
        keepalives_interval=10,
        keepalives_count=3,
        tcp_user_timeout=int(patience_s * 1000),
    )


class Sent(NamedTuple):
    """A batch on its way: the names of its parts, and their rows to come."""

    names: tuple[str, ...]
    rows: asyncio.Future[list[list[Any]]]


class Engine:
    """One connection that works for one owner.

    Args:
        connection: Open, autocommit.
        owner: Whose tasks these are.
        prepare: Whether the session keeps state: prepared statements and time limits. Not behind a
            pooler in transaction mode.
        timeout_s: Longest wait for one round trip; then the connection counts as lost.
    """

    def __init__(
        self,
        connection: psycopg.AsyncConnection[tuple[Any, ...]],
        owner: Owner,
        *,
        prepare: bool,
        timeout_s: float,
    ) -> None:
        self._connection = connection
        self._owner = owner
        self._timeout_s = timeout_s
        self._wire = Wire(connection, prepare=prepare, timeout_s=timeout_s)
        self._claim = {
            "owner": owner.id,
            "lease_s": repr(float(owner.lease_s)),
            "locked_by": owner.logical_id,
            "types": None if owner.filter.types is None else _text_array(owner.filter.types),
            "domains": None if owner.filter.domains is None else _text_array(owner.filter.domains),
        }

    @classmethod
    async def connect(
        cls, conninfo: str, owner: Owner, *, prepare: bool = True, timeout_s: float = 20.0
    ) -> Engine:
        """Open a connection.

        Raises:
            Unavailable: The server can't be reached.
            ConfigError: It refuses the user, the password or the database's name.
        """
        with translated():
            connection = await psycopg.AsyncConnection.connect(
                attentive(conninfo),
                autocommit=True,
                prepare_threshold=None,
                client_encoding="UTF8",
            )
        engine = cls(connection, owner, prepare=prepare, timeout_s=timeout_s)
        if prepare:
            limits = {"statement_ms": f"{timeout_s * 750:.0f}", "lock_ms": "2000"}
            try:
                await engine._rows(queries.limit_session, limits)
            except BaseException:
                await engine.close()
                raise
        return engine

    async def close(self) -> None:
        """Close the connection; what it was doing is rolled back by the server."""
        await self._connection.close()

    def send(self, batch: Batch) -> Sent:
        """Put everything in `batch` on the wire as one transaction, before this returns."""
        owner = self._owner.id
        calls: dict[str, Call] = {}
        if batch.lingering or batch.gone:
            # Before the end of an attempt frees its key.
            calls |= self._keys(batch)
        if batch.successes:
            calls["completed"] = Call(queries.complete, _successes(owner, batch.successes))
        if batch.failures:
            failures = _failures(owner, batch.failures)
            failures["default_max"] = str(self._owner.max_attempts)
            calls["decided"] = Call(queries.retry_or_fail, failures)
        if batch.notes:
            calls["noted"] = Call(queries.note_progress, _successes(owner, batch.notes))
        if batch.returned:
            returned = _leases(owner, batch.returned)
            returned["default_max"] = str(self._owner.max_attempts)
            calls["returned"] = Call(queries.give_back, returned)
        if batch.asked:
            calls["ends"] = Call(queries.own_ends, _leases(owner, batch.asked))
        calls |= self._look(batch)
        return Sent(tuple(calls), self._wire.send(list(calls.values())))

    def _keys(self, batch: Batch) -> dict[str, Call]:
        owner, calls = self._owner, dict[str, Call]()
        if batch.lingering:
            lingering = _leases(owner.id, batch.lingering)
            lingering["lease_s"] = repr(float(batch.linger_s or owner.lease_s))
            calls["lingering"] = Call(queries.hold_keys, lingering)
        if batch.gone:
            calls["gone"] = Call(queries.let_keys_go, _leases(owner.id, batch.gone))
        return calls

    def _look(self, batch: Batch) -> dict[str, Call]:
        owner, calls = self._owner.id, dict[str, Call]()
        if batch.declare:
            calls["declared"] = Call(
                queries.declare_waiting, {"owner": owner}, ends_transaction=True
            )
        elif batch.withdraw:
            calls["withdrawn"] = Call(queries.withdraw_waiting, {"owner": owner})
        if batch.limit > 0:
            if batch.measure:
                calls["began"] = Call(queries.clock, {})
            claim = {**self._claim, **_floors(batch.floors), "limit": str(batch.limit)}
            calls["claimed"] = Call(queries.claim, claim)
            if batch.measure:
                calls["ended"] = Call(queries.clock, {})
        if batch.ask_next:
            calls["next_due"] = Call(queries.next_due, {})
        return calls

    async def receive(self, sent: Sent) -> Answer:
        """Wait for what came of a batch.

        Raises:
            Unavailable: The connection broke or stalled; whether the batch was stored is unknown.
            SeedcoreError: The database refused it, and nothing of it was stored.
        """
        with translated():
            return _answer(dict(zip(sent.names, await sent.rows, strict=True)))

    async def exchange(self, batch: Batch) -> Answer:
        """Send a batch and wait for what came of it; raises as `receive` does."""
        return await self.receive(self.send(batch))

    async def cancel_own(self, ids: Sequence[str], reason: str) -> list[str]:
        """Cancel tasks that this worker holds and return the ids that were."""
        parameters = {"owner": self._owner.id, "ids": _array(ids), "reason": reason}
        return [str(row[0]) for row in await self._rows(queries.cancel_own, parameters)]

    async def own_running(self) -> list[Lease]:
        """Return every lease that the database knows this owner to have."""
        rows = await self._rows(queries.own_running, {"owner": self._owner.id})
        return [Lease(*row) for row in rows]

    async def own_ends(self, leases: Sequence[Lease]) -> dict[str, tuple[str, str | None]]:
        """Return id → (status, error) of attempts that are still the latest of their task."""
        rows = await self._rows(queries.own_ends, _leases(self._owner.id, leases))
        return {row[0]: (row[1], row[2]) for row in rows}

    async def is_drained(self) -> bool:
        """Tell whether no task of the lane is due, delayed or running, here or elsewhere."""
        rows = await self._rows(queries.is_drained, self._filter())
        return bool(rows[0][0])

    async def is_due_later(self) -> bool:
        """Tell whether time alone will let something through that is due: a bucket, a limit, a busy key."""
        rows = await self._rows(queries.is_due_later, self._filter())
        return bool(rows[0][0])

    async def left_over(self) -> LeftOver:
        """Count the unfinished tasks of the lane."""
        rows = await self._rows(queries.left_over, self._filter())
        return LeftOver(*rows[0])

    async def withdraw(self) -> None:
        """Ask for no more notifications."""
        await self._rows(queries.withdraw_waiting, {"owner": self._owner.id})

    def _filter(self) -> dict[str, Any]:
        return {"types": self._owner.filter.types, "domains": self._owner.filter.domains}

    async def _rows(
        self, statement: LiteralString, parameters: Mapping[str, Any]
    ) -> list[tuple[Any, ...]]:
        return await self._within_time(self._fetch(statement, parameters))

    async def _fetch(
        self, statement: LiteralString, parameters: Mapping[str, Any]
    ) -> list[tuple[Any, ...]]:
        with translated():
            cursor = await self._connection.execute(statement, parameters)
            return await cursor.fetchall() if cursor.description else []

    async def _within_time(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for one round trip; give the connection up when the server stays silent.

        A driver that is cancelled first asks the server to cancel, which a dead network answers as
        little as the statement itself. So the connection is closed under it instead.
        """
        task = asyncio.ensure_future(work)
        done, _ = await asyncio.wait({task}, timeout=self._timeout_s)
        if done:
            return task.result()
        self._connection.pgconn.finish()
        task.cancel()
        await asyncio.wait({task}, timeout=1.0)
        raise Unavailable(
            f"the database did not answer within {self._timeout_s:g} s", code="db.no_answer"
        )


def _answer(rows: Mapping[str, list[Any]]) -> Answer:
    claimed = [ClaimedTask(*row) for row in rows.get("claimed", ())]
    claimed.sort(key=_claim_order)
    next_due = rows.get("next_due")
    began, ended = rows.get("began"), rows.get("ended")
    return Answer(
        completed=frozenset(row[0] for row in rows.get("completed", ())),
        decided={row[0]: (row[1], row[2]) for row in rows.get("decided", ())},
        returned=frozenset(row[0] for row in rows.get("returned", ())),
        lingering=frozenset(row[0] for row in rows.get("lingering", ())),
        noted=frozenset(row[0] for row in rows.get("noted", ())),
        ends={row[0]: (row[1], row[2]) for row in rows.get("ends", ())},
        claimed=claimed,
        next_due_s=next_due[0][0] if next_due else None,
        now=began[0][0] if began else None,
        claim_s=ended[0][1] - began[0][1] if began and ended else None,
    )


def _claim_order(task: ClaimedTask) -> tuple[int, float, str]:
    """RETURNING has no order; this is the order of the claim's index."""
    return (-task.priority, task.due_at, task.id)


def _floors(floors: Sequence[Position] | None) -> dict[str, str | None]:
    if floors is None:
        return {"floor_at": None, "floor_id": None}
    return {
        "floor_at": _array(_time(floor.due_at) for floor in floors),
        "floor_id": _array(floor.id for floor in floors),
    }


def _time(seconds: float) -> str:
    """Return a Unix time as PostgreSQL reads it, to its own precision."""
    if seconds == -math.inf:
        return "-infinity"
    moment = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=round(seconds * 1_000_000))
    return f'"{moment.isoformat()}"'


def _leases(
    owner: str, leases: Sequence[Lease | Success | Failure | Note]
) -> dict[str, str | None]:
    return {
        "owner": owner,
        "ids": _array(lease.id for lease in leases),
        "attempts": _array(str(lease.attempts) for lease in leases),
    }


def _successes(owner: str, successes: Sequence[Success | Note]) -> dict[str, str | None]:
    parameters = _leases(owner, successes)
    parameters["results"] = _text_array(success.result_json for success in successes)
    return parameters


def _failures(owner: str, failures: Sequence[Failure]) -> dict[str, str | None]:
    parameters = _leases(owner, failures)
    parameters["reasons"] = _text_array(failure.reason for failure in failures)
    parameters["results"] = _text_array(failure.result_json for failure in failures)
    parameters["retryable"] = _array("t" if failure.retryable else "f" for failure in failures)
    parameters["delays"] = _array(
        "NULL" if failure.delay_s is None else repr(float(failure.delay_s)) for failure in failures
    )
    return parameters


def _array(values: Iterable[str]) -> str:
    """Return an array literal of plain words. One string is a tenth of the driver's list dumper."""
    return "{" + ",".join(values) + "}"


def _text_array(values: Iterable[str | None]) -> str:
    """Return an array literal of any text."""
    quoted = (
        "NULL" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for value in values
    )
    return "{" + ",".join(quoted) + "}"
