"""What tools say while they run, and the thread that brings it to the database.

Progress is coalesced: of everything that an attempt reports within a second the last word is written, and
all attempts of the process together. Whoever stores a checkpoint waits for it, and those that wait at
the same moment share one commit. Nothing here runs on the event loop, and neither thread nor
connection is there before a tool reports for the first time.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

from seedcore.agent.envelope import storable
from seedcore.agent.toolerror import ToolError
from seedcore.agent.values import BadValue, encode
from seedcore.errors import LockBusy, SeedcoreError, Unavailable, WaitTimeout

if TYPE_CHECKING:
    from seedcore.task.progress import ProgressStore, Report

log = logging.getLogger(__name__)

EVERY_S = 1.0
"""Least time between two writes of progress."""
PATIENCE_S = 15.0
"""How long a checkpoint may wait for a database that does not answer."""
CHECKPOINT_MAX_BYTES = 262_144
"""Largest checkpoint where no setting says otherwise."""
_CHUNK = 500
_MESSAGE_MAX = 500
_BACKOFF_S = (0.1, 2.0)


class Stored:
    """A checkpoint on its way: awaited in a coroutine, waited for in a plain function."""

    __slots__ = ("_future",)

    def __init__(self, future: Future[bool]) -> None:
        self._future = future

    @classmethod
    def nowhere(cls) -> Self:
        """A checkpoint of a call that belongs to no stored task."""
        return cls._settled(True)

    @classmethod
    def refused(cls) -> Self:
        """A checkpoint of a call that was given up."""
        return cls._settled(False)

    @classmethod
    def _settled(cls, held: bool) -> Self:
        future: Future[bool] = Future()
        future.set_result(held)
        return cls(future)

    def __await__(self) -> Generator[Any, None, None]:
        """Return when it is durable.

        Raises:
            ToolError: The lease is lost, so nothing was stored.
            SeedcoreError: The database could not be reached, or refused it.
        """
        held = yield from asyncio.wrap_future(self._future).__await__()
        _require(held)

    def wait(self) -> None:
        """Block until it is durable; raises as awaiting it does."""
        _require(self._future.result())


def _require(held: bool) -> None:
    if not held:
        raise ToolError(
            "the lease is lost: the checkpoint was not stored, and somebody else goes on"
        )


def checked_progress(
    done: float, total: float | None, message: str | None
) -> tuple[float, float | None, str | None]:
    """Return a report as it can be stored.

    Raises:
        ToolError: A number is none, or negative; permanent.
    """
    for name, number in (("done", done), ("total", total)):
        if number is None and name == "total":
            continue
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise ToolError(
                f"ctx.progress(): {name} is {type(number).__name__}, not a number", permanent=True
            )
        if not 0 <= number < math.inf:
            raise ToolError(
                f"ctx.progress(): {name} is {number}, not a number from 0 up", permanent=True
            )
    if message is not None:
        message = storable(str(message))
        if len(message) > _MESSAGE_MAX:
            message = message[: _MESSAGE_MAX - 1] + "…"
    return float(done), None if total is None else float(total), message


def checkpoint_text(value: object, max_bytes: int) -> str | None:
    """Return a checkpoint as JSON text; None for None, which clears what is stored.

    Raises:
        ToolError: It is not JSON (the message names the place), or too large; permanent.
    """
    if value is None:
        return None
    try:
        text = encode(value)
    except BadValue as bad:
        raise ToolError(f"ctx.checkpoint(): the value is not JSON: {bad}", permanent=True) from None
    if len(text) * 4 > max_bytes and (size := len(text.encode())) > max_bytes:
        raise ToolError(
            f"ctx.checkpoint(): {size:,} bytes; CHECKPOINT_MAX_BYTES is {max_bytes:,}",
            permanent=True,
        )
    return text


class Reporter(Protocol):
    """Where one tool call reports to."""

    @property
    def checkpoint_max_bytes(self) -> int:
        """Largest checkpoint that it takes, as JSON."""
        ...

    def progress(self, done: float, total: float | None, message: str | None) -> None:
        """Take a report; never waits."""
        ...

    def checkpoint(self, text: str | None) -> Future[bool]:
        """Store JSON text, or clear what is stored; tells whether the lease still held."""
        ...


@dataclass(slots=True)
class _Said:
    """What one attempt has said since it was last written."""

    call: int = 0
    done: float | None = None
    total: float | None = None
    message: str | None = None
    checkpoint: str | None = None
    keeps: bool = True
    waiting: list[Future[bool]] = field(default_factory=list[Future[bool]])
    since: float = field(default_factory=time.monotonic)

    def add_older(self, older: _Said) -> None:
        """Take on what could not be written, where nothing newer was said."""
        self.waiting[:0] = older.waiting
        if older.call != self.call:
            return
        if self.done is None:
            self.done, self.total, self.message = older.done, older.total, older.message
        if self.keeps and not older.keeps:
            self.checkpoint, self.keeps, self.since = older.checkpoint, False, older.since


_Key = tuple[str, int]


class ReportDesk:
    """Takes reports from every tool call of a process.

    Args:
        conninfo: Returns where the database is.
        owner: Owner id of the leases.
        checkpoint_max_bytes: Largest checkpoint, as JSON.
        every_s: Least time between two writes of progress.
        patience_s: How long a checkpoint waits for the database.
    """

    def __init__(
        self,
        conninfo: Callable[[], str],
        owner: str,
        *,
        checkpoint_max_bytes: int = CHECKPOINT_MAX_BYTES,
        every_s: float = EVERY_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._conninfo = conninfo
        self._owner = owner
        self.checkpoint_max_bytes = checkpoint_max_bytes
        self._every_s = every_s
        self._patience_s = patience_s
        self._changed = threading.Condition()
        self._said: dict[_Key, _Said] = {}
        self._asked: list[tuple[str, float, Future[tuple[int, str] | None]]] = []
        self._is_urgent = False
        self._is_closing = False
        self._thread: threading.Thread | None = None

    def of(self, task_id: str, attempt: int, call: int) -> Reporter:
        """Return where one call reports to."""
        return _Call(self, (task_id, attempt), call)

    def progress(
        self, key: _Key, call: int, done: float, total: float | None, message: str | None
    ) -> None:
        """Take a report; see `Reporter`."""
        with self._changed:
            said = self._of(key, call)
            said.done, said.total, said.message = done, total, message
            self._wake()

    def checkpoint(self, key: _Key, call: int, text: str | None) -> Future[bool]:
        """Take a checkpoint; see `Reporter`."""
        stored: Future[bool] = Future()
        with self._changed:
            said = self._of(key, call)
            if said.keeps:
                said.since = time.monotonic()
            said.checkpoint, said.keeps = text, False
            said.waiting.append(stored)
            self._is_urgent = True
            self._wake()
        return stored

    def earlier(self, task_id: str) -> Future[tuple[int, str] | None]:
        """Read what an earlier attempt stored: the call, and its checkpoint as JSON text."""
        found: Future[tuple[int, str] | None] = Future()
        with self._changed:
            self._asked.append((task_id, time.monotonic(), found))
            self._is_urgent = True
            self._wake()
        return found

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what is left and end the thread, in so many seconds."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _of(self, key: _Key, call: int) -> _Said:
        said = self._said.get(key)
        if said is None:
            said = self._said[key] = _Said(call)
        elif said.call != call:
            # The call before has returned, so whatever it waited for was written.
            said = self._said[key] = _Said(call, waiting=said.waiting)
        return said

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="task-reports", daemon=True)
            self._thread.start()
        self._changed.notify()

    # -- in the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        from seedcore.task.progress import ProgressStore

        store = ProgressStore(self._conninfo, self._owner)
        due_at = 0.0
        pause_s = _BACKOFF_S[0]
        while self._wait(due_at):
            with self._changed:
                said, self._said = self._said, {}
                asked, self._asked = self._asked, []
                self._is_urgent = False
            failure: SeedcoreError | None = None
            try:
                self._answer(store, asked)
                if locked := self._write(store, said):
                    said = locked
                    failure = LockBusy("somebody has the task locked", code="task.locked")
            except (Unavailable, LockBusy, WaitTimeout) as error:
                failure = error
            except Exception as error:  # a fault of ours; whoever waits must not wait for ever
                log.exception("Reports broke", extra={"event": "progress.broke"})
                for key, one in said.items():
                    self._refused(key, one, error)
                for _, _, found in asked:
                    _fail(found, error)
            if failure is not None:
                self._give_up(said, asked, failure)
                if self._is_closing:
                    break
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, _BACKOFF_S[1])
                continue
            pause_s = _BACKOFF_S[0]
            due_at = time.monotonic() + self._every_s
        store.close()

    def _wait(self, due_at: float) -> bool:
        """Wait until there is something to write, and time for it; False = the end."""
        with self._changed:
            while not self._is_urgent:
                if self._is_closing:
                    return bool(self._said)
                left = due_at - time.monotonic()
                if self._said and left <= 0:
                    return True
                self._changed.wait(left if self._said else None)
            return True

    def _answer(
        self, store: ProgressStore, asked: list[tuple[str, float, Future[tuple[int, str] | None]]]
    ) -> None:
        while asked:
            task_id, _, found = asked[0]
            try:
                value = store.read(task_id)
            except (Unavailable, LockBusy, WaitTimeout):
                raise
            except SeedcoreError as error:
                _fail(found, error)
            else:
                _tell(found, value)
            asked.pop(0)

    def _write(self, store: ProgressStore, said: dict[_Key, _Said]) -> dict[_Key, _Said]:
        """Write and settle; what is settled leaves `said`, so that the rest can be tried again.

        Returns:
            What is to be tried again because somebody has its task locked.
        """
        locked: dict[_Key, _Said] = {}
        size = _CHUNK
        alone = 0
        while said:
            keys = list(said)[:size]
            try:
                accepted = store.write([_report(key, said[key]) for key in keys])
            except Unavailable:
                said.update(locked)
                raise
            except SeedcoreError as error:
                if len(keys) > 1:
                    # One bad document, or one locked row, must not hold up the others.
                    size, alone = 1, len(keys)
                elif isinstance(error, (LockBusy, WaitTimeout)):
                    locked[keys[0]] = said.pop(keys[0])
                else:
                    self._refused(keys[0], said.pop(keys[0]), error)
            else:
                for key in keys:
                    for stored in said.pop(key).waiting:
                        _tell(stored, key[0] in accepted)
            if size == 1:
                alone -= 1
                size = 1 if alone >= 0 else _CHUNK
        return locked

    def _refused(self, key: _Key, one: _Said, error: Exception) -> None:
        log.warning(
            "The database refused a report",
            extra={"event": "progress.refused", "task_id": key[0], "error": str(error)},
        )
        for stored in one.waiting:
            _fail(stored, error)

    def _give_up(
        self,
        said: dict[_Key, _Said],
        asked: list[tuple[str, float, Future[tuple[int, str] | None]]],
        error: SeedcoreError,
    ) -> None:
        """Keep what could not be written for the next try; let go who has waited for long enough."""
        latest = -1.0 if self._is_closing else time.monotonic() - self._patience_s
        for _, since, found in asked:
            if since <= latest or self._is_closing:
                _fail(found, error)
        asked = [one for one in asked if not one[2].done()]
        for one in said.values():
            if one.waiting and (one.since <= latest or self._is_closing):
                for stored in one.waiting:
                    _fail(stored, error)
                # Whoever waited was told that it is not stored; it must not be stored later.
                one.waiting, one.checkpoint, one.keeps = [], None, True
        with self._changed:
            for key, one in said.items():
                if key in self._said:
                    self._said[key].add_older(one)
                elif one.waiting or one.done is not None:
                    self._said[key] = one
            self._asked[:0] = asked
            self._is_urgent = bool(self._asked) or any(s.waiting for s in self._said.values())


class _Call:
    """One tool call at the desk."""

    __slots__ = ("_call", "_desk", "_key")

    def __init__(self, desk: ReportDesk, key: _Key, call: int) -> None:
        self._desk = desk
        self._key = key
        self._call = call

    @property
    def checkpoint_max_bytes(self) -> int:
        return self._desk.checkpoint_max_bytes

    def progress(self, done: float, total: float | None, message: str | None) -> None:
        self._desk.progress(self._key, self._call, done, total, message)

    def checkpoint(self, text: str | None) -> Future[bool]:
        return self._desk.checkpoint(self._key, self._call, text)


def _report(key: _Key, said: _Said) -> Report:
    from seedcore.task.progress import Report

    return Report(
        id=key[0],
        attempts=key[1],
        call=said.call,
        done=said.done,
        total=said.total,
        message=said.message,
        checkpoint=said.checkpoint,
        keeps=said.keeps,
    )


def _tell(future: Future[Any], value: object) -> None:
    """Give an answer, unless nobody waits for it any more."""
    if future.set_running_or_notify_cancel():
        future.set_result(value)


def _fail(future: Future[Any], error: Exception) -> None:
    if future.set_running_or_notify_cancel():
        future.set_exception(error)
