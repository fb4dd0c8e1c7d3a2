"""One attempt at a task: what it asks for, what has happened so far, what is stored in the end."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from seedcore.agent import envelope
from seedcore.agent.envelope import Record
from seedcore.agent.failure import Failure
from seedcore.agent.values import DEPTH_MAX, encode

OnProgress = Callable[[Sequence[Record]], Awaitable[bool]]
"""Stores an attempt's records so far, as `envelope.progress` writes them, under the fence.

Returns False when the lease is lost.
"""


class ClaimedTask(Protocol):
    """What the executor reads of a claimed task."""

    @property
    def id(self) -> object:
        """Its id."""
        ...

    @property
    def type(self) -> str:
        """Its type."""
        ...

    @property
    def params(self) -> Mapping[str, Any]:
        """Its payload."""
        ...

    @property
    def attempts(self) -> int:
        """The number of this attempt."""
        ...

    @property
    def result(self) -> object:
        """What an earlier attempt left."""
        ...


@dataclass(slots=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        success: Whether every call was made and answered.
        envelope: What to store as the task's result.
        document: The same as JSON text, ready for jsonb.
        error: The sentence to show, if it failed.
        error_type: One of the fixed words, if it failed.
        retryable: Whether another attempt may help.
        delay_s: Seconds until then, if the tool named them.
    """

    success: bool
    envelope: dict[str, Any]
    document: str
    error: str | None = None
    error_type: str | None = None
    retryable: bool = False
    delay_s: float | None = None


class Request(NamedTuple):
    """A call that the task asks for."""

    name: str
    args: object


class Attempt:
    """What has happened in one attempt so far."""

    def __init__(
        self,
        task: ClaimedTask,
        on_progress: OnProgress | None,
        runs_in: envelope.RunsIn | None = None,
    ) -> None:
        self.task = task
        self._runs_in = runs_in
        self.task_id = str(task.id)
        self.requests: list[Request] = []
        self._records: list[Record] = []
        self._earlier = envelope.earlier_records(task.result) if task.result is not None else {}
        self._on_progress = on_progress
        self._started_at = time.time()
        self._began = time.perf_counter()

    def record(self, index: int, name: str) -> Record:
        """Begin the record of a call."""
        record: Record = {
            "index": index,
            "name": name,
            "ok": False,
            "value": None,
            "error": None,
            "error_type": None,
            "latency_ms": 0.0,
            "reused": False,
        }
        self._records.append(record)
        return record

    def reuse(self, index: int, request: Request) -> bool:
        """Take the value of an equal call that an earlier attempt has made, if there is one.

        Raises:
            Failure: That attempt has started the call, and nobody knows how it ended.
        """
        earlier = self._earlier.get(index)
        if (
            earlier is None
            or earlier.get("name") != request.name
            or earlier.get("args_digest") != _digest(request)
        ):
            return False
        if earlier.get("ok"):
            self._records[-1].update(ok=True, value=earlier.get("value"), reused=True)
            return True
        if earlier.get("started"):
            raise Failure(
                "outcome_unknown",
                f"{request.name}: an earlier attempt was lost after it had started this call;"
                " it may have done its work, so it is not called again",
            )
        return False

    async def mark_start(self, index: int, request: Request) -> None:
        """Store that a call is about to start, before it does.

        Raises:
            Failure: It can't be stored, so the call must not start.
        """
        if self._on_progress is None:
            raise Failure("internal", f"{request.name} needs a start mark, which can't be stored")
        self._add_digests()
        mark: Record = {**self._records[index], "args_digest": _digest(request), "started": True}
        try:
            holds = await self._on_progress([*self._records[:index], mark])
        except Exception as error:
            raise Failure(
                "service_unavailable",
                f"{request.name} was not started, its start mark can't be stored:"
                f" {envelope.error_text(error)}",
            ) from error
        if not holds:
            raise Failure("lease_expired", f"{request.name} was not started, the lease is lost")

    def completed(self, value: object) -> str:
        """Return the document that is stored if the call that runs now ends with this value."""
        record = self._records[-1]
        so_far = record.copy()
        record.update(ok=True, value=value)
        try:
            return self._envelope(None)[1]
        finally:
            record.update(so_far)

    def outcome(self, failure: Failure | None, max_bytes: int) -> Outcome:
        """Write the envelope."""
        built, document = self._envelope(failure)
        if len(document) * 4 > max_bytes and (size := len(document.encode())) > max_bytes:
            failure = Failure(
                "too_large",
                f"the result is {size:,} bytes; SEEDCORE_RESULT_MAX_BYTES is {max_bytes:,}",
            )
            # Without the values it is small; which call made it large is of no use to a program.
            for record in self._records:
                record.update(ok=False, value=None)
            built, document = self._envelope(failure)
        if failure is None:
            return Outcome(True, built, document)
        return Outcome(
            False,
            built,
            document,
            failure.message,
            failure.error_type,
            failure.retryable,
            failure.delay_s,
        )

    def _envelope(self, failure: Failure | None) -> tuple[dict[str, Any], str]:
        if failure is not None:
            self._add_digests()
        error = envelope.storable(failure.message) if failure is not None else None
        built = envelope.build(
            task_id=self.task_id,
            task_type=self.task.type,
            attempt=self.task.attempts,
            records=self._records,
            started_at=self._started_at,
            latency_ms=milliseconds_since(self._began),
            error=error,
            error_type=failure.error_type if failure is not None else None,
            retry=failure.retryable if failure is not None else False,
            runs_in=self._runs_in,
        )
        # The values have been checked; the envelope around them only adds its own levels.
        return built, encode(built, DEPTH_MAX + 8)

    def _add_digests(self) -> None:
        """Let a later attempt recognise the calls that need not be made again."""
        for record, request in zip(self._records, self.requests, strict=False):
            if record["ok"]:
                record["args_digest"] = _digest(request)


def _digest(request: Request) -> str:
    return envelope.args_digest(request.args)


def milliseconds_since(began: float) -> float:
    """Return the time since a reading of `time.perf_counter()`, for a record."""
    return round((time.perf_counter() - began) * 1000, 3)
