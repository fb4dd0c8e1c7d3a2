from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from tests.cli.conftest import Invoke, Worker

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def tasks(cli: Invoke) -> list[str]:
    """Five tasks of two types and domains."""
    lines = [
        {"type": "a", "domain": "lab", "description": "First thing", "priority": 9},
        {"type": "a", "domain": "lab", "params": {"risk": {"level": "high"}}, "priority": 8},
        {"type": "b", "domain": "hall", "params": {"risk": {"level": "low"}}, "priority": 7},
        {"type": "b", "in": "1h", "priority": 6},
        {"type": "b", "hold": True, "priority": 5},
    ]
    text = "\n".join(map(json.dumps, lines)).encode()
    return [row["id"] for row in cli("task", "submit", "-f", "-", "-o", "jsonl", input=text).rows]


def names(cli: Invoke, *words: str) -> list[str]:
    result = cli("task", "list", *words, "-o", "name")
    assert result.code == 0
    return result.out.split()


def test_list_shows_the_newest_first_and_says_when_it_stops(cli: Invoke, tasks: list[str]) -> None:
    assert names(cli) == tasks[::-1]
    result = cli("task", "list", "--limit", "2")
    assert len(result.out.splitlines()) == 3
    assert result.err == "the first 2; --limit 0 shows all\n"
    assert cli("task", "list", "--limit", "0").err == ""


@pytest.mark.parametrize("form", ["json", "jsonl", "yaml", "tsv", "table", "name"])
def test_an_empty_list_is_valid_in_every_format(cli: Invoke, form: str) -> None:
    result = cli("task", "list", "-o", form)
    assert (result.code, result.err) == (0, "")
    expected = {"json": "[]\n", "yaml": "[]\n", "jsonl": "", "name": ""}
    if form in expected:
        assert result.out == expected[form]
    else:
        assert len(result.out.splitlines()) == 1


def test_a_row_has_the_documented_fields(cli: Invoke, tasks: list[str]) -> None:
    row = cli("task", "list", "-o", "json").json[0]
    assert {
        "id", "status", "type", "domain", "attempts", "age_s", "owner", "run_after", "priority",
        "description", "created_at", "error",
    } <= set(row)  # fmt: skip
    assert row["created_at"].endswith("Z")
    assert row["id"] == tasks[-1]


def test_conditions_of_one_kind_add_up_and_kinds_narrow_down(cli: Invoke, tasks: list[str]) -> None:
    first, second, third, fourth, fifth = tasks
    assert names(cli, "--type", "a") == [second, first]
    assert names(cli, "--domain", "lab", "--domain", "hall") == [third, second, first]
    assert names(cli, "--type", "b", "--domain", "hall") == [third]
    assert names(cli, "--status", "created") == [fifth]
    assert names(cli, "--status", "live", "--type", "b") == [fifth, fourth, third]
    assert names(cli, "--status", "final") == []
    assert names(cli, "--due") == [third, second, first]
    assert names(cli, "--filter", "risk.level=high") == [second]
    assert names(cli, "--search", "first") == [first]
    assert names(cli, "--since", "1h", "--sort", "priority:desc") == tasks
    assert names(cli, "--until", "1h") == []


def test_owners_and_stale_leases(cli: Invoke, tasks: list[str], worker: Worker) -> None:
    (held,) = worker.claim(lease_s=600)
    (stale,) = worker.claim(lease_s=0.001)
    assert sorted(names(cli, "--owner", "worker-1")) == sorted([str(held["id"]), str(stale["id"])])
    assert names(cli, "--stale") == [str(stale["id"])]


@pytest.mark.parametrize(
    "words",
    [["--status", "done"], ["--sort", "colour"], ["--filter", "x"], ["--columns", "colour"]],
)
def test_conditions_that_mean_nothing_are_refused(cli: Invoke, words: list[str]) -> None:
    result = cli("task", "list", *words)
    assert (result.code, result.out) == (2, "")
    assert len(result.err.splitlines()) == 2


