"""Every function of the live schema has its tests, and what is listed is there."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
import pytest

from tests.integration.proof import counting, proven
from tests.integration.schema.coverage import COVERED, Nothing

Conn = psycopg.Connection[dict[str, Any]]

ROOT = Path(__file__).parents[1]
OURS = """
SELECT p.proname AS name, bool_or(p.prosrc ~* %s) AS locks
FROM pg_proc AS p
WHERE p.pronamespace = 'public'::regnamespace
  AND NOT EXISTS (SELECT FROM pg_depend AS d
                  WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
GROUP BY 1
"""
LOCKS = r"\mfor (no key )?update\M|\mfor (key )?share\M|advisory|\mlock table\M|on conflict"


def modules() -> dict[str, ModuleType]:
    wanted = {test.partition("::")[0] for cover in COVERED.values() for test in cover.tests()}
    paths = [path for path in ROOT.rglob("test_*.py") if path.stem in wanted]
    assert sorted(path.stem for path in paths) == sorted(wanted)  # named without their folders
    return {
        path.stem: importlib.import_module(
            "tests.integration." + ".".join(path.relative_to(ROOT).with_suffix("").parts)
        )
        for path in paths
    }


def cases(test: Any) -> set[str]:
    """The names that pytest gives to the cases of a test, for plain parameters."""
    axes: list[list[str]] = []
    for mark in getattr(test, "pytestmark", []):
        if mark.name != "parametrize":
            continue
        names, values = mark.args
        names = [n.strip() for n in names.split(",")] if isinstance(names, str) else names
        axis: list[str] = []
        for nth, value in enumerate(values):
            row = [value] if len(names) == 1 else value
            parts = [
                str(part) if part is None or isinstance(part, str | int | float) else f"{name}{nth}"
                for name, part in zip(names, row, strict=True)
            ]
            axis.append("-".join(parts))
        axes.append(axis)
    return {"-".join(parts) for parts in itertools.product(*axes)}


def test_every_function_is_covered(conn: Conn) -> None:
    live = {row["name"] for row in conn.execute(OURS, [LOCKS])}
    missing = live - set(COVERED)
    assert not missing, f"list their tests in tests/integration/schema/coverage/: {missing}"
    assert set(COVERED) - live == set()


def test_what_locks_is_tested_by_two_sessions(conn: Conn) -> None:
    locking = {row["name"] for row in conn.execute(OURS, [LOCKS]) if row["locks"]}
    assert {
        name
        for name, cover in COVERED.items()
        if name in locking and isinstance(cover.two, Nothing)
    } == set()


def test_every_name_is_that_of_a_test() -> None:
    found = modules()
    for function, cover in COVERED.items():
        for name in cover.tests():
            file, _, rest = name.partition("::")
            test, _, case = rest.partition("[")
            assert test.startswith("test_"), function
            assert file in found, (function, name)
            assert callable(getattr(found[file], test, None)), (function, name)
            if case:
                assert case.removesuffix("]") in cases(getattr(found[file], test)), (function, name)


def test_two_sessions_are_two_sessions() -> None:
    """By the fixtures that the test asks for: a second connection, a rival on it, or its own."""
    found = modules()
    for function, cover in COVERED.items():
        if isinstance(cover.two, Nothing):
            continue
        file, _, rest = cover.two.partition("::")
        test = getattr(found[file], rest.partition("[")[0])
        assert {"other", "rival"} & set(test.__annotations__), (function, cover.two)


@pytest.mark.parametrize("aspect", ["edge", "refusal", "two"])
def test_an_aspect_without_a_test_has_a_reason(aspect: str) -> None:
    for function, cover in COVERED.items():
        found = getattr(cover, aspect)
        assert isinstance(found, str) or found.reason, function


@pytest.fixture
def prove(
    database_url: str, server_url: str, _admin: psycopg.Connection[Any]
) -> Callable[[str], None]:
    """Run a statement as a test that is listed for tasks_requeue."""
    _, _, test = COVERED["tasks_requeue"].rule.partition("::")

    def run(statement: str) -> None:
        with (
            counting(database_url, server_url, _admin) as watch,
            proven(f"x/test_operate.py::{test}[a]", watch),
            psycopg.connect(database_url, autocommit=True) as conn,
            suppress(psycopg.Error),
        ):
            conn.execute(statement.encode())

    return run


@pytest.mark.parametrize("statement", ["tasks_requeue('{}')", "tasks_requeue('{}', 0)"])
def test_a_call_is_a_proof_also_when_it_is_refused(
    prove: Callable[[str], None], statement: str
) -> None:
    prove(f"SELECT {statement}")


@pytest.mark.parametrize(
    "statement", ["'tasks_requeue(x)' -- tasks_requeue()", "tasks_release('{}')"]
)
def test_a_word_is_no_proof(prove: Callable[[str], None], statement: str) -> None:
    with pytest.raises(AssertionError, match="tasks_requeue"):
        prove(f"SELECT {statement}")
