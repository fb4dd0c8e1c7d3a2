"""The history checker finds what can't have happened, and nothing else."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from seedcore.task.history import Event, check_history
from seedcore.task.model import TaskStatus as S

A = UUID(int=1)
B = UUID(int=2)

GOOD = [
    Event(A, None, S.QUEUED, 0, "ann"),
    Event(A, S.QUEUED, S.RUNNING, 1, "w1"),
    Event(A, S.RUNNING, S.RETRY, 1, "w1"),
    Event(A, S.RETRY, S.RUNNING, 2, "w2"),
    Event(A, S.RUNNING, S.FAILED, 2, "w2"),
    Event(A, S.FAILED, S.QUEUED, 2, "ann"),
    Event(A, S.QUEUED, S.RUNNING, 3, "w1"),
    Event(A, S.RUNNING, S.COMPLETED, 3, "w1"),
    Event(B, None, S.CREATED, 0, "ann"),
    Event(B, S.CREATED, S.CREATED, 0, "ann"),
    Event(B, S.CREATED, S.CANCELLED, 0, "ann"),
]


def rules(events: list[Event], **options: Any) -> set[str]:
    return {violation.rule for violation in check_history(events, **options)}


def test_a_possible_history_passes() -> None:
    assert rules(GOOD) == set()
    assert rules([]) == set()


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        (Event(A, S.COMPLETED, S.RETRY, 3, "w1"), "transition"),
        (Event(A, S.RUNNING, S.COMPLETED, 3, "w1"), "after_end"),
        (Event(A, S.RUNNING, S.FAILED, 2, "w2"), "after_end"),
        (Event(A, S.RUNNING, S.COMPLETED, 2, "w2"), "attempts"),
    ],
)
def test_nothing_comes_after_a_completion(more: Event, rule: str) -> None:
    assert rule in rules([*GOOD[:8], more])


def test_a_result_of_a_former_owner_is_found() -> None:
    stolen = [*GOOD[:4], Event(A, S.RUNNING, S.COMPLETED, 2, "w1")]
    assert rules(stolen) == {"owner"}


def test_an_attempt_that_does_not_rise_is_found() -> None:
    assert "attempts" in rules([*GOOD[:3], Event(A, S.RETRY, S.RUNNING, 1, "w2")])
    assert "attempts" in rules([*GOOD[:3], Event(A, S.RETRY, S.RUNNING, 3, "w2")])
    assert "attempts" in rules([*GOOD[:4], Event(A, S.RUNNING, S.RETRY, 1, "w2")])


def test_a_gap_is_a_fault_only_when_all_was_recorded() -> None:
    ends = [event for event in GOOD if event.to_status in (S.FAILED, S.COMPLETED, S.CANCELLED)]
    retried = [*ends[:1], GOOD[5], *ends[1:]]
    assert rules(retried, complete=False) == set()
    assert "transition" in rules(retried, complete=True)


def test_two_ends_are_found_even_with_gaps() -> None:
    twice = [Event(A, S.RUNNING, S.COMPLETED, 1, "w1"), Event(A, S.RUNNING, S.COMPLETED, 2, "w2")]
    assert rules(twice, complete=False) == {"after_end"}


def test_the_evidence_names_the_change() -> None:
    (violation,) = check_history([*GOOD[:4], Event(A, S.RUNNING, S.COMPLETED, 2, "w1")])
    assert violation.task_id == A
    assert violation.evidence == "running → completed, attempt 2 by w1: the lease was w2's"
