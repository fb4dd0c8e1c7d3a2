from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from tests.cli.conftest import Invoke, Worker

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def tasks(cli: Invoke) -> list[str]:
    """Three due tasks."""
    text = b'{"type": "a"}\n{"type": "a"}\n{"type": "b"}\n'
    return [row["id"] for row in cli("task", "submit", "-f", "-", "-o", "jsonl", input=text).rows]


def snapshot(conn: Conn) -> list[str]:
    return [
        row["text"]
        for row in conn.execute("SELECT to_jsonb(t)::text AS text FROM tasks t ORDER BY id")
    ]


def statuses(cli: Invoke, *ids: str) -> list[str]:
    return [cli("task", "inspect", i, "-o", "json").json["status"] for i in ids]


def test_cancel_one_at_once_and_again_without_harm(cli: Invoke, tasks: list[str]) -> None:
    result = cli("task", "cancel", tasks[0], "--reason", "sent twice", "-o", "json")
    assert (result.code, result.json[0]["before"], result.json[0]["after"]) == (
        0,
        "queued",
        "cancelled",
    )
    again = cli("task", "cancel", tasks[0])
    assert (again.code, again.err) == (0, "unchanged\n")


def test_cancel_refuses_what_has_ended(cli: Invoke, tasks: list[str], worker: Worker) -> None:
    (done,) = worker.complete()
    alone = cli("task", "cancel", done, "-o", "json")
    assert (alone.code, alone.out) == (5, "")
    assert (alone.error["code"], alone.error["details"]["status"]) == (
        "task.wrong_state",
        "completed",
    )
    some = cli("task", "cancel", *tasks, "-o", "jsonl")
    assert some.code == 7
    assert sum(row["error"] is not None for row in some.rows) == 1
    assert some.error["details"] == {"changed": 2, "refused": 1}
    assert cli("task", "cancel", "abcdef012345").code == 4


def test_conditions_need_a_confirmation_and_choose_what_can_be_changed(
    cli: Invoke, conn: Conn, tasks: list[str], worker: Worker
) -> None:
    worker.complete()
    before = snapshot(conn)
    refused = cli("task", "cancel", "--since", "1h")
    assert (refused.code, refused.out) == (10, "")
    assert "cancel 2 tasks" in refused.err
    assert "--yes" in refused.err
    tried = cli("task", "cancel", "--since", "1h", "-n", "-o", "json")
    assert tried.code == 0
    assert [(row["after"], row["dry_run"]) for row in tried.json] == [("cancelled", True)] * 2
    assert snapshot(conn) == before
    asked = cli("task", "cancel", "--since", "1h", tty=True, input=b"n\n")
    assert (asked.code, snapshot(conn)) == (10, before)
    done = cli("task", "cancel", "--since", "1h", "--yes")
    assert (done.code, done.err.splitlines()[0]) == (0, "cancelled 2 tasks")
    nothing = cli("task", "cancel", "--since", "1h", "--yes")
    assert (nothing.code, nothing.err) == (0, "unchanged: there is no such task\n")


@pytest.mark.parametrize("verb", ["cancel", "retry", "release"])
def test_ids_or_conditions_but_not_both(cli: Invoke, tasks: list[str], verb: str) -> None:
    assert cli("task", verb).code == 2
    assert cli("task", verb, tasks[0], "--type", "a").code == 2


def test_retry_queues_what_failed(
    cli: Invoke, conn: Conn, tasks: list[str], worker: Worker
) -> None:
    (failed,) = worker.fail()
    result = cli("task", "retry", failed, "--attempts", "5", "--in", "1h", "-o", "json")
    assert (result.json[0]["before"], result.json[0]["after"]) == ("failed", "queued")
    row = cli("task", "inspect", failed, "-o", "json").json
    assert row["max_attempts"] == row["attempts"] + 5
    assert row["run_after"] is not None
    assert cli("task", "retry", failed).code == 0
    (running,) = worker.claim()
    assert cli("task", "retry", running["id"]).code == 5


def test_retry_by_condition(cli: Invoke, tasks: list[str], worker: Worker) -> None:
    worker.fail(2)
    ids = cli("task", "list", "--status", "failed", "-o", "name").out.split()
    assert len(ids) == 2
    assert cli("task", "retry", *ids, "--reason", "fixed").code == 0
    assert statuses(cli, *ids) == ["queued", "queued"]


