"""What one run takes on, in which order, and when it ends."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.program import Program
from tests.workers.conftest import QUICK, StartWorker, check_history, memory_bytes, until

Read = Callable[[str], dict[str, Any]]
Submit = Callable[..., str]


@pytest.fixture
def work(seedcore: Program) -> Callable[..., dict[str, Any]]:
    """Run a bounded worker to its end and return its summary."""

    def work(*args: str, code: int = 0, env: dict[str, str] | None = None) -> dict[str, Any]:
        ended = seedcore("worker", "queue", *args, "-o", "json", env={**QUICK, **(env or {})})
        assert ended.returncode == code, ended.stderr
        return json.loads(ended.stdout)

    return work


def test_once_leaves_the_future_alone(work: Any, submit: Submit, task: Read) -> None:
    now = submit()
    failing = submit("test.fail")
    broken = submit("test.fail", permanent=True)
    unknown = submit("no.such.tool")
    later = submit(p_run_after="2999-01-01T00:00:00Z")
    held = submit(p_hold=True)

    summary = work("--once")

    assert {k: summary[k] for k in ("claimed", "completed", "failed", "retried")} == {
        "claimed": 4,
        "completed": 1,
        "failed": 2,
        "retried": 1,
    }
    assert (summary["left"], summary["left_delayed"], summary["left_created"]) == (3, 2, 1)
    states = [task(t)["status"] for t in (now, failing, broken, unknown, later, held)]
    assert states == ["completed", "retry", "failed", "failed", "queued", "created"]
    assert task(now)["result"]["payload"]["result"] == 1
    assert task(broken)["error"] == "tool_error: test.fail: on purpose"


def test_once_waits_for_a_limit_but_not_for_people(work: Any, submit: Submit, conn: Any) -> None:
    for _ in range(3):
        submit()
    submit(p_domain="closed")
    conn.execute("SELECT queue_pause('queue', 'a', NULL, 'closed')")
    conn.execute("SELECT queue_limit('queue', 'a', p_rate_per_s => 5, p_burst => 1)")
    summary = work("--once")
    assert (summary["completed"], summary["left_due"]) == (3, 1)

    submit(), submit()
    conn.execute("SELECT queue_limit('queue', 'a', p_rate_per_s => 0.001)")
    summary = work("--once", "--timeout", "300ms", code=6)
    assert summary["left_due"] == 3


def test_until_empty_waits_for_delays_retries_and_dependants(
    work: Any, submit: Submit, task: Read, conn: Any
) -> None:
    retried = submit("test.fail", retry_after=0.3, p_max_attempts=2)
    conn.execute(
        "UPDATE tasks SET run_after = now() + interval '1.2 s' WHERE id = %s",
        (delayed := submit(),),
    )
    child = submit(p_depends_on=[delayed])
    orphan = submit(p_depends_on=[retried])

    summary = work("--until-empty", "--timeout", "20s")

    assert (summary["completed"], summary["failed"], summary["retried"]) == (2, 1, 1)
    assert summary["left"] == 0
    assert task(child)["started_at"] >= task(delayed)["finished_at"]
    assert task(orphan)["status"] == "cancelled"
    assert summary["seconds"] < 5


def test_until_empty_gives_up_after_its_time(work: Any, submit: Submit) -> None:
    submit(p_run_after="2999-01-01T00:00:00Z")
    summary = work("--until-empty", "--timeout", "0.5s", code=6)
    assert summary["left"] == 1


def test_a_run_ends_after_so_many_tasks(
    work: Any, submit_many: Callable[..., None], counts: Callable[[], dict[str, int]]
) -> None:
    submit_many(100)
    assert work("--max-tasks", "30")["claimed"] == 30
    assert counts() == {"completed": 30, "queued": 70}


def test_only_asked_types_and_domains_are_taken(work: Any, conn: Any, task: Read) -> None:
    echo = '{"tool_calls": [{"name": "echo", "args": {"value": 1}}]}'
    ids = {}
    for task_type, domain in (("chat", "a"), ("query", "a"), ("chat", "b"), ("action", None)):
        row = conn.execute(
            "SELECT id::text FROM task_submit(p_type => %s, p_domain => %s, p_params => %s)",
            (task_type, domain, echo),
        ).fetchone()
        ids[task_type, domain] = row["id"]

    assert work("--once", "--types", "chat,query", "--domains", "a")["completed"] == 2

    done = {key for key, id_ in ids.items() if task(id_)["status"] == "completed"}
    assert done == {("chat", "a"), ("query", "a")}


def test_the_urgent_come_first_and_equals_in_their_order(
    work: Any, submit: Submit, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    low = submit("test.mark", path=str(marks), p_priority=1)
    normal = [submit("test.mark", path=str(marks)) for _ in range(3)]
    high = submit("test.mark", path=str(marks), p_priority=10)

    work("--once", "--concurrency", "1")

    assert [line.split()[0] for line in marks.read_text().splitlines()] == [high, *normal, low]


def test_a_call_made_at_most_once_that_cancels_its_own_task_is_not_made_again(
    work: Any, submit: Submit, task: Read, tmp_path: Path
) -> None:
    traces = tmp_path / "traces"
    quits = submit("test.once_quits", path=str(traces))
    summary = work("--until-empty")
    assert (summary["failed"], summary["retried"]) == (1, 0)
    assert task(quits)["error"].startswith("outcome_unknown: ")
    assert traces.read_text() == f"{quits} 1\n"


def test_a_big_result_is_cut_with_a_mark(work: Any, submit: Submit, task: Read) -> None:
    big = submit("test.big", size=200_000)
    work("--once", env={"DISPATCHER_RESULT_MAX_BYTES": "10000"})
    row = task(big)
    assert row["status"] == "completed"
    assert row["result"]["success"] is True
    assert row["result"]["payload"]["_truncated"] is True
    assert row["result"]["payload"]["original_size"] > 200_000


def test_a_result_over_the_global_limit_fails(work: Any, submit: Submit, task: Read) -> None:
    big = submit("test.big", size=200_000)
    work("--once", env={"SEEDCORE_RESULT_MAX_BYTES": "100000"})
    assert task(big)["status"] == "failed"
    assert task(big)["error"].startswith("too_large: ")


@pytest.mark.parametrize(
    "params",
    ['{"tool_calls": "x"}', '{"x": %s1%s}' % ("[" * 900, "]" * 900), '{"n": %s}' % ("9" * 6000)],  # noqa: UP031
    ids=["not a list", "too deep", "too long a number"],
)
def test_an_unreadable_payload_spoils_only_its_own_task(
    work: Any, submit: Submit, task: Read, conn: Any, params: str
) -> None:
    bad = conn.execute(
        "INSERT INTO tasks (type, status, params) VALUES ('action', 'queued', %s)"
        " RETURNING id::text",
        (params,),
    ).fetchone()["id"]
    good = submit()

    work("--once")

    assert task(good)["status"] == "completed"
    row = conn.execute("SELECT status::text, error FROM tasks WHERE id = %s", (bad,)).fetchone()
    assert row["status"] == "failed"
    assert row["error"].startswith(("bad_payload: ", "no_executor: "))


def test_a_result_that_the_database_refuses_spoils_only_its_own_task(
    work: Any, submit: Submit, task: Read, conn: Any
) -> None:
    conn.execute("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'not this one' USING ERRCODE = '22023'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON tasks FOR EACH ROW
        WHEN (NEW.result::text LIKE '%unwelcome%') EXECUTE FUNCTION refuse()""")
    good = [submit() for _ in range(9)]
    bad = submit(value="unwelcome")

    summary = work("--once")

    assert (summary["completed"], summary["failed"]) == (9, 1)
    assert {task(id_)["attempts"] for id_ in good} == {1}
    assert task(bad)["error"] == "bad_result: the database refused the result: not this one"


