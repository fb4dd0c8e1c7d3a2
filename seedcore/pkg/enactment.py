"""Policy acts: evaluated for claimed tasks, recorded, and what it asks for becomes tasks.

Everything about one task is one transaction, fenced by its lease: the child tasks with their dependencies, the
plan that names rule and snapshot, and the record of the evaluation. A worker that lost the lease stores
nothing; an attempt after a crash finds the plan and does not make a second one.
"""

from __future__ import annotations

import hashlib
import logging
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from seedcore.config.settings import Settings
from seedcore.db import set_actor
from seedcore.db.errors import translated
from seedcore.db.rows import fetch, fetch_one
from seedcore.errors import LockBusy, SeedcoreError, Unavailable
from seedcore.pkg import signature, store
from seedcore.pkg.engines.decision import Decision, canonical, digest, in_order
from seedcore.pkg.engines.document import Input
from seedcore.pkg.engines.errors import PolicyError
from seedcore.pkg.engines.loading import Evaluators
from seedcore.pkg.model import ConditionType, Policy
from seedcore.pkg.subtask_task import child_params, depth_of, input_of, subject_of
from seedcore.pkg.validation import queries
from seedcore.task.ids import new_id
from seedcore.task.model import NewTask
from seedcore.task.submission import lint_new

log = logging.getLogger(__name__)

