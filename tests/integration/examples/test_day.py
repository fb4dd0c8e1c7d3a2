"""The shipped day of tasks: what the file says, and that a real worker makes of it what it promises."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg
import pytest

from seedcore.agent import ToolRegistry, load
from seedcore.config.settings import Settings
from seedcore.task.bulk import BulkSummary, read_lines, submit_lines
from seedcore.task.lint import RULES, lint_instance, load_json
from tests.program import Program

Connection = psycopg.Connection[dict[str, Any]]

ROOT = Path(__file__).parents[3]
DAY = resources.files("seedcore.examples.day")
PLUGIN = "seedcore.examples.day"


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    return [load_json(line) for line in DAY.joinpath("day.ndjson").read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def expected() -> dict[str, int]:
    return json.loads(DAY.joinpath("expected.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def tools() -> ToolRegistry:
    return load(Settings(plugins=PLUGIN))


def test_the_files_are_what_the_script_writes() -> None:
    ran = subprocess.run(
        [sys.executable, str(ROOT / "scripts/make-day"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_the_file_lints_clean_but_for_the_tool_that_nobody_has(
    lines: list[dict[str, Any]], tools: ToolRegistry
) -> None:
    names = {tool.name for tool in tools}
    found = [
        (finding.code, line["params"]["tool_calls"][0]["name"])
        for line in lines
        for finding in lint_instance(line, known_tools=names)
    ]
    assert found == [("TI205", "lift.music")]
    assert RULES["TI205"].severities == "W"


def test_every_tool_of_the_plugin_has_work_in_the_file(
    lines: list[dict[str, Any]], tools: ToolRegistry
) -> None:
    called: set[str] = {"staff.page"}  # tasks of its own, submitted by incident.triage
    for line in lines:
        handler = tools.for_type(line["type"])
        calls = line["params"].get("tool_calls") or ([{"name": handler.name}] if handler else [])
        called |= {call["name"] for call in calls}
    shipped = {tool.name for tool in tools if "/examples/day/" in tool.origin}
    assert called & shipped == shipped
    assert len(shipped) == 12


def test_the_file_has_the_variety_it_promises(lines: list[dict[str, Any]]) -> None:
    assert len(lines) > 400
    assert len({line["id"] for line in lines}) == len(lines)
    assert [line["id"] for line in lines] == sorted(line["id"] for line in lines)
    assert all(line["id"][14] == "7" and line["id"][19] in "89ab" for line in lines)
    assert {line.get("priority") for line in lines} >= {None, 2, 5, 8, 10}
    assert {float(line["in"].removesuffix("s")) <= 5 for line in lines if "in" in line} == {True}
    references = [one for line in lines for one in line.get("depends_on", [])]
    assert {one.startswith("key:") for one in references} == {True, False}


def test_questions_find_the_article_that_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts/day"))
    from questions import QUESTIONS  # pyright: ignore[reportMissingImports] - the script's own

    from seedcore.examples.day.questions import answer

    asked: list[tuple[str, str | None]] = QUESTIONS
    right = 0
    for question, title in asked:
        answered = answer(question)
        best = answered["sources"][0]["title"] if answered["answered"] else None
        right += best == title
    assert right / len(asked) >= 0.95


@pytest.fixture
def submit(conn: Connection, tools: ToolRegistry) -> Callable[[], BulkSummary]:
    """Submit the file in bulk and return the summary."""

    def run() -> BulkSummary:
        with Path(str(DAY.joinpath("day.ndjson"))).open("rb") as stream:
            submission = submit_lines(
                conn,
                read_lines(stream, max_bytes=1 << 22),
                actor="test",
                known_tools={tool.name for tool in tools},
            )
            for _ in submission:
                pass
        return submission.summary

    return run


@pytest.fixture
def worker(seedcore: Program) -> Callable[[], subprocess.CompletedProcess[str]]:
    """Run a worker with the plugin until nothing is left."""

    def run() -> subprocess.CompletedProcess[str]:
        return seedcore(
            *("worker", "queue", "--until-empty", "--timeout", "50s"),
            env={"SEEDCORE_PLUGINS": PLUGIN},
            timeout=55,
        )

    return run


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_worker_ends_the_day_as_expected(
    conn: Connection,
    submit: Callable[[], BulkSummary],
    worker: Callable[[], subprocess.CompletedProcess[str]],
    lines: list[dict[str, Any]],
    expected: dict[str, int],
) -> None:
    summary = submit()
    assert summary.created == len(lines) - expected["duplicate"]
    assert (summary.existing, summary.failed) == (expected["duplicate"], 0)
    ran = worker()
    assert ran.returncode == 0, ran.stderr

    rows = conn.execute("SELECT id::text, type, status::text, error, result FROM tasks").fetchall()
    pages = [row for row in rows if row["type"] == "page"]
    statuses = Counter(row["status"] for row in rows if row["type"] != "page")
    assert statuses + Counter(duplicate=expected["duplicate"]) == expected
    assert {row["status"] for row in pages} == {"completed"}
    critical = [
        value["paged"]
        for row in rows
        if row["type"] == "incident" and (value := _value(row))["severity"] == "critical"
    ]
    assert sorted(critical) == sorted(row["id"] for row in pages)
    assert len(pages) >= 5
    reasons = Counter(_error_type(row) for row in rows if row["status"] == "failed")
    assert reasons == {"tool_error": 11, "bad_arguments": 3, "unknown_tool": 1, "no_executor": 1}
    assert all(
        "1313" in row["error"] or row["error"] for row in rows if row["status"] == "cancelled"
    )
    attempts = conn.execute("SELECT max(attempts) AS most FROM tasks").fetchone()
    assert attempts == {"most": 1}

    again = submit()
    assert (again.created, again.existing, again.failed) == (0, len(lines), 0)
    assert conn.execute("SELECT count(*) AS n FROM tasks").fetchone() == {"n": len(rows)}


def _value(row: dict[str, Any]) -> dict[str, Any]:
    return row["result"]["payload"]["tool_results"][0]["value"]


def _error_type(row: dict[str, Any]) -> str:
    return row["result"]["error_type"]
