"""The queue's smaller functions, called by themselves: what they read out of a row, and what they refuse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from seedcore.testing import age
from tests.integration.schema.database import code, row, value
from tests.integration.task.worker import Worker, history, new, status, task

Conn = psycopg.Connection[dict[str, Any]]

NOON = datetime(2031, 5, 17, 12, tzinfo=UTC)


def test_a_setting_is_the_sessions_else_the_databases_else_the_fallback(conn: Conn) -> None:
    ask = "SELECT seedcore_setting('env', 'prod')"
    assert value(conn, ask) == "prod"
    conn.execute("INSERT INTO seedcore_settings (name, value) VALUES ('env', 'staging')")
    assert value(conn, ask) == "staging"
    with conn.transaction():
        conn.execute("SET LOCAL seedcore.env = 'dev'")
        assert value(conn, ask) == "dev"
    # Where SET LOCAL has been, an empty text is left behind, which says nothing.
    assert value(conn, ask) == "staging"


def test_a_setting_that_nobody_made_is_null_without_a_fallback(conn: Conn) -> None:
    assert value(conn, "SELECT seedcore_setting('no_such_thing')") is None
    assert value(conn, "SELECT seedcore_setting('no_such_thing', 'x')") == "x"


def test_audit_rows_name_the_actor_of_the_transaction_else_the_user(conn: Conn) -> None:
    with conn.transaction():
        conn.execute("SET LOCAL seedcore.actor = 'ann'; SET LOCAL seedcore.reason = 'because'")
        assert row(conn, "SELECT task_actor() AS a, task_reason() AS r") == {
            "a": "ann",
            "r": "because",
        }
    user = value(conn, "SELECT current_user::text")
    assert row(conn, "SELECT task_actor() AS a, task_reason() AS r") == {"a": user, "r": None}
    conn.execute("SET seedcore.actor = ''; SET seedcore.reason = ''")
    assert row(conn, "SELECT task_actor() AS a, task_reason() AS r") == {"a": user, "r": None}


def test_only_the_type_graph_has_a_lane_of_its_own(conn: Conn) -> None:
    lanes = {"graph": "graph", "echo": "queue", "Graph": "queue", "graph_rag": "queue"}
    for type_, lane in lanes.items():
        assert value(conn, "SELECT task_lane(%s)", [type_]) == lane


def test_a_retry_is_jittered_by_up_to_five_seconds(conn: Conn) -> None:
    least, most = (
        value(conn, f"SELECT {which}(task_retry_delay(0)) FROM generate_series(1, 200)".encode())
        for which in ("min", "max")
    )
    assert timedelta(seconds=10) <= least < most < timedelta(seconds=15)


HINTS: list[tuple[dict[str, Any], str, Any]] = [
    ({"priority": 7}, "priority", 7),
    ({"priority": -1e300}, "priority", 0),
    ({"priority": 11}, "priority", 10),
    ({"priority": 2.5}, "priority", None),
    ({"priority": "7"}, "priority", None),
    ({}, "priority", None),
    ({"deadline_at": "2031-05-17T14:00:00+02:00"}, "deadline", NOON),
    ({"deadline_at": "2031-05-17T12:00:00"}, "deadline", None),
    ({"deadline_at": 5}, "deadline", None),
    ({}, "deadline", None),
    ({"ttl_seconds": 90.5}, "ttl", timedelta(seconds=90.5)),
    ({"ttl_seconds": 3162240000}, "ttl", timedelta(seconds=3162240000)),
    ({"ttl_seconds": 3162240001}, "ttl", None),
    ({"ttl_seconds": 0}, "ttl", None),
    ({"ttl_seconds": "90"}, "ttl", None),
]


@pytest.mark.parametrize("function", ["priority", "deadline", "ttl"])
def test_a_hint_is_read_or_is_null(conn: Conn, function: str) -> None:
    for hint, name, expected in HINTS:
        if name == function:
            params = Jsonb({"routing": {"hints": hint}})
            found = value(conn, f"SELECT task_hint_{function}(%s)".encode(), [params])
            assert found == expected, hint


def test_params_of_another_shape_hold_no_hints(conn: Conn) -> None:
    asked = "SELECT task_hint_priority(p) AS a, task_hint_deadline(p) AS b, task_hint_ttl(p) AS c"
    for shape in (None, [], "text", {"routing": []}, {"routing": {"hints": 1}}):
        params = None if shape is None else Jsonb(shape)
        found = row(conn, f"{asked} FROM (SELECT %s::jsonb AS p) AS s".encode(), [params])
        assert found == {"a": None, "b": None, "c": None}, shape


TIMES = {
    "2031-05-17T12:00:00Z": NOON,
    "2031-05-17 12:00Z": NOON,
    "2031-05-17T17:30:00.000+0530": NOON,
    "2031-05-17T09:00:00-03": NOON,
    "2031-05-17T12:00:00": None,
    "2031-05-17": None,
    "2031-02-30T12:00:00Z": None,
    "2031-05-17Tnoon Z": None,
    "now": None,
    "tomorrow": None,
    "infinity": None,
    "": None,
    None: None,
}


def test_a_time_is_read_with_its_offset_or_not_at_all(conn: Conn) -> None:
    for text, expected in TIMES.items():
        assert value(conn, "SELECT task_read_time(%s)", [text]) == expected, text


def test_a_key_is_found_live_first_then_the_newest_that_failed(conn: Conn) -> None:
    find = "SELECT task_find_key('k')"
    assert value(conn, find) is None
    assert value(conn, "SELECT task_find_key(NULL)") is None
    ended = []
    for hours in (2, 1):
        ended.append(new(conn, idempotency_key="k"))
        conn.execute("SELECT tasks_cancel(%s, 'x')", [ended[-1:]])
        age(conn, ended[-1], f"{hours}h")
    assert value(conn, find) == ended[1]
    # The old one is younger by its birth only, which is what counts.
    age(conn, ended[1], "2h")
    assert value(conn, find) == ended[0]
    live = new(conn, idempotency_key="k")
    age(conn, live, "9h")
    assert value(conn, find) == live


def edges(conn: Conn) -> set[tuple[UUID, UUID]]:
    rows = conn.execute("SELECT src_task_id, dst_task_id FROM task_depends_on_task")
    return {(r["src_task_id"], r["dst_task_id"]) for r in rows}


def test_links_are_stored_once_each_and_nothing_else_happens(conn: Conn) -> None:
    a, b, c = (new(conn, hold=True) for _ in range(3))
    link = "SELECT tasks_link(%s, %s)"
    conn.execute(link, [[a, a, a], [b, c, b]])
    conn.execute(link, [[a], [b]])
    conn.execute(link, [[], []])
    assert edges(conn) == {(a, b), (a, c)}
    assert status(conn, a, b, c) == ["created"] * 3
    assert value(conn, "SELECT count(*) FROM graph_node_map") == 0


@pytest.mark.parametrize("bad", ["src", "dst", "both"])
def test_a_link_of_nothing_or_to_itself_is_refused(conn: Conn, bad: str) -> None:
    known, ghost = new(conn), uuid4()
    src, dst = {"src": (ghost, known), "dst": (known, ghost), "both": (known, known)}[bad]
    with pytest.raises(psycopg.IntegrityError) as caught:
        conn.execute("SELECT tasks_link(%s, %s)", [[src], [dst]])
    assert caught.value.diag.constraint_name == {
        "src": "task_depends_on_task_src_task_id_fkey",
        "dst": "task_depends_on_task_dst_task_id_fkey",
        "both": "ck_task_depends_on_task_self",
    }[bad]  # fmt: skip


def lapse(conn: Conn, *ids: UUID, **options: Any) -> dict[UUID, str]:
    more = "".join(f", p_{name} => %s" for name in options)
    rows = conn.execute(
        f"SELECT id, status::text FROM tasks_lapse(%s{more})".encode(),
        [list(ids), *options.values()],
    )
    return {r["id"]: r["status"] for r in rows}


def test_a_lapse_is_due_at_once_and_costs_no_attempt(conn: Conn, worker: Worker) -> None:
    held = new(conn, max_attempts=2)
    before = task(conn, held)["run_after"]
    worker.claim()
    assert lapse(conn, held) == {held: "retry"}
    found = task(conn, held)
    assert (found["attempts"], found["max_attempts"], found["lapses"]) == (1, 3, 1)
    assert found["run_after"] == before
    assert found["error"].startswith("lease_expired: w1 was last seen at ")
    assert worker.complete(held) == set()
    # It stands where it stood, before what came after it.
    new(conn)
    assert [row["id"] for row in worker.claim()] == [held]


@pytest.mark.parametrize(("lapses", "end"), [(0, "failed"), (1, "retry")])
def test_too_many_lapses_end_a_task(conn: Conn, worker: Worker, lapses: int, end: str) -> None:
    held = new(conn)
    child = new(conn, depends_on=(str(held),))
    worker.claim()
    assert lapse(conn, held, max_lapses=lapses) == {held: end}
    assert status(conn, child) == ("cancelled" if end == "failed" else "created")
    assert (task(conn, held)["finished_at"] is not None) == (end == "failed")


def test_only_what_runs_can_lapse(conn: Conn, worker: Worker) -> None:
    done, queued, held = new(conn), new(conn), new(conn, hold=True)
    worker.claim(1)
    worker.complete(done)
    assert lapse(conn, done, queued, held, uuid4()) == {}
    assert lapse(conn) == {}
    assert status(conn, done, queued, held) == ["completed", "queued", "created"]


def test_a_lapse_by_hand_is_always_recorded_with_its_reason(conn: Conn, worker: Worker) -> None:
    held = new(conn)
    worker.claim()
    with conn.transaction():
        conn.execute("SET LOCAL seedcore.actor = 'ann'; SET LOCAL seedcore.reason = 'stuck'")
        lapse(conn, held, audit=True)
    (event,) = history(conn, held)
    assert event[:4] == ("running", "retry", 1, "ann")
    assert event[4].endswith("; stuck")


def settle(conn: Conn, *ids: UUID) -> set[UUID]:
    rows = conn.execute("SELECT tasks_settle_waiting(%s) AS id", [list(ids)])
    return {r["id"] for r in rows}


def unnoticed(conn: Conn, state: str, *ids: UUID) -> None:
    """End tasks so that nobody releases what waits for them."""
    with conn.transaction():
        conn.execute("SET LOCAL search_path = public, seedcore_engine")
        conn.execute(
            "UPDATE tasks SET status = %s, finished_at = now() WHERE id = ANY (%s)",
            [state, list(ids)],
        )


def test_what_waits_is_settled_as_its_dependencies_say(conn: Conn) -> None:
    good, bad, open_ = new(conn), new(conn), new(conn)
    ready, doomed, waiting = (new(conn, depends_on=(str(d),)) for d in (good, bad, open_))
    both = new(conn, depends_on=(str(good), str(bad)))
    unnoticed(conn, "completed", good)
    unnoticed(conn, "failed", bad)
    assert settle(conn, ready, doomed, waiting, both) == {doomed, both}
    assert status(conn, ready, doomed, waiting, both) == [
        "queued", "cancelled", "created", "cancelled",
    ]  # fmt: skip
    assert task(conn, both)["error"] == f"dependency_failed: task {bad} is failed"
    assert settle(conn) == set()


def test_a_held_task_is_not_queued_by_its_dependencies(conn: Conn) -> None:
    parent = new(conn)
    held = new(conn, hold=True, depends_on=(str(parent),))
    unnoticed(conn, "completed", parent)
    assert settle(conn, held) == set()
    assert status(conn, held) == "created"


def test_an_end_that_nobody_waits_for_releases_nothing(conn: Conn) -> None:
    parent = new(conn)
    child = new(conn, depends_on=(str(parent),))
    for ended in ([], [uuid4()], [child], [parent]):  # the last one has not ended
        conn.execute("SELECT tasks_release_dependants(%s)", [ended])
    assert status(conn, parent, child) == ["queued", "created"]


def test_dependencies_inside_the_list_are_not_held(conn: Conn, other: Conn) -> None:
    first, second = new(conn), new(conn)
    third = new(conn, depends_on=(str(first), str(second)))
    free = "SELECT id FROM tasks WHERE id = ANY (%s) FOR NO KEY UPDATE SKIP LOCKED"
    with conn.transaction():
        conn.execute("SELECT tasks_hold_dependencies(%s)", [[third, second]])
        found = {r["id"] for r in other.execute(free, [[first, second, third]])}
        assert found == {second, third}
        conn.execute("SELECT tasks_hold_dependencies('{}')")
    assert len(other.execute(free, [[first, second, third]]).fetchall()) == 3


def test_stale_is_without_a_lease_and_without_a_sign_of_life(conn: Conn, worker: Worker) -> None:
    tasks = [new(conn) for _ in range(4)]
    bare, leased, fresh, other = tasks
    worker.claim(4, lease_s=600)
    age(conn, [bare, fresh, other], "16m")
    # Older programs write no heartbeat and no lease, only when they took the task.
    old = "UPDATE tasks SET lease_expires_at = NULL, last_heartbeat = NULL WHERE id = %s"
    conn.execute(old, [bare])
    conn.execute("UPDATE tasks SET last_heartbeat = now() - interval '1 h' WHERE id = %s", [leased])
    conn.execute("UPDATE tasks SET last_heartbeat = now() WHERE id = %s", [fresh])
    assert value(conn, "SELECT cleanup_stale_running_tasks(17)") == 0
    assert value(conn, "SELECT cleanup_stale_running_tasks()") == 2
    assert status(conn, bare, leased, fresh, other) == ["retry", "running", "running", "retry"]


@pytest.mark.parametrize(
    ("sweep", "make"),
    [
        ("tasks_expire_due", "expires_at = now() - interval '1 s', status = 'queued'"),
        ("tasks_release_ready", "auto_release = true"),
    ],
)
def test_a_sweep_takes_no_more_than_its_limit(conn: Conn, sweep: str, make: str) -> None:
    for _ in range(5):
        new(conn, hold=True)
    conn.execute(f"UPDATE tasks SET {make}".encode())
    swept = [value(conn, f"SELECT {sweep}(2)".encode()) for _ in range(4)]
    assert swept == [2, 2, 1, 0]


def test_events_are_purged_so_many_at_a_time(conn: Conn) -> None:
    conn.execute(
        "INSERT INTO task_events (task_id, at, to_status, attempts)"
        " SELECT gen_random_uuid(), now() - n * interval '1 s', 'queued', 0 FROM generate_series(0, 9) n"
    )
    purge = "SELECT task_events_purge('4.5 s', 2)"
    assert [value(conn, purge) for _ in range(4)] == [2, 2, 1, 0]
    assert value(conn, "SELECT count(*) FROM task_events") == 5


def test_a_requeue_without_more_attempts_is_refused(conn: Conn) -> None:
    ended = new(conn)
    conn.execute("SELECT tasks_cancel(%s, 'x')", [[ended]])
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT tasks_requeue(%s, 0)", [[ended]])
    assert code(caught.value) == ("SC422", "task.bad_attempts")
    assert status(conn, ended) == "cancelled"


def test_pausing_again_tells_the_newer_reason_and_resuming_forgets_it(conn: Conn) -> None:
    lane = "SELECT paused, reason, changed_by FROM queue_lanes WHERE lane = 'graph'"
    conn.execute("SELECT queue_pause('graph', 'ann', 'r1')")
    conn.execute("SELECT queue_pause('graph', 'bob')")
    assert row(conn, lane) == {"paused": True, "reason": None, "changed_by": "bob"}
    for _ in range(2):
        conn.execute("SELECT queue_resume('graph', 'cid')")
        assert row(conn, lane) == {"paused": False, "reason": None, "changed_by": "cid"}


def test_a_waiter_of_another_lane_is_not_woken(conn: Conn, other: Conn) -> None:
    other.execute("LISTEN tasks_new")
    conn.execute("INSERT INTO queue_waiters (lane, worker) VALUES ('graph', 'w')")
    conn.execute("SELECT queue_notify('queue')")
    conn.execute("SELECT queue_notify('graph')")
    assert [n.payload for n in other.notifies(timeout=2, stop_after=1)] == ["graph"]
    conn.execute("SELECT queue_notify(NULL)")
    assert list(other.notifies(timeout=0)) == []
