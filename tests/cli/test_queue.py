"""`seedcore queue`, as its users see it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.cli.conftest import Invoke

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def tasks(cli: Invoke) -> None:
    lines = b'{"type": "a", "domain": "mail"}\n' * 3 + b'{"type": "a", "in": "1h"}\n'
    assert cli("task", "submit", "-f", "-", input=lines).code == 0


def test_status_shows_lanes_and_what_holds_them_back(cli: Invoke, tasks: None) -> None:
    cli("queue", "pause", "queue", "--domain", "mail", "--reason", "audit", "--actor", "ann")
    cli("queue", "limit", "queue", "--rate", "90/m", "--concurrency", "4")
    rows = cli("queue", "status", "-o", "json").json
    assert [(r["lane"], r["domain"], r["status"], r["tasks"], r["due"]) for r in rows] == [
        ("queue", None, "queued", 4, 3),
        ("queue", "mail", "queued", 3, 3),
        ("graph", None, None, 0, 0),
    ]
    lane, mail, graph = rows
    assert (lane["paused"], lane["limit"], lane["rate_per_s"]) == (False, "1.5/s, 4 at once", 1.5)
    assert (mail["paused"], mail["reason"], mail["changed_by"]) == (True, "audit", "ann")
    assert mail["oldest_age_s"] >= 0
    assert graph["oldest_age_s"] is None
    text = cli("queue", "status", "queue").out.splitlines()
    assert text[0].split()[:8] == [
        "lane", "domain", "status", "tasks", "due", "oldest_age_s", "paused", "limit"
    ]  # fmt: skip
    assert len(text) == 3


def test_a_change_says_what_was_and_what_is(cli: Invoke) -> None:
    steps = [
        (("pause", "queue"), None, "open", "paused"),
        (("resume", "queue"), None, "paused", "open"),
        (("limit", "queue", "--rate", "10/s"), None, "open", "10/s"),
        (("limit", "queue", "--concurrency", "2"), None, "10/s", "10/s, 2 at once"),
        (("fair", "queue", "on"), None, "10/s, 2 at once", "10/s, 2 at once, fair"),
        (("limit", "queue", "--off"), None, "10/s, 2 at once, fair", "fair"),
        (("fair", "queue", "off"), None, "fair", "open"),
        (("limit", "graph", "--domain", "d", "--rate", "100/h"), "d", "open", "100/h"),
        (("pause", "graph", "--domain", "d"), "d", "100/h", "paused, 100/h"),
        (("resume", "graph", "--domain", "d"), "d", "paused, 100/h", "100/h"),
        (("limit", "graph", "--domain", "d", "--off"), "d", "100/h", "open"),
    ]
    for words, domain, before, after in steps:
        result = cli("queue", *words, "-o", "json")
        assert result.code == 0, result.err
        assert result.json == {
            "lane": words[1],
            "domain": domain,
            "before": before,
            "after": after,
        }


def test_the_same_again_changes_nothing(cli: Invoke) -> None:
    cli("queue", "fair", "queue", "on")
    again = cli("queue", "fair", "queue", "on")
    assert (again.code, again.err) == (0, "unchanged\n")


def test_who_changed_what_and_why_is_kept(cli: Invoke, conn: Conn) -> None:
    said = ("--actor", "ann", "--reason", "why")
    cli("queue", "pause", "queue", *said)
    cli("queue", "pause", "queue", *said)  # changes nothing
    cli("queue", "limit", "queue", "--domain", "d", "--rate", "10/s", *said)
    cli("queue", "limit", "queue", "--domain", "d", "--off", "--actor", "bob")
    cli("queue", "resume", "queue", *said)
    cli("task", "schedule", "add", "s", "a", "--cron", "@daily", *said)
    cli("task", "schedule", "pause", "s", *said)
    cli("task", "schedule", "remove", "s", "--yes", *said)
    conn.execute("UPDATE queue_lanes SET fair = true WHERE lane = 'graph'")
    rows = cli("queue", "history", "-o", "json").json
    subjects = [(r["kind"], r["lane"], r["domain"], r["schedule"]) for r in rows]
    assert subjects == [
        ("lane", "graph", None, None),
        *[("schedule", None, None, "s")] * 3,
        ("lane", "queue", None, None),
        *[("domain", "queue", "d", None)] * 2,
        ("lane", "queue", None, None),
    ]
    by = [(r["actor"], r["reason"]) for r in rows[1:]]
    assert by == [("ann", "why")] * 4 + [("bob", None)] + [("ann", "why")] * 2
    assert rows[-1]["before"] == {"paused": False}
    assert rows[-1]["after"] == {"paused": True}
    limit = {"rate_per_s": 10.0, "burst": 10.0}
    assert (rows[-2]["before"], rows[-2]["after"]) == (None, limit)
    assert (rows[-3]["before"], rows[-3]["after"]) == (limit, dict.fromkeys(limit))
    removed, paused, added = rows[1:4]
    assert (removed["before"]["cron"], removed["after"]) == ("@daily", None)
    assert (paused["before"], paused["after"]) == ({"enabled": True}, {"enabled": False})
    assert added["before"] is None
    assert len(cli("queue", "history", "queue", "--domain", "d", "-o", "json").json) == 2
    assert "enabled true" in cli("queue", "history", "--schedule", "s", "-o", "table").out
    with pytest.raises(psycopg.Error, match="append-only"):
        conn.execute("DELETE FROM queue_changes")


@pytest.mark.parametrize(
    "words",
    [("pause", "queue"), ("limit", "queue", "--domain", "d", "--rate", "1/s"), ("fair", "queue", "on")],
)  # fmt: skip
def test_a_dry_run_says_what_would_be_and_changes_nothing(
    cli: Invoke, conn: Conn, words: tuple[str, ...]
) -> None:
    state = (
        "SELECT (SELECT jsonb_agg(l) FROM queue_lanes l) AS l, (SELECT count(*) FROM queue_controls),"
        " (SELECT count(*) FROM queue_changes) AS h, to_regclass('ix_tasks_claim_domain')::text AS i"
    )
    before = conn.execute(state).fetchone()
    tried = cli("queue", *words, "--dry-run", "-o", "json")
    assert tried.code == 0
    assert conn.execute(state).fetchone() == before
    done = cli("queue", *words, "-o", "json").json
    assert tried.json == done | {"dry_run": True}


def test_domains_get_their_index_when_they_are_first_told_apart(cli: Invoke, conn: Conn) -> None:
    assert cli("queue", "limit", "queue", "--rate", "5/s").code == 0
    index = "SELECT to_regclass('ix_tasks_claim_domain') IS NOT NULL AS there"
    assert conn.execute(index).fetchone() == {"there": False}
    first = cli("queue", "pause", "queue", "--domain", "d")
    assert first.err.startswith("built the index ix_tasks_claim_domain")
    assert conn.execute(index).fetchone() == {"there": True}
    assert "built" not in cli("queue", "fair", "queue", "on").err
    assert cli("migrate", "check").code == 0


def test_a_pause_does_not_wait_for_the_index(cli: Invoke, conn: Conn) -> None:
    """Building it waits for whoever writes; who pauses a domain is in a hurry."""
    command = ("queue", "pause", "queue", "--domain", "d")
    with conn.transaction():
        conn.execute("LOCK TABLE tasks IN ROW EXCLUSIVE MODE")
        hurried = cli(*command, "--statement-timeout", "0.3s")
        assert hurried.code == 0
        assert "could not be built now" in hurried.err
        assert conn.execute("SELECT domain, paused FROM queue_controls").fetchall() == [
            {"domain": "d", "paused": True}
        ]
    again = cli(*command)
    assert "unchanged" in again.err
    assert "built the index" in again.err


BAD = [
    (("limit", "queue", "--rate", "0/s"), 2, "usage.arguments", "'0/s' lets nothing through"),
    (("limit", "queue", "--rate", "ten"), 2, "usage.arguments", "'ten' is not a rate"),
    (("limit", "queue", "--rate", "1/week"), 2, "usage.arguments", "write 50/s, 600/m or 100/h"),
    (("limit", "queue", "--concurrency", "0"), 2, "queue.bad_limit", "0 at once lets nothing"),
    (("limit", "queue", "--rate", "1/s", "--burst", "0.5"), 2, "queue.bad_limit", "burst"),
    (("limit", "queue"), 2, "usage.invalid", "give --rate, --concurrency or --off"),
    (("limit", "queue", "--off", "--rate", "1/s"), 2, "usage.invalid", "exclude each other"),
    (("limit", "queue", "--off"), 5, "queue.not_limited", "lane queue has no limit"),
    (("limit", "slow", "--rate", "1/s"), 4, "queue.lane_not_found", 'no lane "slow"'),
    (("status", "slow"), 4, "queue.lane_not_found", 'no lane "slow"'),
    (("pause", "slow"), 4, "queue.lane_not_found", 'no lane "slow"'),
    (("pause", "queue", "--domain", ""), 2, "usage.invalid", "--domain is empty"),
    (("resume", "queue"), 5, "queue.not_paused", "lane queue is not paused"),
    (
        ("resume", "queue", "--domain", "d"),
        5,
        "queue.not_paused",
        "domain d of lane queue is not paused",
    ),
    (("fair", "slow", "on"), 4, "queue.lane_not_found", 'no lane "slow"'),
    (("fair", "queue", "maybe"), 2, "usage.arguments", "maybe"),
]


def test_bad_input_gets_one_line_and_changes_nothing(cli: Invoke, conn: Conn) -> None:
    for words, code, error, sentence in BAD:
        result = cli("queue", *words, "-o", "json")
        assert (result.code, result.out, result.error["code"]) == (code, "", error), words
        assert sentence in result.error["message"]
        text = cli("queue", *words)
        assert (text.code, text.out) == (code, "")
        assert [line[:6] for line in text.err.splitlines()].count("error:") == 1
    assert conn.execute("SELECT FROM queue_controls").rowcount == 0
    assert conn.execute("SELECT FROM queue_lanes WHERE paused OR fair").rowcount == 0


def test_keys_and_their_limits_are_submitted_and_shown(cli: Invoke) -> None:
    submit = ("task", "submit", "a", "--concurrency-key", "printer", "-o", "json")
    first = cli(*submit, "--concurrency", "2", "--idempotency-key", "k", "--unique", "waiting").json
    row = cli("task", "inspect", first["id"], "-o", "json").json
    assert (row["concurrency_key"], row["concurrency"], row["unique"]) == ("printer", 2, "waiting")
    cli("queue", "pause", "queue", "--reason", "audit")
    row = cli("task", "inspect", first["id"], "-o", "json").json
    assert row["held_back_by"] == "lane queue is paused: audit"
    assert "lane queue is paused: audit" in cli("task", "inspect", first["id"]).out
    bad = cli("task", "submit", "a", "--concurrency", "2", "-o", "json")
    assert (bad.code, bad.error["code"]) == (2, "task.bad_field")
    assert "concurrency needs a concurrency_key" in bad.error["message"]