def test_equal_tasks_of_a_batch_run_once_where_that_is_asked(
    work: Any, submit: Submit, task: Read
) -> None:
    first, second = submit(), submit()
    keyed = submit(p_idempotency_key="k")
    different = submit(value=2)

    summary = work("--once", env={"DISPATCHER_CANCEL_DUPLICATES": "1"})

    assert (summary["completed"], summary["cancelled"]) == (3, 1)
    assert task(second)["status"] == "cancelled"
    assert first in task(second)["error"]
    assert task(keyed)["status"] == task(different)["status"] == "completed"


def test_several_processes_share_the_work_and_run_nothing_twice(
    work: Any,
    submit_many: Callable[..., None],
    counts: Callable[[], dict[str, int]],
    conn: Any,
    all_events: None,
    tmp_path: Any,
) -> None:
    marks = tmp_path / "marks"
    submit_many(2000, "test.mark", path=str(marks))

    # So slowly that the last one to start finds something left.
    few = {"DISPATCHER_PREFETCH": "4", "DISPATCHER_CONCURRENCY": "4"}
    summary = work("--until-empty", "--count", "3", "--timeout", "30s", env=few)

    assert summary["completed"] == 2000
    assert counts() == {"completed": 2000}
    lines = marks.read_text().splitlines()
    assert len(lines) == len(set(lines)) == 2000
    owners = conn.execute(
        "SELECT count(DISTINCT actor) FROM task_events WHERE to_status = 'completed'"
    )
    assert owners.fetchone()["count"] > 1
    check_history(conn)


def test_a_notification_wakes_an_idle_worker(
    start_worker: StartWorker, submit: Submit, task: Read, conn: Any
) -> None:
    start_worker(env={"DISPATCHER_POLL_INTERVAL_S": "30"})
    until(lambda: conn.execute("SELECT FROM queue_waiters").rowcount == 1)
    # The pause after an empty claim doubles; once it is long only a notification comes in time.
    time.sleep(4)
    began = time.monotonic()
    woken = submit()
    until(lambda: task(woken)["status"] == "completed")
    assert time.monotonic() - began < 2


