"""Running a policy's fixtures, and recording that they were run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from seedcore.db import set_actor
from seedcore.db.errors import translated
from seedcore.db.rows import fetch_one
from seedcore.db.sql import Queries
from seedcore.errors import CheckFailed, Conflict, SeedcoreError
from seedcore.pkg.engines.document import Input
from seedcore.pkg.engines.loading import TIMEOUT_S, evaluator
from seedcore.pkg.expectation import EXPECTATIONS, differences
from seedcore.pkg.model import Engine, Fixture, Policy, Snapshot

queries = Queries("seedcore.pkg", "evaluation.sql")


@dataclass(frozen=True, slots=True)
class Case:
    """What became of one fixture.

    Attributes:
        fixture: Which.
        diff: What is not as expected, as `differences` tells it.
        ms: How long the evaluation took.
        error: Why there was no decision.
    """

    fixture: Fixture
    diff: tuple[dict[str, Any], ...]
    ms: float
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether all is as expected."""
        return not self.diff and self.error is None

    def row(self) -> dict[str, Any]:
        """Return it as it is shown and stored."""
        return {
            "name": self.fixture.name,
            "ok": self.ok,
            "diff": list(self.diff),
            "error": self.error,
            "ms": round(self.ms, 3),
            "where": None if self.fixture.where is None else str(self.fixture.where),
        }

    def message(self) -> str:
        """Say in one line what is wrong."""
        if self.error is not None:
            return self.error
        return "; ".join(
            f"{d['what']}: expected {d['expected']}, got {d['got']}" for d in self.diff
        )


@dataclass(frozen=True, slots=True)
class Report:
    """What became of all fixtures.

    Attributes:
        engine: What evaluated them.
        cases: In the order of their names.
        fired: Names of the rules that fired at least once.
        rules: Names of the rules that could; empty where the engine keeps them to itself.
    """

    engine: Engine
    cases: tuple[Case, ...]
    fired: frozenset[str]
    rules: tuple[str, ...]

    @property
    def failed(self) -> int:
        """How many cases are not as expected."""
        return sum(not case.ok for case in self.cases)

    @property
    def coverage(self) -> float | None:
        """Share of the enabled rules that fired; None where the engine does not tell."""
        if not self.rules:
            return None
        return len(self.fired.intersection(self.rules)) / len(self.rules)

    @property
    def never_fired(self) -> list[str]:
        """Rules that no fixture makes fire."""
        return [name for name in self.rules if name not in self.fired]

    @property
    def success(self) -> bool:
        """Whether there are cases, and all are as expected."""
        return bool(self.cases) and self.failed == 0

    def document(self) -> dict[str, Any]:
        """Return it as it is stored."""
        times = sorted(case.ms for case in self.cases)
        coverage = self.coverage
        return {
            "engine": self.engine.value,
            "total": len(self.cases),
            "passed": len(self.cases) - self.failed,
            "failed": self.failed,
            "cases": [case.row() for case in self.cases],
            "p50_ms": _share(times, 0.5),
            "p95_ms": _share(times, 0.95),
            "coverage": None if coverage is None else round(coverage, 4),
            "rules_never_fired": self.never_fired,
        }


def run(policy: Policy, *, timeout_s: float = TIMEOUT_S) -> Report:
    """Evaluate every fixture.

    Args:
        policy: With its fixtures.
        timeout_s: Longest evaluation, in seconds.

    Raises:
        CheckFailed: The policy has no fixture, one that expects nothing, or can't be loaded.
        Unavailable: The library of its engine is not installed.
    """
    if not policy.fixtures:
        raise CheckFailed(
            "the policy has no fixture, so there is nothing to validate",
            code="pkg.no_fixtures",
            hint="put inputs with what they must come to into fixtures/*.yaml",
        )
    for fixture in policy.fixtures:
        if not any(key in fixture.expect for key in EXPECTATIONS):
            place = "" if fixture.where is None else f"{fixture.where}: "
            raise CheckFailed(
                f'{place}the fixture "{fixture.name}" expects nothing',
                code="pkg.no_expectation",
                hint=f"say what of {', '.join(EXPECTATIONS)} it must come to",
            )
    engine = evaluator(policy, timeout_s=timeout_s)
    cases: list[Case] = []
    fired: set[str] = set()
    try:
        for fixture in policy.fixtures:
            began = time.perf_counter()
            try:
                decision = engine.evaluate(Input.parse(fixture.input))
            except SeedcoreError as error:
                ms = (time.perf_counter() - began) * 1000
                cases.append(Case(fixture, (), ms, error.message))
                continue
            fired.update(rule.name for rule in decision.rules)
            cases.append(Case(fixture, tuple(differences(fixture, decision)), decision.duration_ms))
    finally:
        engine.close()
    return Report(policy.engine, tuple(cases), frozenset(fired), _rules(policy))


def record(
    conn: psycopg.Connection[Any], snapshot: Snapshot, report: Report, *, digest: str, actor: str
) -> int:
    """Store a run; promotion and canary look at the newest one.

    Args:
        conn: A connection in autocommit.
        snapshot: What was tested.
        report: What came of it.
        digest: `digest_of` from before the content was read, so that a change meanwhile voids the run.
        actor: Who ran it.

    Returns:
        The run's id.

    Raises:
        Conflict: The snapshot is gone.
    """
    parameters = {
        "id": snapshot.id,
        "success": report.success,
        "report": Jsonb(report.document()),
        "digest": digest,
        "total": len(report.cases),
        "failed": report.failed,
        "actor": actor,
    }
    with translated(), conn.transaction():
        set_actor(conn, actor)
        row = fetch_one(conn, queries.record_run, parameters)
    if row is None:
        raise Conflict(f"snapshot {snapshot.version} is gone", code="pkg.snapshot_gone")
    return int(row["id"])


def digest_of(conn: psycopg.Connection[Any], snapshot: Snapshot) -> str:
    """Return the digest of everything that a snapshot holds."""
    row = fetch_one(conn, queries.digest, {"id": snapshot.id})
    return "" if row is None else str(row["digest"] or "")


def _rules(policy: Policy) -> tuple[str, ...]:
    if policy.engine is not Engine.NATIVE:
        return ()
    return tuple(rule.name for rule in policy.rules if not rule.disabled)


def _share(ordered: Sequence[float], share: float) -> float | None:
    if not ordered:
        return None
    return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)], 3)
