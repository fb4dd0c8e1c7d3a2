from __future__ import annotations

from typing import Any

import psycopg
import pytest
import yaml

from tests.cli.conftest import Invoke

Conn = psycopg.Connection[dict[str, Any]]
SCHEDULE = ("task", "schedule")
NIGHTLY = (*SCHEDULE, "add", "nightly", "report", "--cron", "30 2 * * *", "--tz", "Europe/Berlin")


def rows(conn: Conn, table: str = "task_schedules") -> list[dict[str, Any]]:
    return conn.execute(f"SELECT * FROM {table}").fetchall()  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_add_show_list_and_remove_in_every_format(cli: Invoke, conn: Conn) -> None:
    added = cli(*NIGHTLY, "--params", '{"a": 1}', "--priority", 8, "--ttl", "2h", "-o", "json")
    assert added.code == 0
    assert (added.json["name"], added.json["params"], added.json["ttl_s"]) == (
        "nightly",
        {"a": 1},
        7200,
    )
    assert len(added.json["upcoming"]) == 5
    assert all("T02:30:00+0" in time["local"] for time in added.json["upcoming"][:1])
    shown = cli(*SCHEDULE, "show", "nightly", "-o", "yaml")
    assert yaml.safe_load(shown.out)["cron"] == "30 2 * * *"
    listed = cli(*SCHEDULE, "list", "-o", "json")
    assert [row["name"] for row in listed.json] == ["nightly"]
    assert cli(*SCHEDULE, "list", "-o", "name").out == "nightly\n"
    table = cli(*SCHEDULE, "list", tty=True)
    assert "nightly" in table.out
    assert "Europe/Berlin" in table.out
    object_ = cli(*SCHEDULE, "show", "nightly", tty=True)
    assert "upcoming:" in object_.out
    assert "T02:30:00+0" in object_.out
    assert cli(*SCHEDULE, "remove", "nightly").code == 10
    assert len(rows(conn)) == 1
    assert cli(*SCHEDULE, "remove", "nightly", "--dry-run").code == 0
    assert len(rows(conn)) == 1
    removed = cli(*SCHEDULE, "remove", "nightly", "--yes", "-o", "json")
    assert (removed.code, removed.json["before"], removed.json["after"]) == (0, "enabled", None)
    assert cli(*SCHEDULE, "remove", "nightly", "--yes").code == 4
    assert cli(*SCHEDULE, "list", "-o", "json").json == []


def test_a_dry_run_shows_the_next_five_times_and_adds_nothing(cli: Invoke, conn: Conn) -> None:
    result = cli(*NIGHTLY, "--dry-run", "-o", "json")
    assert (result.code, result.json["dry_run"]) == (0, True)
    assert len(result.json["upcoming"]) == 5
    told = cli(*NIGHTLY, "--dry-run", tty=True)
    assert told.out.count("T02:30:00+0") == 5
    assert told.err == "nothing was added\n"
    assert rows(conn) == []


@pytest.mark.parametrize("format", ["table", "json"])
def test_the_same_name_twice_is_a_conflict(cli: Invoke, conn: Conn, format: str) -> None:
    assert cli(*NIGHTLY).code == 0
    before = rows(conn)
    for more in ((), ("--dry-run",)):
        again = cli(*NIGHTLY, *more, "--priority", 1, "-o", format)
        assert (again.code, again.out) == (5, "")
        assert "there is a schedule" in again.err
    assert rows(conn) == before


@pytest.mark.parametrize(
    ("words", "code", "message", "hint"),
    [
        (("--cron", "61 * * * *"), "schedule.bad_cron", 'column 1: minute "61"', "MINUTE HOUR"),
        (("--cron", "* * * *"), "schedule.bad_cron", "column 8: day of week missing", "MINUTE"),
        (("--cron", "0 0 30 2 *"), "schedule.bad_cron", "column 5: no month", "MINUTE"),
        (("--cron", "* * * * *", "--tz", "Berlin"), "schedule.unknown_zone", '"Berlin"', "Europe/Berlin"),
        (("--cron", "@daily", "--params", "[]"), "usage.invalid", "not a JSON object", "--params"),
        (("--cron", "@daily", "--ttl", "0.2s"), "usage.invalid", "less than a second", "--ttl"),
        (("--cron", "@daily", "--params", '{"tool_calls": 5}'), "TI201", "tool_calls", ""),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_changes_nothing(
    cli: Invoke, conn: Conn, words: tuple[str, ...], code: str, message: str, hint: str
) -> None:
    result = cli(*SCHEDULE, "add", "s", "report", *words, "-o", "json")
    assert (result.code, result.out) == (2, "")
    assert message in result.error["message"]
    assert code in (result.error["code"], "TI201")
    assert hint in (result.error["hint"] or "")
    text = cli(*SCHEDULE, "add", "s", "report", *words)
    assert (text.code, text.out) == (2, "")
    assert text.err.startswith("error: ")
    assert len(text.err.splitlines()) <= 2
    assert rows(conn) == []


@pytest.mark.parametrize("name", ["a b", "-x", "a/b", "ä", "x" * 64, ""])
def test_names_are_of_one_kind(cli: Invoke, conn: Conn, name: str) -> None:
    result = cli(*SCHEDULE, "add", "--cron", "@daily", "--", name, "report")
    assert result.code == 2
    assert "can't be the name of a schedule" in result.err
    assert rows(conn) == []


def test_pause_resume_and_run(cli: Invoke, conn: Conn) -> None:
    cli(*NIGHTLY)
    assert cli(*SCHEDULE, "pause", "nightly", "-n").code == 0
    assert rows(conn)[0]["enabled"]
    paused = cli(*SCHEDULE, "pause", "nightly", "--reason", "moving", "-o", "json")
    assert (paused.json["before"], paused.json["after"], paused.json["next_run_at"]) == (
        "enabled",
        "paused",
        None,
    )
    assert cli(*SCHEDULE, "pause", "nightly").err == "unchanged: it was paused already\n"
    assert rows(conn)[0]["reason"] == "moving"
    assert cli(*SCHEDULE, "run", "nightly", "--dry-run").code == 0
    assert rows(conn, "tasks") == []
    ran = cli(*SCHEDULE, "run", "nightly", "-o", "json")
    assert ran.json["id"] == str(rows(conn, "tasks")[0]["id"])
    resumed = cli(*SCHEDULE, "resume", "nightly", "-o", "json")
    assert resumed.json["after"] == "enabled"
    assert resumed.json["next_run_at"] is not None
    shown = cli(*SCHEDULE, "show", "nightly", "-o", "json").json
    assert [fire["outcome"] for fire in shown["fires"]] == ["by_hand"]
    for verb in ("show", "pause", "resume", "run"):
        missing = cli(*SCHEDULE, verb, "nigthly")
        assert (missing.code, missing.out) == (4, "")
        assert "did you mean nightly?" in missing.err


def test_list_says_that_nobody_fires(cli: Invoke, conn: Conn) -> None:
    cli(*NIGHTLY)
    assert "no worker" not in cli(*SCHEDULE, "list").err
    conn.execute(
        "UPDATE task_schedules SET next_run_at = '2031-01-01 00:00Z'::timestamptz - interval '20 years'"
    )
    told = cli(*SCHEDULE, "list")
    assert "no worker has fired due schedules since 2011-01-01T00:00:00Z" in told.err
    cli(*SCHEDULE, "pause", "nightly")
    assert "no worker" not in cli(*SCHEDULE, "list").err