def test_polling_alone_finds_work(
    start_worker: StartWorker, submit: Submit, task: Read, conn: Any
) -> None:
    start_worker("--no-listen", "--poll", "0.3s")
    time.sleep(1)
    polled = submit()
    until(lambda: task(polled)["status"] == "completed")
    assert conn.execute("SELECT FROM queue_waiters").rowcount == 0


def test_a_busy_worker_asks_for_no_notifications(
    start_worker: StartWorker, submit_many: Callable[..., None], conn: Any
) -> None:
    worker = start_worker("--concurrency", "2", env={"DISPATCHER_PREFETCH": "2"})
    until(lambda: conn.execute("SELECT FROM queue_waiters").rowcount == 1)
    submit_many(400, "test.nap", seconds=0.02)
    until(lambda: conn.execute("SELECT FROM queue_waiters").rowcount == 0)
    until(lambda: worker.events("task.finished")[399:], timeout=20)
    until(lambda: conn.execute("SELECT FROM queue_waiters").rowcount == 1)


def test_a_wish_that_stands_is_not_repeated_at_every_look(
    start_worker: StartWorker, conn: Any
) -> None:
    start_worker("--poll", "0.05s")
    # An idle look ends with this question, so its session's last statement dates the look.
    look = (
        "SELECT w.since, a.query_start FROM queue_waiters w, pg_stat_activity a"
        " WHERE a.datname = current_database() AND a.query LIKE '%Seconds until the next task%'"
        " AND a.pid <> pg_backend_pid()"
    )
    seen = [until(lambda: conn.execute(look).fetchone())]
    while len(seen) < 6:
        row = until(lambda: conn.execute(look).fetchone())
        if row["query_start"] > seen[-1]["query_start"]:
            seen.append(row)
    assert {row["since"] for row in seen} == {seen[0]["since"]}


def test_the_wish_of_a_dead_worker_is_forgotten(start_worker: StartWorker, conn: Any) -> None:
    conn.execute(
        "INSERT INTO queue_waiters (lane, worker, since) VALUES ('queue', 'x', now() - interval '1h')"
    )
    start_worker()
    until(lambda: conn.execute("SELECT FROM queue_waiters WHERE worker = 'x'").rowcount == 0)


def test_the_watchdog_prepares_the_coming_days(start_worker: StartWorker, conn: Any) -> None:
    start_worker()
    until(
        lambda: conn.execute(
            "SELECT to_regclass('task_events_p' || to_char(now() + interval '5 days', 'YYYYMMDD'))"
            " IS NOT NULL AS there"
        ).fetchone()["there"]
    )


def test_an_idle_worker_is_small_and_quiet(start_worker: StartWorker, conn: Any) -> None:
    before = _transactions(conn)
    worker = start_worker(env={"WATCHDOG_INTERVAL": "30", "DISPATCHER_POLL_INTERVAL_S": "5"})
    until(lambda: conn.execute("SELECT FROM queue_waiters").rowcount == 1)
    time.sleep(3)
    assert memory_bytes(worker.pid) < 150 * 1024 * 1024
    # Counted, not timed: on a loaded machine it does the same, only slower. Ten wake-ups a second are
    # the driver's, while it listens.
    woken = _wakeups(worker.pid)
    time.sleep(5)
    assert _wakeups(worker.pid) - woken < 20 * 5
    # With those of its start, which are reported late.
    assert _transactions(conn) - before < 40 + 3 * 8


def test_a_worker_with_little_room_waits_for_more_without_spinning(
    start_worker: StartWorker, submit: Submit, task: Read
) -> None:
    worker = start_worker("--concurrency", "4", env={"DISPATCHER_PREFETCH": "8"})
    quick = [submit("test.nap", seconds=0.1, p_priority=9) for _ in range(3)]
    for _ in range(40):
        submit("test.nap", seconds=30)
    until(lambda: {task(id_)["status"] for id_ in quick} == {"completed"})
    time.sleep(1)
    before = _wakeups(worker.pid)
    time.sleep(2)
    assert _wakeups(worker.pid) - before < 200


def _wakeups(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in status if line.startswith("voluntary_ctxt_switches"))
    return int(line.split()[1])


def _transactions(conn: Any) -> int:
    """Commits in this database; sessions report theirs up to ten seconds late, so not one by one."""
    row = conn.execute(
        "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone()
    return row["xact_commit"]


def test_memory_above_the_soft_limit_stops_claims(
    start_worker: StartWorker, submit: Submit, task: Read
) -> None:
    worker = start_worker(env={"DISPATCHER_MEMORY_SOFT_LIMIT_MB": "1"})
    worker.wait_for("worker.memory_high")
    waiting = submit()
    time.sleep(1)
    assert task(waiting)["status"] == "queued"
