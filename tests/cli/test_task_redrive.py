from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.cli.conftest import Invoke

Conn = psycopg.Connection[dict[str, Any]]
REDRIVE = ("task", "redrive")


@pytest.fixture
def failed(conn: Conn) -> None:
    conn.execute(
        "INSERT INTO tasks (type, status, attempts, error, finished_at)"
        " SELECT 't', 'failed', 3, CASE WHEN n < 4 THEN 'timeout: after ' || n || ' s' ELSE 'internal' END,"
        " now() FROM generate_series(1, 5) AS n"
    )


def statuses(conn: Conn) -> list[str]:
    rows = conn.execute("SELECT status::text AS s FROM tasks ORDER BY s").fetchall()
    return [row["s"] for row in rows]


@pytest.mark.usefixtures("failed")
def test_a_preview_changes_nothing(cli: Invoke, conn: Conn) -> None:
    shown = cli(*REDRIVE, "--dry-run", "-o", "json")
    assert shown.code == 0
    assert [(g["error"], g["count"], g["redriven"], g["dry_run"]) for g in shown.json] == [
        ("timeout: after <n> s", 3, None, True),
        ("internal", 2, None, True),
    ]
    table = cli(*REDRIVE, "-n", tty=True)
    assert "timeout: after <n> s" in table.out
    assert table.err == "would redrive 5 tasks with 2 kinds of error; nothing was changed\n"
    assert statuses(conn) == ["failed"] * 5


@pytest.mark.usefixtures("failed")
def test_it_asks_and_then_queues_and_audits(cli: Invoke, conn: Conn) -> None:
    refused = cli(*REDRIVE)
    assert (refused.code, refused.out) == (10, "")
    assert "redrive 5 tasks with 2 kinds of error" in refused.err
    asked = cli(*REDRIVE, tty=True, input=b"n\n")
    assert asked.code == 10
    assert "       3  timeout: after <n> s" in asked.err
    assert statuses(conn) == ["failed"] * 5
    done = cli(
        *REDRIVE, "--error", "timeout", "--rate", "10/s", "--yes", "--reason", "back", "-o", "json"
    )
    assert (done.code, [g["redriven"] for g in done.json]) == (0, [3])
    assert statuses(conn) == ["failed"] * 2 + ["queued"] * 3
    events = conn.execute(
        "SELECT DISTINCT reason FROM task_events WHERE from_status IS NOT NULL"
    ).fetchall()
    assert events == [{"reason": "back"}]
    spread = cli(*REDRIVE, "--limit", 1, "--over", "1h", "-y")
    assert spread.err.startswith("redriven 1 task, due within 3600 s\n")


@pytest.mark.parametrize("format", ["table", "json", "jsonl", "name"])
def test_a_redrive_of_nothing_is_one_line(cli: Invoke, format: str) -> None:
    for more in ((), ("--dry-run",), ("--yes",)):
        result = cli(*REDRIVE, *more, "-o", format)
        assert (result.code, result.out) == (4, "")
        assert "nothing to redrive: no failed task matches" in result.err


@pytest.mark.usefixtures("failed")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--rate", "0"), "not a rate above zero"),
        (("--rate", "-5/s"), "not a rate above zero"),
        (("--rate", "5/d"), "not a rate above zero"),
        (("--rate", "nan"), "not a rate above zero"),
        (("--rate", "1", "--over", "1m"), "exclude each other"),
        (("--status", "running"), "only failed and cancelled tasks"),
        (("--status", "ended"), "no state"),
        (("--attempts", "0"), "attempts"),
    ],
)
def test_bad_input_changes_nothing(
    cli: Invoke, conn: Conn, words: tuple[str, ...], message: str
) -> None:
    result = cli(*REDRIVE, *words, "--yes")
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert statuses(conn) == ["failed"] * 5


@pytest.mark.usefixtures("failed")
def test_what_stays_is_said(cli: Invoke, conn: Conn) -> None:
    conn.execute("UPDATE tasks SET idempotency_key = 'k' WHERE error = 'internal'")
    conn.execute("INSERT INTO tasks (type, status, idempotency_key) VALUES ('t', 'queued', 'k')")
    some = cli(*REDRIVE, "--yes", "-o", "json")
    assert (some.code, some.error["details"]) == (7, {"redriven": 3, "left": 2})
    none = cli(*REDRIVE, "--yes", "-o", "json")
    assert (none.code, none.error["code"]) == (5, "task.wrong_state")
