from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.cli.conftest import Invoke, Worker

ECHO = '{"tool_calls": [{"name": "echo", "args": {"value": 1}}]}'

Conn = psycopg.Connection[dict[str, Any]]


def count(conn: Conn) -> int:
    row = conn.execute("SELECT count(*) AS n FROM tasks").fetchone()
    assert row is not None
    return int(row["n"])


def test_one_task_is_stored_as_it_was_described(cli: Invoke, conn: Conn) -> None:
    words = ("--params", ECHO, "--description", "say one", "--domain", "lab", "--priority", "8")
    more = ("--drift-score", "0.5", "--max-attempts", "2", "--idempotency-key", "k", "--in", "10m")
    result = cli("task", "submit", "action", *words, *more)
    assert result.code == 0
    header, line = result.out.splitlines()
    assert header.split("\t") == ["id", "status", "run_after", "created"]
    task_id = line.split("\t")[0]
    assert result.err == f"next: seedcore task wait {task_id}\n"
    row = conn.execute("SELECT * FROM tasks").fetchone()
    assert row is not None
    assert (str(row["id"]), row["type"], row["status"]) == (task_id, "action", "queued")
    assert row["params"] == json.loads(ECHO)
    assert (row["description"], row["domain"], row["priority"]) == ("say one", "lab", 8)
    assert (row["drift_score"], row["max_attempts"], row["idempotency_key"]) == (0.5, 2, "k")
    delay = row["run_after"] - datetime.now(UTC)
    assert timedelta(minutes=9) < delay <= timedelta(minutes=10)


def test_tool_and_args_write_a_tool_call(cli: Invoke, conn: Conn) -> None:
    assert cli("task", "submit", "action", "--tool", "echo", "--args", '{"value": 1}').code == 0
    row = conn.execute("SELECT params FROM tasks").fetchone()
    assert row == {"params": json.loads(ECHO)}
    assert cli("task", "submit", "action", "--params", ECHO, "--tool", "echo").code == 2
    assert cli("task", "submit", "action", "--args", "{}").code == 2


def test_name_output_feeds_the_next_command(cli: Invoke) -> None:
    first = cli("task", "submit", "query", "-o", "name").out.strip()
    second = cli("task", "submit", "query", "--depends-on", first[:13], "-o", "json").json
    assert second["status"] == "created"
    graph = cli("task", "inspect", second["id"], "--graph", "-o", "json").json
    assert [edge["id"] for edge in graph["depends_on"]] == [first]


@pytest.mark.parametrize("source", ["@params.json", "-"])
def test_params_come_from_a_file_or_standard_input(cli: Invoke, conn: Conn, source: str) -> None:
    Path("params.json").write_text(ECHO)
    assert cli("task", "submit", "action", "--params", source, input=ECHO.encode()).code == 0
    assert conn.execute("SELECT params FROM tasks").fetchone() == {"params": json.loads(ECHO)}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--params", "{"], "--params: not valid JSON at line 1"),
        (["--params", "[1]"], "--params is not a JSON object"),
        (["--params", '{"a": 1, "a": 2}'], "twice"),
        (["--params", '{"tool_calls": [{"name": 5}]}'], "TI204"),
        (["--params", '{"_router": {}}'], "TI211"),
        (["--priority", "11"], "11 is more than 10"),
        (["--at", "tomorrow"], "'tomorrow' is not a time"),
        (["--in", "5m", "--at", "2031-01-01"], "exclude each other"),
        (["--depends-on", "zzzzzz"], "is not a task id"),
        (["--timeout", "never"], "not a duration"),
    ],
)
def test_bad_values_are_one_line_and_store_nothing(
    cli: Invoke, conn: Conn, words: list[str], message: str
) -> None:
    result = cli("task", "submit", "action", *words)
    assert (result.code, result.out) == (2, "")
    assert message in result.err.splitlines()[0]
    assert count(conn) == 0


def test_an_unknown_tool_is_a_warning_with_the_nearest_name(cli: Invoke, conn: Conn) -> None:
    result = cli("task", "submit", "action", "--tool", "ecko")
    assert result.code == 0
    assert "TI205" in result.err
    assert "echo" in result.err.splitlines()[0]
    assert count(conn) == 1