def test_inspect_shows_everything_about_one(cli: Invoke, tasks: list[str]) -> None:
    row = cli("task", "inspect", tasks[0], "-o", "json").json
    assert (row["id"], row["type"], row["held"], row["params"]) == (tasks[0], "a", False, {})
    text = cli("task", "inspect", tasks[0], "-o", "table").out
    assert text.splitlines()[0].split() == ["id", tasks[0]]
    assert "First thing" in text
    assert "finished_at" not in text
    many = cli("task", "inspect", tasks[0], tasks[1], "-o", "json").json
    assert [row["id"] for row in many] == tasks[:2]


def test_progress_is_shown_where_there_is_some(
    cli: Invoke, tasks: list[str], conn: Conn, worker: Worker
) -> None:
    (done,) = worker.complete()
    for task, values in ((done, "40, 100, 'page 40'"), (tasks[1], "3, NULL, NULL")):
        conn.execute(
            "INSERT INTO task_progress (task_id, attempt, done, total, message, checkpoint)"
            f" VALUES (%s, 1, {values}, '{{\"page\": 40}}')".encode(),
            [task],
        )
    wide = cli("task", "list", "-o", "wide").out
    assert "40 of 100 (40%), page 40" in wide
    assert "PROGRESS" not in cli("task", "list", "-o", "table").out
    rows = {row["id"]: row["progress"] for row in cli("task", "list", "-o", "json").json}
    assert rows[done] == {"done": 40, "total": 100, "message": "page 40"}
    assert rows[tasks[1]] == {"done": 3, "total": None, "message": None}
    assert rows[tasks[2]] is None
    row = cli("task", "inspect", done, "-o", "json").json
    assert (row["checkpoint"], row["progress"]["attempt"]) == ({"page": 40}, 1)
    # A task that has ended is drawn once.
    drawn = cli("task", "inspect", done, "--watch", "-o", "table", tty=True)
    assert drawn.code == 0
    assert "40 of 100 (40%), page 40" in drawn.out


def test_inspect_shows_graph_and_events(cli: Invoke, worker: Worker) -> None:
    first = cli("task", "submit", "a", "-o", "name").out.strip()
    second = cli("task", "submit", "b", "--depends-on", first, "-o", "name").out.strip()
    worker.complete()
    row = cli("task", "inspect", first, "--graph", "--events", "-o", "json").json
    assert [edge["id"] for edge in row["dependants"]] == [second]
    assert [event["to_status"] for event in row["events"]] == ["completed"]
    text = cli("task", "inspect", first, "--graph", "--events", "-o", "table").out
    assert "\ndependants:\n" in text
    assert "\nevents:\n" in text
    assert "events" not in cli("task", "inspect", first, "-o", "json").json


def test_ids_may_be_shortened_while_they_are_unique(cli: Invoke, tasks: list[str]) -> None:
    result = cli("task", "inspect", tasks[0][:8], "-o", "json")
    assert (result.code, result.error["code"]) == (2, "task.ambiguous_id")
    assert set(result.error["details"]["candidates"]) == set(tasks)
    alone = cli("task", "submit", "alone", "-o", "json").json["id"]
    assert cli("task", "inspect", alone[:-3], "-o", "json").json["id"] == alone
    for ref, code in (("abcdef", 4), ("abc", 2), ("not-an-id", 2)):
        result = cli("task", "inspect", ref)
        assert (result.code, result.out) == (code, "")


def test_wait_tells_how_it_ended(cli: Invoke, tasks: list[str], worker: Worker) -> None:
    (good,) = worker.complete()
    (bad,) = worker.fail()
    result = cli("task", "wait", good, "-o", "json")
    assert (result.code, result.json["status"]) == (0, "completed")
    result = cli("task", "wait", bad)
    assert result.code == 3
    assert "bad_payload" in result.out
    assert "seedcore task inspect" in result.err
    assert cli("task", "wait", good, bad).code == 3
    assert cli("task", "wait", good, bad, "--any").code == 0
    assert cli("task", "wait", bad, "--for", "failed").code == 0
    assert cli("task", "wait", good, "--for", "failed").code == 3
    assert cli("task", "wait", good, "--for", "done").code == 2