TARGET: Final = "router"
"""The lane that tasks go by."""
FORGOTTEN_AT_ONCE: Final = 5000
"""Evaluations that one statement removes at most."""
_PLAN_MAX: Final = 250_000
"""Largest plan as JSON text; the table takes 262,144 bytes of PostgreSQL's own writing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A claimed task that policy is asked about.

    Attributes:
        id: UUID text.
        attempts: The fencing token.
        type: The task's type.
        domain: Its domain.
        description: Its description.
        priority: Its priority; its children get it.
        drift_score: A signal.
        params: Its payload.
    """

    id: str
    attempts: int
    type: str
    domain: str | None
    description: str | None
    priority: int
    drift_score: float
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What policy says about a task.

    Attributes:
        outcome: ok, error, or skipped when no snapshot is active.
        snapshot_id: By which snapshot.
        engine: What evaluated it.
        denied: Whether it forbids the task.
        matched: Whether a rule fired.
        children: Ids of the tasks that it called for, now or in an earlier attempt.
        error: Why there is no answer.
        holds: False when the lease was lost, so that nothing was stored.
    """

    outcome: str = "skipped"
    snapshot_id: int | None = None
    engine: str = "none"
    denied: bool = False
    matched: bool = False
    children: tuple[str, ...] = ()
    error: str | None = None
    holds: bool = True


@dataclass(slots=True)
class _Evaluated:
    """One task, evaluated and not yet stored."""

    asked: Asked
    subject: str
    snapshot_id: int
    engine: str = "none"
    input_digest: str = ""
    input: Mapping[str, Any] | None = None
    decision: Decision | None = None
    children: list[tuple[str, str, NewTask, list[str]]] = field(
        default_factory=list[tuple[str, str, NewTask, "list[str]"]]
    )
    """(step, id, task, ids that it waits for), what is waited for first."""
    error: str | None = None
    duration_ms: float = 0.0

    def row(self) -> dict[str, Any]:
        """Return it as `pkg_evaluations` keeps it."""
        return {
            "snapshot_id": self.snapshot_id,
            "subject": self.subject,
            "task_id": self.asked.id,
            "input_digest": self.input_digest,
            "output_digest": None if self.decision is None else self.decision.digest(),
            "outcome": "ok" if self.error is None else "error",
            "denied": self.decision is not None and self.decision.denied,
            "duration_ms": self.duration_ms,
            "input": self.input,
        }

    def verdict(self) -> Verdict:
        """Return what it comes to."""
        decision = self.decision
        return Verdict(
            "ok" if self.error is None else "error",
            self.snapshot_id,
            self.engine,
            decision is not None and decision.denied,
            decision is not None and bool(decision.rules or decision.subtasks or decision.denied),
            tuple(child[1] for child in self.children) if self.error is None else (),
            self.error,
        )


class Enactor:
    """Asks policy about batches of tasks, on one connection, by one thread.

    Args:
        settings: Environment, region, limits.
        owner: Whose leases these are.
        connection: Open, autocommit; replaced with `use` after a loss.
    """

    def __init__(self, settings: Settings, owner: str, connection: psycopg.Connection[Any]) -> None:
        self._settings = settings
        self._owner = owner
        self._conn = connection
        self._lane = {
            "target": TARGET, "region": settings.pkg_region, "env": settings.pkg_env,
        }  # fmt: skip
        key = signature.required_key(settings)
        self._evaluators = Evaluators(
            lambda snapshot_id: store.load_signed(self._conn, snapshot_id, key),
            timeout_s=settings.pkg_timeout_s,
        )
        self._subjects: dict[int, list[str]] = {}

    def use(self, connection: psycopg.Connection[Any]) -> None:
        """Go on with another connection."""
        self._conn = connection

    def close(self) -> None:
        """Let go of the engines."""
        self._evaluators.close()

    def is_active(self) -> bool:
        """Tell whether there is a policy that could have a say.

        Raises:
            SeedcoreError: The database is gone, or refuses.
        """
        row = fetch_one(self._conn, queries.anything_active, self._lane)
        return row is not None and bool(row["active"])

    def forget(self) -> int:
        """Remove one slice of evaluations that are older than they are kept; return how many.

        Raises:
            SeedcoreError: The database is gone, or refuses.
        """
        if not self._settings.pkg_keep_s:
            return 0
        parameters = {"keep_s": self._settings.pkg_keep_s, "limit": FORGOTTEN_AT_ONCE}
        with translated():
            return self._conn.execute(queries.forget_evaluations, parameters).rowcount

    def decide(self, batch: Sequence[Asked]) -> list[Verdict]:
        """Evaluate, store, and return what policy says, in the order of the batch.

        Raises:
            SeedcoreError: The database is gone, or refuses; of what was stored meanwhile an attempt that
                follows finds the plans.
        """
        subjects = [subject_of(asked.id, asked.params) for asked in batch]
        parameters = {**self._lane, "ids": [asked.id for asked in batch], "subjects": subjects}
        found = {row["id"]: row for row in fetch(self._conn, queries.looked_up, parameters)}
        verdicts: list[Verdict] = []
        plain: list[_Evaluated] = []
        for asked, subject in zip(batch, subjects, strict=True):
            row = found[asked.id]
            if row["plan"] is not None:
                verdicts.append(_known(row))
            elif row["snapshot_id"] is None:
                verdicts.append(Verdict())
            else:
                evaluated = self._evaluate(asked, subject, row["snapshot_id"])
                verdict = evaluated.verdict()
                if not evaluated.children:
                    plain.append(evaluated)
                elif not self._try_to_enact(evaluated, plain):
                    verdict = Verdict(holds=False)
                elif evaluated.error is not None:
                    verdict = evaluated.verdict()
                verdicts.append(verdict)
        if plain:
            with translated():
                self._conn.execute(queries.keep_evaluations, self._rows(plain))
        return verdicts

    def _rows(self, evaluated: Sequence[_Evaluated]) -> dict[str, Any]:
        return {**self._lane, "rows": Jsonb([one.row() for one in evaluated])}

    def _evaluate(self, asked: Asked, subject: str, snapshot_id: int) -> _Evaluated:
        evaluated = _Evaluated(asked, subject, snapshot_id)
        raw = input_of(
            type_=asked.type,
            domain=asked.domain,
            description=asked.description,
            priority=asked.priority,
            drift_score=asked.drift_score,
            params=asked.params,
        )
        began = time.perf_counter()
        try:
            policy, engine = self._evaluators.get(snapshot_id)
            evaluated.engine = policy.engine.value
            raw["facts"] = self._facts(snapshot_id, policy)
            document = Input.parse(raw)
            evaluated.input = document.document()
            began = time.perf_counter()
            evaluated.decision = engine.evaluate(document)
            evaluated.duration_ms = (time.perf_counter() - began) * 1000
            if not evaluated.decision.denied:
                evaluated.children = self._children(evaluated, evaluated.decision)
        except SeedcoreError as error:
            if error.code.startswith("db."):
                raise
            evaluated.duration_ms = evaluated.duration_ms or (time.perf_counter() - began) * 1000
            evaluated.error = f"{error.code}: {error.message}"
            evaluated.children = []
        evaluated.input_digest = digest(evaluated.input if evaluated.input is not None else raw)
        if random.random() >= self._settings.pkg_sample:  # noqa: S311 - a sample, no secret
            evaluated.input = None
        return evaluated

    def _facts(self, snapshot_id: int, policy: Policy) -> list[dict[str, Any]]:
        """Look up what the policy's conditions ask facts about."""
        wanted = self._subjects.get(snapshot_id)
        if wanted is None:
            wanted = self._subjects[snapshot_id] = sorted(
                {
                    condition.key
                    for rule in policy.rules
                    for condition in rule.conditions
                    if condition.type is ConditionType.FACT
                }
            )
        return fetch(self._conn, queries.facts_of, {"subjects": wanted}) if wanted else []

    def _children(
        self, evaluated: _Evaluated, decision: Decision
    ) -> list[tuple[str, str, NewTask, list[str]]]:
        """Return the tasks that a decision calls for.

        Raises:
            PolicyError: They are too many, or too deep.
            UsageError: One of them would be no valid task.
        """
        asked, settings = evaluated.asked, self._settings
        if not decision.subtasks:
            return []
        if len(decision.subtasks) > settings.max_plan_steps:
            raise PolicyError(
                f"{len(decision.subtasks)} subtasks for one task; MAX_PLAN_STEPS is"
                f" {settings.max_plan_steps}",
                code="pkg.plan_too_large",
            )
        if depth_of(asked.params) >= settings.max_plan_depth:
            raise PolicyError(
                f"tasks call for tasks more than {settings.max_plan_depth} times (MAX_PLAN_DEPTH)",
                code="pkg.plan_too_deep",
            )
        ids = {subtask.id: new_id() for subtask in decision.subtasks}
        children: list[tuple[str, str, NewTask, list[str]]] = []
        for subtask in in_order(decision.subtasks, decision.edges):
            new = NewTask(
                type=subtask.name,
                params=child_params(
                    subtask,
                    parent_id=asked.id,
                    parent_params=asked.params,
                    snapshot_id=evaluated.snapshot_id,
                ),
                domain=asked.domain,
                priority=asked.priority,
                idempotency_key=f"pkg:{asked.id}:{subtask.id}",
            )
            lint_new(
                new, lint_mode=settings.task_lint_mode, params_max_bytes=settings.params_max_bytes
            )
            needs = [ids[edge.source] for edge in decision.edges if edge.target == subtask.id]
            children.append((subtask.id, ids[subtask.id], new, needs))
        return children

    def _try_to_enact(self, evaluated: _Evaluated, plain: list[_Evaluated]) -> bool:
        """Store what one task's policy calls for; what is refused is that task's error alone."""
        try:
            return self._enact(evaluated)
        except (Unavailable, LockBusy):
            raise
        except SeedcoreError as error:
            evaluated.error = f"{error.code}: {error.message}"
            evaluated.children = []
            plain.append(evaluated)
            return True

    def _enact(self, evaluated: _Evaluated) -> bool:
        """Store children, plan and record; False when the lease is lost."""
        asked = evaluated.asked
        with translated(), self._conn.transaction():
            held = {"id": asked.id, "owner": self._owner, "attempts": asked.attempts}
            if fetch_one(self._conn, queries.hold_lease, held) is None:
                return False
            set_actor(self._conn, self._owner, f"policy of snapshot {evaluated.snapshot_id}")
            for _, task_id, new, needs in evaluated.children:
                child = {
                    "id": task_id,
                    "type": new.type,
                    "params": Jsonb(dict(new.params)),
                    "domain": new.domain,
                    "priority": new.priority,
                    "key": new.idempotency_key,
                    "depends_on": list(dict.fromkeys(needs)),
                    "snapshot_id": evaluated.snapshot_id,
                }
                fetch(self._conn, queries.submit_child, child)
            plan, truncated = _plan(evaluated)
            kept = {
                "task_id": asked.id,
                "plan": plan,
                "snapshot_id": evaluated.snapshot_id,
                "truncated": truncated,
            }
            self._conn.execute(queries.keep_plan, kept)
            self._conn.execute(queries.keep_evaluations, self._rows([evaluated]))
        return True


