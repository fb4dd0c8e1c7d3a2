"""One round trip of several statements, put on the wire at once and read when the answer comes.

The driver's own pipeline sends when the event loop gets round to it, and whatever the loop does
before that keeps the server waiting. Here the statements leave before `Wire.send` returns, so that
the server works while the caller does; and a statement costs no more than its call of libpq.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import psycopg
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.pq.abc import PGresult

from seedcore.errors import Unavailable

_LOOK_S = 0.1
"""uvloop drops a reader without a word when its socket reports an error before the last bytes are
read, as at a server's sudden end. So a slow answer is also looked for."""

_PLACEHOLDER = re.compile(r"%\((\w+)\)s")


class Statement(NamedTuple):
    """A statement as the protocol wants it.

    Attributes:
        name: What the server knows it by, once prepared.
        text: SQL with `$1`, `$2`, ….
        names: The parameter that each of them stands for.
    """

    name: bytes
    text: bytes
    names: tuple[str, ...]


class Call(NamedTuple):
    """One execution of a statement.

    Attributes:
        text: SQL with `%(name)s` for its parameters, each cast to its type.
        parameters: Values as PostgreSQL reads them; None = null.
        ends_transaction: Commit after this one, so that the next one sees what others committed.
    """

    text: str
    parameters: Mapping[str, str | None]
    ends_transaction: bool = False


@lru_cache(maxsize=100)
def compiled(text: str) -> Statement:
    """Number the named parameters of a statement."""
    names = tuple(dict.fromkeys(_PLACEHOLDER.findall(text)))
    numbered = _PLACEHOLDER.sub(lambda found: f"${names.index(found[1]) + 1}", text)
    name = f"seedcore_{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"
    return Statement(name.encode(), numbered.encode(), names)


