"""The history checker finds what can't have happened, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from seedcore.task import service
from seedcore.task.verify import RULES, Violation, scope, verify
from seedcore.testing import age
from tests.integration.task.worker import Worker, new, set_level

Conn = psycopg.Connection[dict[str, Any]]
Change = tuple[str | None, str, int, str]

LIFE: list[Change] = [
    (None, "queued", 0, "ann"),
    ("queued", "running", 1, "w1"),
    ("running", "retry", 1, "w1"),
    ("retry", "running", 2, "w2"),
    ("running", "failed", 2, "w2"),
    ("failed", "queued", 2, "ann"),
    ("queued", "running", 3, "w1"),
    ("running", "completed", 3, "w1"),
]


def record(conn: Conn, changes: Sequence[Change], task: UUID | None = None) -> UUID:
    """Write events; without a task, of one that was deleted since."""
    task = task or uuid4()
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO task_events (task_id, from_status, to_status, attempts, actor)"
            " VALUES (%s, %s, %s, %s, %s)",
            [(task, *change) for change in changes],
        )
    return task


def rules(conn: Conn, **options: Any) -> set[str]:
    return {violation.rule for violation in verify(conn, **options)}


def ends(changes: Sequence[Change]) -> list[Change]:
    """What is left of a history when only ends and operators' changes are recorded."""
    return [c for c in changes if c[1] in ("completed", "failed", "cancelled") or c[3] == "ann"]


def test_a_possible_history_passes(conn: Conn) -> None:
    assert rules(conn) == set()
    record(conn, LIFE)
    record(conn, [(None, "created", 0, "ann"), ("created", "created", 0, "ann"),
                  ("created", "cancelled", 0, "ann")])  # fmt: skip
    assert rules(conn, level="all") == set()


IMPOSSIBLE: list[tuple[list[Change], str]] = [
    ([*LIFE, ("completed", "retry", 3, "w1")], "after_end"),
    ([*LIFE, ("completed", "queued", 3, "ann")], "after_end"),
    ([*LIFE, ("completed", "queued", 3, "ann")], "transition"),
    ([*LIFE, ("running", "completed", 3, "w1")], "two_ends"),
    ([*LIFE, ("running", "failed", 2, "w2")], "two_ends"),
    ([*LIFE, ("running", "completed", 2, "w2")], "attempts"),
    ([*LIFE[:5], ("running", "completed", 2, "w2")], "two_ends"),
    ([*LIFE[:5], ("running", "retry", 2, "w2")], "after_end"),
    ([*LIFE[:3], ("retry", "running", 1, "w2")], "attempts"),
    ([*LIFE[:3], ("retry", "running", 3, "w2")], "attempts"),
    ([*LIFE[:4], ("running", "retry", 1, "w2")], "attempts"),
    ([*LIFE[:4], ("queued", "cancelled", 2, "ann")], "transition"),
    ([*LIFE[:4], ("running", "completed", 2, "w1")], "owner"),
    (LIFE[:4], "lost"),
]


def test_changes_that_cannot_have_happened_are_named(conn: Conn) -> None:
    planted = [(record(conn, history), rule) for history, rule in IMPOSSIBLE]
    found = {(v.task_id, v.rule) for v in verify(conn, level="all")}
    assert [IMPOSSIBLE[n] for n, what in enumerate(planted) if what not in found] == []


def test_a_gap_is_a_fault_only_when_everything_was_recorded(conn: Conn) -> None:
    record(conn, ends(LIFE))
    assert rules(conn, level="terminal") == set()
    assert "transition" in rules(conn, level="all")


def test_two_ends_are_found_even_with_gaps(conn: Conn) -> None:
    record(conn, [("running", "completed", 1, "w1"), ("running", "completed", 2, "w2")])
    assert rules(conn, level="terminal") == {"two_ends"}


def test_the_evidence_names_the_change_and_what_it_contradicts(conn: Conn) -> None:
    task = record(conn, [*LIFE[:4], ("running", "completed", 2, "w1")])
    (violation,) = verify(conn, level="all")
    assert violation.task_id == task
    assert violation.evidence.endswith(
        "Z: running → completed, attempt 2 by w1: the lease was w2's"
    )


# -- events and rows ---------------------------------------------------------------------------


@pytest.fixture
def everything(conn: Conn) -> None:
    set_level(conn, "all")


def write(conn: Conn, statement: str, *parameters: Any) -> None:
    """Write past everything that keeps tasks as they should be."""
    with conn.transaction():
        conn.execute("SET LOCAL search_path = public, seedcore_engine")
        conn.execute(statement, parameters)  # pyright: ignore[reportArgumentType]


def completed(conn: Conn, worker: Worker) -> UUID:
    task = new(conn)
    worker.claim()
    worker.complete(task)
    return task


@pytest.mark.parametrize("level", ["all", "terminal"])
def test_a_row_that_says_another_thing_than_its_last_event_is_found(
    conn: Conn, worker: Worker, level: str
) -> None:
    set_level(conn, level)
    completed(conn, worker)
    task = completed(conn, worker)
    assert rules(conn) == set()
    write(conn, "UPDATE tasks SET attempts = 4 WHERE id = %s", task)
    (violation,) = verify(conn)
    assert violation[:2] == (task, "state")
    assert violation.evidence.endswith("the row says completed, attempt 4")