def test_a_document_over_the_limit_is_refused(
    cli: Invoke, conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDCORE_PARAMS_MAX_BYTES", "100")
    result = cli(
        "task", "submit", "action", "--params", json.dumps({"text": "x" * 200}), "-o", "json"
    )
    assert (result.code, result.error["code"]) == (2, "TI214")
    assert count(conn) == 0


def test_strict_lint_refuses_warnings(
    cli: Invoke, conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASK_LINT_MODE", "strict")
    result = cli("task", "submit", "action", "--tool", "ecko", "-o", "json")
    assert (result.code, result.error["code"]) == (2, "TI205")
    assert count(conn) == 0


def test_a_key_says_once(cli: Invoke, conn: Conn) -> None:
    submit = ("task", "submit", "action", "--idempotency-key", "k", "-o", "json")
    first = cli(*submit).json
    again = cli(*submit)
    assert (again.code, again.json["id"], again.json["created"]) == (0, first["id"], False)
    refused = cli(*submit, "--on-conflict", "fail")
    assert (refused.code, refused.out) == (5, "")
    assert refused.error["code"] == "task.duplicate_key"
    assert refused.error["details"]["id"] == first["id"]
    assert count(conn) == 1


def test_a_key_is_free_again_after_a_failure_unless_for_ever(
    cli: Invoke, conn: Conn, worker: Worker
) -> None:
    submit = ("task", "submit", "action", "--idempotency-key", "k", "-o", "json")
    first = cli(*submit).json["id"]
    worker.fail()
    assert cli(*submit, "--unique", "ever").json["id"] == first
    assert cli(*submit).json["id"] != first


def test_a_dry_run_stores_nothing(cli: Invoke, conn: Conn) -> None:
    result = cli("task", "submit", "action", "--hold", "-n", "-o", "json")
    assert (result.code, result.json["dry_run"], result.json["id"]) == (0, True, None)
    assert result.json["status"] == "created"
    lines = b'{"type": "a"}\n{"type": "b"}\n'
    result = cli("task", "submit", "-f", "-", "-n", "-o", "jsonl", input=lines)
    assert [row["dry_run"] for row in result.rows] == [True, True]
    assert count(conn) == 0


def test_a_dependency_that_failed_cancels_and_says_so(cli: Invoke, worker: Worker) -> None:
    cli("task", "submit", "action")
    (failed,) = worker.fail()
    result = cli("task", "submit", "action", "--depends-on", failed)
    assert result.code == 0
    assert "\tcancelled\t" in result.out
    assert "cancelled at once" in result.err


def test_wait_ends_with_the_task(cli: Invoke, worker: Worker) -> None:
    result = cli("task", "submit", "action", "--wait", "--timeout", "200ms", "-o", "json")
    assert (result.code, result.out) == (6, "")
    assert result.error["code"] == "task.wait_timeout"


def test_a_type_or_a_file_is_needed(cli: Invoke) -> None:
    assert cli("task", "submit").code == 2
    assert cli("task", "submit", "action", "-f", "x").code == 2
    result = cli("task", "submit", "-f", "missing.ndjson")
    assert (result.code, "can't read missing.ndjson" in result.err) == (2, True)
    result = cli("task", "submit", "-f", "-", tty=True)
    assert (result.code, "terminal" in result.err) == (2, True)
    result = cli("task", "submit", "-f", "x", "--priority", "5")
    assert (result.code, "--priority is for a single task" in result.err) == (2, True)


def test_every_line_is_answered_by_one(cli: Invoke, conn: Conn) -> None:
    lines = b'{"type": "a", "idempotency_key": "k"}\n\n{"type": "b", "depends_on": ["key:k"]}\n'
    result = cli("task", "submit", "-f", "-", "-o", "jsonl", input=lines)
    assert result.code == 0
    assert [(r["line"], r["status"], r["created"]) for r in result.rows] == [
        (1, "queued", True),
        (3, "created", True),
    ]
    again = cli("task", "submit", "-f", "-", input=lines[:38])
    assert again.out.splitlines()[1].split("\t")[3] == "false"
    assert again.err.startswith("1 line: 0 created, 1 known already\n")
    assert count(conn) == 2


def test_an_array_is_read_as_well(cli: Invoke, conn: Conn) -> None:
    Path("tasks.json").write_text('[\n  {"type": "a"},\n  {"type": "b"}\n]\n')
    assert cli("task", "submit", "-f", "tasks.json").code == 0
    assert count(conn) == 2


BAD = b'{"type": "a"}\n{"type": "b"\n{"type": "c"}\n{"type": "d", "prioritty": 1}\n'


def test_a_bad_line_stops_the_file_and_says_how_to_go_on(cli: Invoke, conn: Conn) -> None:
    result = cli("task", "submit", "-f", "-", input=BAD)
    assert result.code == 7
    assert [line.split("\t")[0] for line in result.out.splitlines()] == ["line", "1", "2"]
    error, hint = result.err.splitlines()
    assert error.startswith("error: stopped at line 2: column ")
    assert "(1 created, 0 known already before it)" in error
    assert "--from-line 2" in hint
    assert count(conn) == 1
    rest = cli("task", "submit", "-f", "-", "--from-line", "3", "-o", "json", input=BAD)
    assert rest.code == 7
    assert [(row["line"], row["code"]) for row in rest.json if row["error"]] == [
        (4, "task.unknown_field")
    ]
    assert rest.error["details"]["next_line"] == 4
    assert count(conn) == 2


def test_a_bad_line_is_left_out_when_told_to_continue(cli: Invoke, conn: Conn) -> None:
    result = cli("task", "submit", "-f", "-", "--on-error", "continue", "-o", "jsonl", input=BAD)
    assert result.code == 7
    assert [row["line"] for row in result.rows if row["error"]] == [2, 4]
    assert result.error["details"] == {
        "lines": 4,
        "created": 2,
        "existing": 0,
        "failed": 2,
        "next_line": None,
        "codes": {"json.invalid": 1, "task.unknown_field": 1},
    }
    assert "priority" in result.rows[3]["error"]
    assert count(conn) == 2
    only = cli(
        "task", "submit", "-f", "-", "--on-error", "continue", "--only-errors", "-n", input=BAD
    )
    assert [line.split("\t")[0] for line in only.out.splitlines()] == ["line", "2", "4"]


def test_atomic_stores_all_lines_or_none(cli: Invoke, conn: Conn) -> None:
    result = cli("task", "submit", "-f", "-", "--atomic", "--batch-size", "1", input=BAD)
    assert result.code == 7
    assert result.err.startswith("error: nothing was stored, because of line 2")
    assert count(conn) == 0


def test_batches_that_are_in_stand(cli: Invoke, conn: Conn) -> None:
    lines = b"".join(b'{"type": "t%d"}\n' % n for n in range(7)) + b"nonsense\n"
    result = cli("task", "submit", "-f", "-", "--batch-size", "2", input=lines)
    assert result.code == 7
    assert count(conn) == 7


@pytest.mark.parametrize("form", ["tsv", "json"])
def test_a_database_that_is_down_or_empty_is_said_in_one_line(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, blank_database_url: str, form: str
) -> None:
    monkeypatch.setenv("SEEDCORE_DATABASE_URL", blank_database_url)
    empty = invoke("task", "submit", "action", "-o", form)
    assert (empty.code, empty.out) == (69, "")
    assert "seedcore migrate up" in empty.err
    monkeypatch.setenv("SEEDCORE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/x")
    down = invoke("task", "submit", "action", "-o", form)
    assert (down.code, down.out) == (69, "")
    assert len(down.err.splitlines()) <= 2
    if form == "json":
        assert down.error["exit_code"] == 69


def test_messages_quote_a_hostile_file_harmlessly(cli: Invoke) -> None:
    lines = [
        {"type": "a", "priority": "\x1b[2J\x07\u202e"},
        {"type": "a", "\x1b[31m" + "k" * 100_000: 1},
        {"type": "a", "params": [{"deep": ["x" * 100_000]}]},
    ]
    for line in lines:
        result = cli(
            "task", "submit", "-f", "-", input=json.dumps(line, ensure_ascii=False).encode()
        )
        assert result.code == 7
        assert not set("\x1b\x07\u202e") & set(result.err + result.out)
        assert len(result.err) < 1000


def test_values_are_shown_as_json_writes_them(cli: Invoke) -> None:
    result = cli("task", "submit", "-f", "-", input=b'{"type": true}')
    assert "type is true; give text" in result.err
    result = cli("task", "submit", "-f", "-", input=b'[[{"type": "a"}]]')
    assert 'not [{"type": "a"}]' in result.err


def test_an_object_over_several_lines_is_answered_with_the_cure(cli: Invoke) -> None:
    result = cli("task", "submit", "-f", "-", input=b'{\n  "type": "a"\n}\n')
    assert result.code == 7
    assert "jq -c" in result.err
    assert "--from-line 1" in result.err


def test_compressed_input_stores_nothing(cli: Invoke, conn: Conn) -> None:
    result = cli("task", "submit", "-f", "-", "-o", "json", input=b"\x1f\x8b\x08\x00")
    assert (result.code, result.out) == (2, "")
    assert json.loads(result.err)["error"]["code"] == "bulk.compressed"
    assert count(conn) == 0


def types(conn: Conn) -> list[str]:
    return [row["type"] for row in conn.execute("SELECT type FROM tasks ORDER BY type")]


def test_a_file_and_the_task_that_waits_for_it(cli: Invoke, conn: Conn, worker: Worker) -> None:
    two = b'{"type": "a"}\n{"type": "a"}\n'
    result = cli(
        "task", "submit", "-f", "-", "--then", "sum", "--then-key", "k", "-o", "jsonl", input=two
    )
    assert result.code == 0
    *lines, last = result.rows
    assert (last["line"], last["status"], last["then"]) == (None, "created", "sum")
    shown = cli("task", "inspect", last["id"], "-o", "json").json
    assert shown["members"] == {"total": 2, "queued": 2}
    worker.complete()
    worker.fail()
    assert cli("task", "inspect", last["id"], "-o", "json").json["status"] == "cancelled"
    patient = cli(
        "task",
        "submit",
        "-f",
        "-",
        "--then",
        "sum",
        "--then-when",
        "ended",
        "-o",
        "jsonl",
        input=two,
    ).rows[-1]
    worker.complete()
    worker.fail()
    assert cli("task", "inspect", patient["id"], "-o", "json").json["status"] == "queued"
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--then", "sum", "--from-line", "2"), "--then and --from-line exclude each other"),
        (("--then-params", "{}"), "belong to --then TYPE"),
        (("--then", "sum", "--then-params", "[]"), "--then-params is not a JSON object"),
        (("--then", ""), "type"),
    ],
)
def test_a_bad_then_stores_nothing(
    cli: Invoke, conn: Conn, words: tuple[str, ...], message: str
) -> None:
    result = cli("task", "submit", "-f", "-", *words, input=b'{"type": "a"}\n')
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert types(conn) == []


def test_then_waits_for_nothing_when_not_all_lines_are_in(cli: Invoke, conn: Conn) -> None:
    bad = b'{"type": "a"}\n{"typ": "a"}\n'
    stopped = cli("task", "submit", "-f", "-", "--then", "sum", input=bad)
    assert stopped.code == 7
    assert "the task of --then was not submitted" in stopped.err
    assert types(conn) == ["a"]
    went_on = cli("task", "submit", "-f", "-", "--then", "sum", "--on-error", "continue", input=bad)
    assert went_on.code == 7
    assert types(conn) == ["a", "a", "sum"]
    rehearsed = cli(
        "task", "submit", "-f", "-", "--then", "sum", "-n", "-o", "jsonl", input=b'{"type": "a"}\n'
    )
    assert (rehearsed.code, rehearsed.rows[-1]["then"]) == (0, "sum")
    assert len(types(conn)) == 3