class Wire:
    """The statements of one connection on their way; one round trip at a time.

    Args:
        connection: Open, autocommit, UTF-8, not used otherwise while a round trip lasts.
        prepare: Whether statements may be prepared in the session.
        timeout_s: Longest wait for an answer; then the connection is closed.
    """

    def __init__(
        self, connection: psycopg.AsyncConnection[Any], *, prepare: bool, timeout_s: float
    ) -> None:
        self._pgconn = connection.pgconn
        self._transformer = Transformer(connection)
        self._prepare = prepare
        self._timeout_s = timeout_s
        self._prepared: set[bytes] = set()
        self._loop = asyncio.get_running_loop()
        self._trip: _Trip | None = None

    def send(self, calls: Sequence[Call]) -> asyncio.Future[list[list[Any]]]:
        """Put statements on the wire, as one transaction but for `ends_transaction`.

        Returns:
            The rows of each statement, as tuples, when all are answered. Its exception is the driver's
            when the server refused one (then nothing is stored) or the connection broke (then
            nobody knows), and `Unavailable` when no answer came in time.
        """
        assert self._trip is None, "a round trip is under way"  # noqa: S101 - a bug here, not there
        trip = self._trip = _Trip(self._loop.create_future())
        try:
            self._pgconn.enter_pipeline_mode()
            for call in calls:
                self._execute(call, trip)
                if call.ends_transaction:
                    self._pgconn.pipeline_sync()
                    trip.syncs_left += 1
            self._pgconn.pipeline_sync()
            fd = trip.fd = self._pgconn.socket
            self._loop.add_reader(fd, self._readable, trip)
            trip.ends_at = self._loop.time() + self._timeout_s
            trip.timer = self._loop.call_later(min(_LOOK_S, self._timeout_s), self._look, trip)
            if self._pgconn.flush():
                self._loop.add_writer(fd, self._writable, trip)
                trip.is_writing = True
        except psycopg.Error as error:
            self._end(trip, error)
        trip.future.add_done_callback(self._cancelled)
        return trip.future

    def _execute(self, call: Call, trip: _Trip) -> None:
        name, text, names = compiled(call.text)
        values = [
            None if (value := call.parameters[name]) is None else value.encode() for name in names
        ]
        if not self._prepare:
            self._pgconn.send_query_params(text, values, result_format=Format.BINARY)
        else:
            if name not in self._prepared and name not in trip.preparing.values():
                self._pgconn.send_prepare(name, text)
                trip.preparing[trip.expected] = name
                trip.expected += 1
            self._pgconn.send_query_prepared(name, values, result_format=Format.BINARY)
        trip.expected += 1

    # -- the answer ---------------------------------------------------------------------------

    def _writable(self, trip: _Trip) -> None:
        try:
            if not self._pgconn.flush():
                self._loop.remove_writer(trip.fd)
                trip.is_writing = False
        except psycopg.Error as error:
            self._end(trip, error)

    def _readable(self, trip: _Trip) -> None:
        pgconn = self._pgconn
        try:
            pgconn.consume_input()
            is_between = False
            while not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:
                    if is_between:
                        break
                    is_between = True
                    continue
                is_between = False
                if result.status == ExecStatus.PIPELINE_SYNC:
                    trip.syncs_left -= 1
                    if trip.syncs_left == 0:
                        pgconn.exit_pipeline_mode()
                        self._end(trip)
                        return
                else:
                    trip.results.append(result)
            if pgconn.status == ConnStatus.BAD:
                raise psycopg.OperationalError("the connection is closed")
        except psycopg.Error as error:
            self._end(trip, error)

    def _end(self, trip: _Trip, error: Exception | None = None) -> None:
        self._forget(trip)
        rows: list[list[Any]] = []
        for place, result in enumerate(trip.results):
            if result.status == ExecStatus.FATAL_ERROR:
                error = error_from_result(result)
                break
            name = trip.preparing.get(place)
            if name is None:
                if error is None:
                    rows.append(self._rows(result))
            elif result.status == ExecStatus.COMMAND_OK:
                self._prepared.add(name)
        if trip.future.done():
            return
        if error is not None:
            trip.future.set_exception(error)
        else:
            trip.future.set_result(rows)

    def _rows(self, result: PGresult) -> list[Any]:
        if result.status != ExecStatus.TUPLES_OK or result.ntuples == 0:
            return []
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    def _look(self, trip: _Trip) -> None:
        left = trip.ends_at - self._loop.time()
        if left <= 0:
            self._too_late(trip)
            return
        trip.timer = self._loop.call_later(min(_LOOK_S, left), self._look, trip)
        self._readable(trip)

    def _too_late(self, trip: _Trip) -> None:
        # Asking the server to cancel would be answered by a dead network as little as the statement.
        self._forget(trip)
        self._pgconn.finish()
        if not trip.future.done():
            trip.future.set_exception(
                Unavailable(
                    f"the database did not answer within {self._timeout_s:g} s", code="db.no_answer"
                )
            )

    def _cancelled(self, future: asyncio.Future[list[list[Any]]]) -> None:
        """Give the connection up when nobody waits for its answer any more."""
        if future.cancelled() and self._trip is not None:
            self._forget(self._trip)
            self._pgconn.finish()

    def _forget(self, trip: _Trip) -> None:
        self._trip = None
        if trip.timer is not None:
            trip.timer.cancel()
        if trip.fd >= 0:
            self._loop.remove_reader(trip.fd)
            if trip.is_writing:
                self._loop.remove_writer(trip.fd)


class _Trip:
    """One round trip."""

    __slots__ = (
        "ends_at",
        "expected",
        "fd",
        "future",
        "is_writing",
        "preparing",
        "results",
        "syncs_left",
        "timer",
    )

    def __init__(self, future: asyncio.Future[list[list[Any]]]) -> None:
        self.future = future
        self.results: list[PGresult] = []
        self.preparing: dict[int, bytes] = {}
        self.expected = 0
        self.syncs_left = 1
        self.fd = -1
        self.ends_at = 0.0
        self.is_writing = False
        self.timer: asyncio.TimerHandle | None = None