def _known(row: Mapping[str, Any]) -> Verdict:
    """Return what an earlier attempt came to."""
    steps: list[Any] = row["plan"].get("steps", [])
    children = tuple(str(step["task_id"]) for step in steps)
    return Verdict("ok", row["planned_by"], "none", False, True, children)


def _plan(evaluated: _Evaluated) -> tuple[str, bool]:
    """Return the plan as JSON text, and whether params were left out to keep it small."""
    decision = evaluated.decision or Decision()
    tasks = {step: task_id for step, task_id, _, _ in evaluated.children}
    subtasks = {subtask.id: subtask for subtask in decision.subtasks}
    steps = [
        {
            "id": step,
            "name": subtasks[step].name,
            "task_id": tasks[step],
            "rules": list(subtasks[step].rules),
            "params": dict(subtasks[step].params),
        }
        for step, _, _, _ in evaluated.children
    ]
    plan: dict[str, Any] = {
        "plan_id": hashlib.sha256("".join(tasks.values()).encode()).hexdigest()[:16],
        "source": "pkg",
        "steps": steps,
        "edges": decision.essence()["edges"],
        "rules": [rule.document() for rule in decision.rules],
        "provenance": {"snapshot_id": evaluated.snapshot_id, "engine": evaluated.engine},
    }
    text = canonical(plan)
    if len(text.encode()) <= _PLAN_MAX:
        return text, False
    for step in steps:
        del step["params"]
    plan["rules"] = [{"rule_name": rule.name} for rule in decision.rules]
    return canonical(plan), True
