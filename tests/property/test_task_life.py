"""The engine against a model of itself: any order of claims, ends, lapses and operators' commands.

Two workers on two connections interleave at statement borders and keep the tokens of leases that they
have lost, as a worker does that was stopped and goes on. In a race, one of two statements about a task
has run and is not yet committed when the other begins; the outcome has to be that of one after the other,
or of the second alone when the first is taken back. After every step the database holds what the
model says; at the end the recorded history passes the checker.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, settings as hypothesis_settings, strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from seedcore.task import service
from seedcore.task.verify import verify
from seedcore.testing import age
from tests.conftest import create_database, drop_database
from tests.integration.task.worker import Worker, new, set_level

DEFAULT_MAX = 3
MAX_LAPSES = 2
FINAL = ("completed", "failed", "cancelled")


@pytest.fixture(scope="module")
def life_url(
    server_url: str, template_database: str, _admin: psycopg.Connection[Any]
) -> Iterator[str]:
    """One database for all examples; each begins with empty tables."""
    name = create_database(_admin, template_database, prefix="seedcore_life_")
    yield make_conninfo(server_url, dbname=name)
    drop_database(_admin, name)


@dataclass
class Known:
    """What the model knows of a task."""

    status: str
    priority: int
    depends_on: tuple[UUID, ...] = ()
    held: bool = False
    owner: str | None = None
    attempts: int = 0
    max_attempts: int | None = None
    lapses: int = 0
    is_delayed: bool = False


@dataclass(frozen=True)
class Token:
    """The right that a claim gave, whether it still holds or not."""

    task_id: UUID
    owner: str
    attempts: int


@dataclass
class Model:
    tasks: dict[UUID, Known] = field(default_factory=dict[UUID, Known])

    def holds(self, token: Token) -> bool:
        known = self.tasks[token.task_id]
        return (known.owner, known.attempts) == (token.owner, token.attempts)

    def leave(self, task_id: UUID, to: str, *, delayed: bool = False) -> None:
        """Move a task out of its status, and those that waited for it."""
        known = self.tasks[task_id]
        known.status, known.owner, known.is_delayed = to, None, delayed
        if to in FINAL:
            for child_id, child in self.tasks.items():
                if task_id in child.depends_on and child.status == "created" and not child.held:
                    self.settle(child_id)

    def settle(self, task_id: UUID) -> None:
        known = self.tasks[task_id]
        ends = {self.tasks[i].status for i in known.depends_on}
        if ends & {"failed", "cancelled"}:
            self.leave(task_id, "cancelled")
        elif ends <= {"completed"}:
            known.status = "queued"

    def claimable(self) -> list[UUID]:
        due = [
            (-known.priority, task_id)
            for task_id, known in self.tasks.items()
            if known.status in ("queued", "retry") and not known.is_delayed
        ]
        return [task_id for _, task_id in due]


class TaskLife(RuleBasedStateMachine):
    """See the module."""

    url = ""
    tasks: Bundle[UUID] = Bundle("tasks")
    tokens: Bundle[Token] = Bundle("tokens")

    def __init__(self) -> None:
        super().__init__()
        self.conns = [
            psycopg.connect(self.url, autocommit=True, row_factory=dict_row) for _ in range(2)
        ]
        self.workers = {f"w{n}": Worker(conn, f"w{n}") for n, conn in enumerate(self.conns)}
        self.conn = self.conns[0]
        self.watch = psycopg.connect(self.url, autocommit=True)
        self.second = ThreadPoolExecutor(1)
        self.conn.execute("TRUNCATE tasks, task_events CASCADE")
        set_level(self.conn, "all")
        self.model = Model()

    def teardown(self) -> None:
        try:
            assert list(verify(self.conn, level="all")) == []
        finally:
            self.second.shutdown()
            for conn in (*self.conns, self.watch):
                conn.close()

    @initialize(target=tasks, number=st.integers(1, 3))
    def begin(self, number: int) -> Any:
        """Something to do, so that few steps go into the void: some tasks, and two in a line."""
        made = [self.submit(5, None, hold=False) for _ in range(number)]
        made.append(self.submit_after(made[:1]))
        made.append(self.submit_after(made[-1:]))
        return multiple(*made)

    @rule(
        target=tasks,
        priority=st.integers(0, 10),
        max_attempts=st.none() | st.integers(1, 3),
        hold=st.booleans(),
    )
    def submit(self, priority: int, max_attempts: int | None, *, hold: bool) -> UUID:
        made = new(self.conn, priority=priority, max_attempts=max_attempts, hold=hold)
        self.model.tasks[made] = Known(
            "created" if hold else "queued", priority, held=hold, max_attempts=max_attempts
        )
        return made

    @rule(target=tasks, parents=st.lists(tasks, min_size=1, max_size=2, unique=True))
    def submit_after(self, parents: list[UUID]) -> UUID:
        made = new(self.conn, depends_on=tuple(str(i) for i in parents))
        known = Known("created", 5, depends_on=tuple(parents))
        self.model.tasks[made] = known
        self.model.settle(made)
        return made

    @rule(target=tokens, owner=st.sampled_from(["w0", "w1"]), limit=st.integers(1, 3))
    def claim(self, owner: str, limit: int) -> Any:
        return multiple(*self.take(owner, limit))

    @rule(
        target=tokens,
        owner=st.sampled_from(["w0", "w1"]),
        outcome=st.sampled_from(["complete", "retry", "fail"]),
    )
    def work(self, owner: str, outcome: str) -> Any:
        """Claim all there is and end it; the tokens stay behind, as stale as can be."""
        held = self.take(owner, 10)
        for token in held:
            if outcome == "complete":
                self.complete(token)
            else:
                self.fail(token, retryable=outcome == "retry", delayed=False)
        return multiple(*held)

    def take(self, owner: str, limit: int) -> list[Token]:
        """Claim, and hold the claim against the model."""
        expected = self.model.claimable()
        rows = self.workers[owner].claim(limit)
        assert len(rows) == min(limit, len(expected))
        # The most urgent ones; among equals the time of submission decides, which the model leaves open.
        urgency = sorted((self.model.tasks[i].priority for i in expected), reverse=True)
        assert [row["priority"] for row in rows] == urgency[:limit]
        for row in rows:
            assert row["id"] in expected
            known = self.model.tasks[row["id"]]
            known.status, known.owner = "running", owner
            known.attempts += 1
        return [Token(row["id"], owner, row["attempts"]) for row in rows]

    def use(self, token: Token) -> Worker:
        """The worker that holds, or held, a token."""
        worker = self.workers[token.owner]
        worker.held[token.task_id] = token.attempts
        return worker

    @rule(token=tokens)
    def complete(self, token: Token) -> None:
        accepted = self.use(token).complete(token.task_id, result={"attempt": token.attempts})
        assert accepted == ({token.task_id} if self.model.holds(token) else set())
        if accepted:
            self.model.leave(token.task_id, "completed")

    @rule(token=tokens, retryable=st.booleans(), delayed=st.booleans())
    def fail(self, token: Token, retryable: bool, delayed: bool) -> None:
        ended = self.use(token).fail(
            token.task_id,
            retryable=retryable,
            delay_s=600.0 if delayed else 0.0,
            default_max=DEFAULT_MAX,
        )
        if not self.model.holds(token):
            assert ended == {}
            return
        known = self.model.tasks[token.task_id]
        is_over = not retryable or known.attempts >= (known.max_attempts or DEFAULT_MAX)
        assert ended == {token.task_id: "failed" if is_over else "retry"}
        self.model.leave(
            token.task_id, "failed" if is_over else "retry", delayed=delayed and not is_over
        )

    @rule(token=tokens)
    def renew(self, token: Token) -> None:
        known = self.model.tasks[token.task_id]
        renewed = self.use(token).renew(token.task_id)
        assert renewed == {token.task_id: (self.model.holds(token), known.status)}

    @rule(token=tokens)
    def give_back(self, token: Token) -> None:
        returned = self.use(token).give_back(token.task_id)
        assert returned == ({token.task_id} if self.model.holds(token) else set())
        if returned:
            known = self.model.tasks[token.task_id]
            known.max_attempts = (known.max_attempts or DEFAULT_MAX) + 1
            self.model.leave(token.task_id, "retry")

    @rule(
        token=tokens,
        first=st.sampled_from(["complete", "fail", "give_back", "renew", "cancel"]),
        then=st.sampled_from(["complete", "fail", "give_back", "renew", "cancel"]),
        kept=st.booleans(),
    )
    def race(self, token: Token, first: str, then: str, *, kept: bool) -> None:
        """One statement is not yet committed when another about the same task begins."""
        with self.conns[0].transaction(force_rollback=not kept):
            got = self.step(first, token, self.conns[0])
            late = self.second.submit(self.step, then, token, self.conns[1])
            self.wait_until_blocked(late)
        # What is taken back had an answer too, but changed nothing.
        model = self.model if kept else copy.deepcopy(self.model)
        assert got == self.expect(first, token, model)
        assert late.result(30) == self.expect(then, token, self.model)

    def wait_until_blocked(self, late: Future[Any]) -> None:
        """Return when the second connection waits for a lock, or has nothing to wait for."""
        pid = self.conns[1].info.backend_pid
        end = time.monotonic() + 30
        while not late.done() and time.monotonic() < end:
            if self.watch.execute("SELECT FROM unnest(pg_blocking_pids(%s))", [pid]).rowcount:
                return

    def step(self, what: str, token: Token, conn: psycopg.Connection[Any]) -> Any:
        """Do something about a task with a token, on a connection."""
        if what == "cancel":
            (row,) = service.cancel(conn, [token.task_id], actor="ann")
            return row["changed"]
        worker = Worker(conn, token.owner)
        worker.held[token.task_id] = token.attempts
        if what == "fail":
            return worker.fail(token.task_id, retryable=False, default_max=DEFAULT_MAX)
        ways: dict[str, Callable[[UUID], Any]] = {
            "complete": worker.complete,
            "give_back": worker.give_back,
            "renew": worker.renew,
        }
        return ways[what](token.task_id)

    def expect(self, what: str, token: Token, model: Model) -> Any:
        """Say what `step` returns, and do to a model what it does to the database."""
        task_id, known, holds = token.task_id, model.tasks[token.task_id], model.holds(token)
        if what == "cancel":
            may = known.status not in FINAL
            if may:
                model.leave(task_id, "cancelled")
            return may
        if what == "renew":
            return {task_id: (holds, known.status)}
        if what == "fail":
            if holds:
                model.leave(task_id, "failed")
            return {task_id: "failed"} if holds else {}
        if holds and what == "give_back":
            known.max_attempts = (known.max_attempts or DEFAULT_MAX) + 1
        if holds:
            model.leave(task_id, "completed" if what == "complete" else "retry")
        return {task_id} if holds else set()

    @rule(
        target=tokens,
        limits=st.tuples(st.integers(1, 3), st.integers(1, 3)),
        kept=st.booleans(),
    )
    def claim_beside(self, limits: tuple[int, int], *, kept: bool) -> Any:
        """A claim passes over what another has taken and not yet committed, and takes the next."""
        before = copy.deepcopy(self.model)
        with self.conns[0].transaction(force_rollback=not kept):
            first = self.take("w0", limits[0])
            then = self.take("w1", limits[1])
        if kept:
            return multiple(*first, *then)
        for token in first:
            self.model.tasks[token.task_id] = before.tasks[token.task_id]
        return multiple(*then)

    @rule(silent=st.sampled_from(["w0", "w1"]))
    def reap(self, silent: str) -> None:
        """One of the workers stands still for longer than its leases."""
        lost = [i for i, known in self.model.tasks.items() if known.owner == silent]
        if lost:
            age(self.conn, lost, "1h")
        row = self.conn.execute(
            "SELECT tasks_reap_expired(90, 200, %s, %s) AS n", [DEFAULT_MAX, MAX_LAPSES]
        ).fetchone()
        assert row == {"n": len(lost)}
        for task_id in lost:
            known = self.model.tasks[task_id]
            is_over = known.lapses >= MAX_LAPSES
            known.lapses += 1
            known.max_attempts = (known.max_attempts or DEFAULT_MAX) + 1
            self.model.leave(task_id, "failed" if is_over else "retry")

    @rule(task_id=tasks)
    def cancel(self, task_id: UUID) -> None:
        was = self.model.tasks[task_id].status
        (row,) = service.cancel(self.conns[1], [task_id], actor="ann")
        assert row["changed"] == (was not in FINAL)
        if was not in FINAL:
            self.model.leave(task_id, "cancelled")

    @rule(task_id=tasks, extra=st.integers(1, 3))
    def retry(self, task_id: UUID, extra: int) -> None:
        known = self.model.tasks[task_id]
        ends = {self.model.tasks[i].status for i in known.depends_on}
        may = known.status in ("failed", "cancelled", "retry") and not ends & {
            "failed",
            "cancelled",
        }
        (row,) = service.retry(self.conns[1], [task_id], actor="ann", attempts=extra)
        assert row["changed"] == may
        if may:
            waits = bool(ends - set(FINAL))
            known.status = "created" if waits else "queued"
            known.held = known.is_delayed = False
            known.lapses = 0
            known.max_attempts = known.attempts + extra

    @rule(task_id=tasks)
    def release(self, task_id: UUID) -> None:
        known = self.model.tasks[task_id]
        may = known.status == "created" and known.held
        (row,) = service.release(self.conns[1], [task_id], actor="ann")
        assert row["changed"] == may
        if may:
            known.held = False
            self.model.settle(task_id)

    @rule()
    def let_delays_pass(self) -> None:
        late = [i for i, known in self.model.tasks.items() if known.is_delayed]
        if late:
            age(self.conn, late, "1h")
            for task_id in late:
                self.model.tasks[task_id].is_delayed = False

    @invariant()
    def the_database_holds_what_the_model_says(self) -> None:
        rows = self.conn.execute(
            "SELECT id, status::text, owner_id, attempts, max_attempts, lapses,"
            " finished_at IS NOT NULL AS ended FROM tasks"
        ).fetchall()
        stored = {row.pop("id"): tuple(row.values()) for row in rows}
        assert stored == {
            task_id: (k.status, k.owner, k.attempts, k.max_attempts, k.lapses, k.status in FINAL)
            for task_id, k in self.model.tasks.items()
        }


@pytest.mark.timeout(180)
def test_the_engine_does_what_the_model_says(life_url: str) -> None:
    machine = type("TaskLifeHere", (TaskLife,), {"url": life_url})
    run_state_machine_as_test(
        machine,
        settings=hypothesis_settings(
            max_examples=45,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
