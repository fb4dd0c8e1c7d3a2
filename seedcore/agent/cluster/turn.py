"""What a worker and the host of its tools say to each other about one attempt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seedcore.agent.attempt import Outcome
from seedcore.agent.envelope import Record

Key = tuple[str, int]
"""Task and attempt."""


@dataclass(frozen=True, slots=True)
class Sent:
    """An attempt on its way to a host; what the executor there reads of the claimed task.

    Attributes:
        id: The task's id.
        type: Its type.
        params: Its payload.
        attempts: The attempt's number.
        result: What an earlier attempt left.
        snapshot_id: Its policy snapshot, if any.
        seconds: How long it may take; the machines' clocks need not agree.
    """

    id: str
    type: str
    params: Mapping[str, Any]
    attempts: int
    result: object
    snapshot_id: int | None
    seconds: float

    @property
    def key(self) -> Key:
        """Task and attempt."""
        return self.id, self.attempts


@dataclass(frozen=True, slots=True)
class Turn:
    """A host's answer: the attempt's outcome, or records that must be stored before it goes on.

    Attributes:
        outcome: How it ended.
        records: The calls so far and the one about to start; the worker stores them and says by
            `go_on` whether the lease still held.
        was_settled: Whether the tool may have stored the task's end by itself.
        still_runs: Whether a thread goes on although the attempt is over.
    """

    outcome: Outcome | None = None
    records: Sequence[Record] | None = None
    was_settled: bool = False
    still_runs: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """What a host says of itself when it can work.

    Attributes:
        version: SeedCore's version there.
        machine: Its name.
        tools: How many tools it has.
    """

    version: str
    machine: str
    tools: int
