"""`seedcore task verify`: its answer is its exit code, in every format."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest

from seedcore.task.verify import RULES
from tests.cli.conftest import Invoke, Worker

PAGE = Path(__file__).parents[2] / "docs" / "production" / "verify.md"


@pytest.fixture
def twice(cli: Invoke, worker: Worker, conn: psycopg.Connection[Any]) -> str:
    """A task that was completed, and completed again by another."""
    task = cli("task", "submit", "action", "-o", "name").out.strip()
    worker.complete()
    conn.execute(
        "INSERT INTO task_events (task_id, from_status, to_status, attempts, actor)"
        " VALUES (%s, 'running', 'completed', 1, 'zombie')",
        [task],
    )
    return task


def test_a_sound_database_passes(cli: Invoke, worker: Worker) -> None:
    cli("task", "submit", "action")
    worker.complete()
    result = cli("task", "verify", "-o", "json")
    assert (result.code, result.json, result.err) == (0, [], "")
    result = cli("task", "verify")
    assert result.err.startswith("no violations; event level terminal, so a part of the rules")


def test_a_fault_is_named_and_the_exit_code_says_so(cli: Invoke, twice: str) -> None:
    for form in ("json", "jsonl", "tsv", "table", "yaml", "name"):
        result = cli("task", "verify", "-o", form)
        assert result.code == 3
        assert twice in result.out
    (row,) = cli("task", "verify", "-o", "jsonl").rows
    assert (row["task_id"], row["rule"]) == (twice, "two_ends")
    assert row["evidence"].endswith("by zombie: the task was completed for good since attempt 1")
    assert cli("task", "verify", "--since", "2100-01-01").code == 0


def test_the_rules_tell_what_can_be_checked(cli: Invoke) -> None:
    rows = cli("task", "verify", "--rules", "-o", "json").json
    assert [row["rule"] for row in rows] == [rule.name for rule in RULES]
    assert {row["rule"]: row["checked"] for row in rows}["owner"] == "no"
    cli("config", "set", "--database", "task_event_level", "all")
    rows = cli("task", "verify", "--rules", "-o", "json").json
    assert {row["checked"] for row in rows} == {"yes"}


def test_the_page_lists_the_rules_as_they_are() -> None:
    found = re.findall(r"^\| `(\w+)` \| (.+?) \| yes \| (.+?) \| (.+?) \|$", PAGE.read_text(), re.M)
    assert found == [(r.name, r.means, r.terminal, r.none) for r in RULES]
