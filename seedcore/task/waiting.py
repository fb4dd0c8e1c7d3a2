"""Waiting for tasks, and watching them change. Both poll, from 0.1 s growing to 1 s.

Polling needs no session state, so it works behind every pooler; a notification for each finished task
would cost the workers more than it saves the few who wait.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg

from seedcore.errors import NotFound, Pending, UsageError, WaitTimeout
from seedcore.task.listing import list_tasks
from seedcore.task.model import FINAL, Selection, TaskStatus
from seedcore.task.store import Row, by_id, fetch, queries

FIRST_PAUSE_S = 0.1
LAST_PAUSE_S = 1.0


class _Pauses:
    """Pauses that grow, and end at a time-out."""

    def __init__(self, timeout_s: float | None) -> None:
        self._end = None if timeout_s is None else time.monotonic() + timeout_s
        self._pause = FIRST_PAUSE_S

    def pause(self) -> bool:
        """Sleep; False when the time is up instead."""
        left = None if self._end is None else self._end - time.monotonic()
        if left is not None and left <= 0:
            return False
        time.sleep(self._pause if left is None else min(self._pause, left))
        self._pause = min(self._pause * 1.3, LAST_PAUSE_S)
        return True

    def start_over(self) -> None:
        """Look soon again: something is happening."""
        self._pause = FIRST_PAUSE_S


def goal(name: str) -> frozenset[TaskStatus]:
    """Return the states that a goal names: `terminal`, or one state.

    Raises:
        UsageError: There is no such state.
    """
    if name == "terminal":
        return FINAL
    try:
        return frozenset({TaskStatus(name)})
    except ValueError:
        raise UsageError(
            f'"{name}" is no state of a task',
            code="task.bad_status",
            hint=f"terminal, or one of {', '.join(TaskStatus)}",
        ) from None


def wait(
    conn: psycopg.Connection[Any],
    ids: Sequence[UUID],
    for_: str = "terminal",
    *,
    any_: bool = False,
    timeout_s: float | None = None,
) -> list[Row]:
    """Wait until tasks get somewhere, or can't any more because they have ended.

    Args:
        conn: A connection in autocommit.
        ids: Tasks.
        for_: `terminal`, or the name of a state.
        any_: Return as soon as one of them is there.
        timeout_s: Longest wait; None = for ever, 0 = only look.

    Returns:
        A row for each task that is there or has ended (with `any_`: of those seen at once): id, status,
        type, result, error, attempts, reached (whether the goal was met).

    Raises:
        NotFound: A task is not there (any more).
        Pending: Not yet, and `timeout_s` is 0.
        WaitTimeout: Not in time.
        UsageError: There is no such state.
    """
    wanted = goal(for_)
    open_ = list(dict.fromkeys(ids))
    done: list[UUID] = []
    pauses = _Pauses(timeout_s)
    while True:
        states = by_id(fetch(conn, queries.states, {"ids": open_}))
        gone = [i for i in open_ if i not in states]
        if gone:
            raise NotFound(f"there is no task {gone[0]}", code="task.not_found")
        done += [i for i in open_ if states[i]["status"] in wanted | FINAL]
        open_ = [i for i in open_ if states[i]["status"] not in wanted | FINAL]
        if not open_ or (any_ and done):
            outcomes = by_id(fetch(conn, queries.outcomes, {"ids": done}))
            return [
                outcomes[i] | {"reached": outcomes[i]["status"] in wanted}
                for i in done
                if i in outcomes
            ]
        if not pauses.pause():
            raise _too_late(open_, states, for_, timeout_s or 0.0)


def _too_late(
    open_: list[UUID], states: dict[Any, Row], for_: str, timeout_s: float
) -> WaitTimeout | Pending:
    count = "1 task is" if len(open_) == 1 else f"{len(open_)} tasks are"
    details = {"open": [{"id": str(i), "status": states[i]["status"]} for i in open_[:100]]}
    first = f"{open_[0]} is {states[open_[0]]['status']}"
    if timeout_s == 0:
        return Pending(f"{count} not {for_} yet ({first})", code="task.pending", details=details)
    return WaitTimeout(
        f"{count} not {for_} after {timeout_s:g} s ({first})",
        code="task.wait_timeout",
        hint="the tasks go on; wait again, or look with: seedcore task inspect ID",
        details=details,
    )


def watch(
    conn: psycopg.Connection[Any],
    selection: Selection,
    *,
    for_: str = "terminal",
    timeout_s: float | None = None,
) -> Iterator[Row]:
    """Yield what changes among tasks: first all of them as added, then every change.

    Ends when every watched task has got to the goal or has ended, but never before there was one.

    Args:
        conn: A connection in autocommit.
        selection: Which; tasks that begin to match are added, those that stop are removed.
        for_: `terminal`, or the name of a state.
        timeout_s: Longest watch; None = for ever.

    Yields:
        type (`added`, `modified`, `removed`), object (as `list_tasks` shows it), at.

    Raises:
        WaitTimeout: It did not end in time.
    """
    wanted = goal(for_) | FINAL
    pauses = _Pauses(timeout_s)
    known: dict[UUID, Row] = {}
    while True:
        found = by_id(list(list_tasks(conn, selection)))
        changes = _changes(known, found)
        for kind, row in changes:
            yield {"type": kind, "object": row, "at": datetime.now(UTC)}
        known = found
        if changes:
            pauses.start_over()
        if known and all(row["status"] in wanted for row in known.values()):
            return
        if not pauses.pause():
            raise WaitTimeout(
                f"{len(known)} tasks were watched for {timeout_s:g} s, not all are {for_}",
                code="task.wait_timeout",
            )


def _changes(known: dict[UUID, Row], found: dict[UUID, Row]) -> list[tuple[str, Row]]:
    changes: list[tuple[str, Row]] = [
        ("removed", row) for task_id, row in known.items() if task_id not in found
    ]
    for task_id, row in found.items():
        before = known.get(task_id)
        if before is None:
            changes.append(("added", row))
        elif (before["status"], before["attempts"]) != (row["status"], row["attempts"]):
            changes.append(("modified", row))
    return changes