def test_a_running_row_beside_the_event_of_its_end_is_found(
    conn: Conn, worker: Worker, everything: None
) -> None:
    task = new(conn)
    worker.claim()
    record(conn, [("running", "completed", 1, "w1")], task)
    assert rules(conn) == {"state"}


@pytest.mark.parametrize("level", ["all", "terminal"])
def test_an_end_without_a_record_is_found(conn: Conn, worker: Worker, level: str) -> None:
    set_level(conn, level)
    completed(conn, worker)
    first, second = completed(conn, worker), completed(conn, worker)
    conn.execute("DELETE FROM task_events WHERE task_id = %s", [first])
    conn.execute("DELETE FROM task_events WHERE task_id = %s AND from_status IS NULL", [second])
    found = {(v.task_id, v.rule) for v in verify(conn)}
    assert found == {(first, "unrecorded")} | (
        {(second, "unrecorded")} if level == "all" else set()
    )


def test_an_unfinished_task_that_was_deleted_is_found(
    conn: Conn, worker: Worker, everything: None
) -> None:
    done, lost = completed(conn, worker), new(conn)
    conn.execute("DELETE FROM tasks WHERE id = ANY (%s)", [[done, lost]])
    assert [v[:2] for v in verify(conn)] == [(lost, "lost")]


def test_what_the_database_did_not_record_proves_nothing(conn: Conn, worker: Worker) -> None:
    set_level(conn, "none")
    silent = completed(conn, worker)
    assert rules(conn) == set()
    assert scope(conn).since is None
    set_level(conn, "terminal")
    completed(conn, worker)
    assert rules(conn) == set()
    assert silent not in {v.task_id for v in verify(conn)}


def test_since_cuts_lives_without_finding_fault(
    conn: Conn, worker: Worker, everything: None
) -> None:
    task = new(conn)
    worker.claim()
    row = conn.execute("SELECT clock_timestamp() AS now").fetchone()
    assert row is not None
    worker.complete(task)
    completed(conn, worker)
    assert rules(conn, since=row["now"]) == set()


# -- rows alone --------------------------------------------------------------------------------


def test_a_lease_that_nobody_ends_is_found(conn: Conn, worker: Worker) -> None:
    endless, lapsed, fine = new(conn), new(conn), new(conn)
    worker.claim(3)
    write(conn, "UPDATE tasks SET lease_expires_at = NULL WHERE id = %s", endless)
    age(conn, lapsed, "1h")
    assert {v[:2] for v in verify(conn)} == {(endless, "lease"), (lapsed, "lapsed")}
    assert (lapsed, "lapsed") not in {v[:2] for v in verify(conn, lapsed_after_s=7200)}
    assert fine not in {v.task_id for v in verify(conn)}


def test_a_task_that_waits_for_nothing_is_found(conn: Conn, worker: Worker) -> None:
    parent = new(conn)
    child, held = new(conn, depends_on=(str(parent),)), new(conn, hold=True)
    age(conn, [child, held], "1h")
    assert rules(conn) == set()
    write(conn, "UPDATE tasks SET status = 'cancelled', finished_at = now() WHERE id = %s", parent)
    assert (child, "stranded") in {v[:2] for v in verify(conn)}


def test_every_rule_has_been_seen_to_be_broken() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert {rule.name for rule in RULES if f'"{rule.name}"' not in text} == set()


# -- as a whole --------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["all", "terminal", "none"])
def test_a_storm_of_claims_ends_and_operators_leaves_no_fault(
    conn: Conn, worker: Worker, rival: Worker, level: str
) -> None:
    set_level(conn, level)
    tasks = [new(conn) for _ in range(40)]
    tasks += [new(conn, depends_on=(str(parent),)) for parent in tasks[:10]]
    for step in range(6):
        for one in (worker, rival):
            mine = [row["id"] for row in one.claim(8)]
            one.complete(*mine[:3])
            one.fail(*mine[3:5], retryable=bool(step % 2))
            age(conn, mine[5:7], "2h")
        conn.execute("SELECT tasks_reap_expired()")
        service.cancel(conn, tasks[step : step + 2], actor="ann")
        service.retry(conn, tasks[step : step + 2], actor="ann")
    assert list(verify(conn)) == []


def test_a_million_events_would_fit(conn: Conn, everything: None) -> None:
    """Sorted runs and a cursor; what is held does not grow with the table."""
    conn.execute(
        "INSERT INTO task_events (task_id, from_status, to_status, attempts, actor)"
        " SELECT md5((n / 3)::text)::uuid, (ARRAY[NULL, 'queued', 'running'])[n %% 3 + 1]::taskstatus,"
        "        (ARRAY['queued', 'running', 'completed'])[n %% 3 + 1]::taskstatus, (n %% 3 > 0)::int, 'w1'"
        " FROM generate_series(0, %s) AS n",
        [30_000 - 1],
    )
    assert list(verify(conn)) == []


def test_the_caller_may_stop_early(conn: Conn) -> None:
    for _ in range(3):
        record(conn, LIFE[:4])
    found = verify(conn, level="all")
    assert isinstance(next(found), Violation)
    found.close()
    assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