def test_release_lifts_a_hold(cli: Invoke, worker: Worker) -> None:
    held = cli("task", "submit", "a", "--hold", "-o", "name").out.strip()
    assert worker.claim() == []
    result = cli("task", "release", held, "-o", "json").json
    assert (result[0]["before"], result[0]["after"]) == ("created", "queued")
    assert cli("task", "release", held).code == 0
    worker.complete()
    assert cli("task", "release", held).code == 5


def test_requeue_stale_takes_leases_back(
    cli: Invoke, conn: Conn, tasks: list[str], worker: Worker
) -> None:
    (stale,) = worker.claim(lease_s=0.001)
    (alive,) = worker.claim(lease_s=600)
    before = snapshot(conn)
    tried = cli("task", "requeue-stale", "-n", "-o", "json").json
    assert [(row["id"], row["owner"]) for row in tried] == [(str(stale["id"]), "worker-1")]
    assert snapshot(conn) == before
    assert cli("task", "requeue-stale").code == 10
    result = cli("task", "requeue-stale", "--yes")
    assert (result.code, result.err.splitlines()[0]) == (0, "requeued 1 task")
    assert statuses(cli, str(stale["id"]), str(alive["id"])) == ["retry", "running"]
    named = cli("task", "requeue-stale", alive["id"], "--reason", "host is gone", "-o", "json")
    assert (named.code, named.json[0]["owner"]) == (0, "worker-1")
    assert cli("task", "requeue-stale", alive["id"]).code == 0
    assert cli("task", "requeue-stale", "-o", "json").json == []
    (done,) = worker.complete()
    assert cli("task", "requeue-stale", done).code == 5


def test_prune_deletes_only_what_ended_long_ago(
    cli: Invoke, conn: Conn, tasks: list[str], worker: Worker
) -> None:
    (done,) = worker.complete()
    worker.fail()
    conn.execute(
        "UPDATE tasks SET created_at = now() - interval '9 days', "
        "finished_at = now() - interval '8 days', updated_at = now() - interval '8 days'"
    )
    assert cli("task", "prune", "--older-than", "30d", "--yes", "-o", "json").json["deleted"] == 0
    before = snapshot(conn)
    tried = cli("task", "prune", "--older-than", "7d", "-n", "-o", "json").json
    assert (tried["deleted"], tried["dry_run"]) == (2, True)
    refused = cli("task", "prune", "--older-than", "7d")
    assert (refused.code, "delete 2 tasks" in refused.err) == (10, True)
    assert snapshot(conn) == before
    only = cli(
        "task", "prune", "--older-than", "7d", "--status", "completed", "--yes", "-o", "json"
    )
    assert only.json["deleted"] == 1
    assert cli("task", "inspect", done).code == 4
    assert cli("task", "prune", "--older-than", "7d", "--status", "queued", "--yes").code == 2
    assert cli("task", "prune", "--yes").code == 2


def test_export_writes_what_submit_reads(cli: Invoke, conn: Conn) -> None:
    lines = (
        b'{"type": "a", "params": {"x": [1.5, null, "\xc3\xa9"]}, "idempotency_key": "k"}\n'
        b'{"type": "b", "depends_on": ["key:k"], "priority": 9, "description": "after a"}\n'
    )
    cli("task", "submit", "-f", "-", input=lines)
    exported = cli("task", "export")
    assert exported.code == 0
    first, second = map(json.loads, exported.out.splitlines())
    assert first["params"] == {"x": [1.5, None, "\u00e9"]}
    assert second["depends_on"] == [first["id"]]
    again = cli("task", "submit", "-f", "-", "-o", "jsonl", input=exported.out.encode())
    assert [row["created"] for row in again.rows] == [False, False]
    conn.execute("DELETE FROM tasks")
    back = cli("task", "submit", "-f", "-", "-o", "jsonl", input=exported.out.encode())
    assert [row["id"] for row in back.rows] == [first["id"], second["id"]]
    fresh = cli("task", "export", "--no-ids", "--type", "a").out
    assert "id" not in json.loads(fresh)