def test_wait_gives_up_or_only_looks(cli: Invoke, tasks: list[str]) -> None:
    result = cli("task", "wait", tasks[0], "--timeout", "150ms", "-o", "json")
    assert (result.code, result.out) == (6, "")
    result = cli("task", "wait", tasks[0], "--timeout", "0", "-o", "json")
    assert (result.code, result.error["code"]) == (8, "task.pending")
    assert cli("task", "wait", "--type", "a", "--timeout", "0").code == 8
    assert cli("task", "wait", "--type", "nobody").code == 0
    assert cli("task", "wait").code == 2
    assert cli("task", "wait", tasks[0], "--type", "a").code == 2


def test_watch_prints_changes_until_all_have_ended(
    cli: Invoke, tasks: list[str], worker: Worker
) -> None:
    (done,) = worker.complete()
    result = cli("task", "watch", done, "-o", "jsonl")
    assert result.code == 0
    (event,) = result.rows
    assert (event["type"], event["object"]["id"], event["at"][-1]) == ("added", done, "Z")
    result = cli("task", "watch", "--type", "b", "--timeout", "150ms")
    assert result.code == 6
    assert result.out.splitlines()[0].startswith("at\tchange\tid\tstatus")
    assert len(result.out.splitlines()) == 4


def test_events_tell_who_and_why(cli: Invoke, tasks: list[str]) -> None:
    cli("task", "cancel", tasks[0], "--reason", "sent twice", "--actor", "ada")
    (event,) = cli("task", "events", tasks[0], "-o", "json").json
    assert (event["from_status"], event["to_status"]) == ("queued", "cancelled")
    assert event["actor"] == "ada"
    assert "sent twice" in event["reason"]
    assert tasks[0] in cli("task", "events", "--since", "5m", "--limit", "0").out
    assert cli("task", "events").code == 2


def test_stats_count_and_can_fail(cli: Invoke, tasks: list[str], worker: Worker) -> None:
    worker.complete()
    worker.fail()
    by_status = {row["key"]: row for row in cli("task", "stats", "-o", "json").json}
    assert {k: v["count"] for k, v in by_status.items()} == {
        "completed": 1,
        "failed": 1,
        "queued": 2,
        "created": 1,
    }
    rows = cli("task", "stats", "--by", "type", "--percentiles", "-o", "json").json
    assert {row["key"]: row["count"] for row in rows} == {"a": 2, "b": 3}
    assert rows[0].keys() >= {"p50_s", "p95_s", "wait_p50_s", "oldest_age_s", "rate_per_s"}
    over = cli("task", "stats", "--fail-over", "count>1", "--fail-over", "failed_ratio>0.5")
    assert over.code == 3
    assert "queued: count is 2" in over.err
    assert cli("task", "stats", "--fail-over", "count>99").code == 0
    for words in (["--fail-over", "colour>1"], ["--fail-over", "count"], ["--by", "colour"]):
        assert cli("task", "stats", *words).code == 2


def test_lint_finds_errors_and_warnings_with_their_place(cli: Invoke, tasks: list[str]) -> None:
    lines = (
        b'{"type": "a"}\n{"type": "a", "params": {"tool_calls": [{"name": "ecko", "args": {}}]}}\n'
        b'{"type": "a", "params": {"tool_calls": 5}}\n{"type"\n{"tpye": "a"}\n'
    )
    result = cli("task", "lint", "-", "-o", "json", input=lines)
    assert result.code == 3
    found = [(row["line"], row["code"], row["severity"]) for row in result.json]
    assert (2, "TI205", "warning") in found
    assert (3, "TI204", "error") in found
    assert (4, "json.invalid", "error") in found
    assert (5, "task.unknown_field", "error") in found
    warned = cli("task", "lint", "-", input=lines.splitlines()[1])
    assert warned.code == 0
    assert cli("task", "lint", "-", "--strict", input=lines.splitlines()[1]).code == 3
    clean = cli("task", "lint", tasks[0])
    assert (clean.code, clean.err) == (0, "nothing to complain about\n")


def test_lint_knows_the_defaults_of_a_type(cli: Invoke) -> None:
    result = cli("task", "lint", "-", "--type-defaults", "-o", "json", input=b"{}")
    assert result.code == 3
    assert "ST101" in {row["code"] for row in result.json}
