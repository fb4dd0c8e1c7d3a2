"""`seedcore pkg canary`: a snapshot reaches a lane step by step, or is taken back."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import psycopg
import pytest

from seedcore.config.settings import Settings
from seedcore.pkg.enactment import Asked, Enactor
from tests.cli.conftest import Invoke
from tests.cli.test_pkg import green, house, stored  # noqa: F401 # a fixture

Conn = psycopg.Connection[dict[str, Any]]

EVALUATED = (
    "INSERT INTO pkg_evaluations (snapshot_id, target, input_digest, outcome, denied, duration_ms, created_at)"
    " SELECT %s, 'router', '', CASE WHEN n <= %s THEN 'error' ELSE 'ok' END, n <= %s, n, clock_timestamp()"
    " FROM generate_series(1, %s) AS n"
)


@pytest.fixture
def versions(cli: Invoke, conn: Conn, house: Path) -> dict[str, int]:  # noqa: F811
    """v1, which is active, and v2; both validated."""
    ids = {version: stored(cli, house, version)["id"] for version in ("v1", "v2")}
    for snapshot_id in ids.values():
        green(conn, snapshot_id)
    assert cli("pkg", "promote", "v1", "--yes").code == 0
    return ids


def evaluated(conn: Conn, snapshot_id: int, n: int, *, errors: int = 0, denied: int = 0) -> None:
    conn.execute(EVALUATED, [snapshot_id, errors, denied, n])


def canary(cli: Invoke, verb: str, *more: object) -> Any:
    result = cli("pkg", "canary", verb, "--target", "router", *more, "-o", "json")
    return result.json if result.code == 0 else (result.code, result.error["code"])


def tick(conn: Conn) -> list[tuple[str, int]]:
    """What a worker does now and then."""
    rows = conn.execute("SELECT action, percent FROM pkg_rollout_tick()").fetchall()
    return [(row["action"], row["percent"]) for row in rows]


def test_a_canary_goes_by_hand_and_says_where_it_is(
    cli: Invoke, conn: Conn, versions: dict[str, int]
) -> None:
    assert canary(cli, "advance") == (4, "pkg.no_canary")
    for bad in (
        ("--steps", "20,5,100"),
        ("--steps", "5,20"),
        ("--gate", "luck<1"),
        ("--gate", "p95_ms"),
    ):
        assert cli("pkg", "canary", "start", "v2", "--target", "router", *bad, "--yes").code == 2
    start = ("start", "v2", "--pause", "manual", "--gate", "errors=0,deny_rate_delta<0.1", "--yes")
    assert canary(cli, *start, "--dry-run")["percent"] == 5
    assert canary(cli, "status") == []
    row = canary(cli, *start, "--min-samples", 20, "--reason", "better")
    assert (row["percent"], row["stable"], row["phase"], row["step"]) == (5, "v1", "Waiting", 1)
    assert canary(cli, *start) == (5, "pkg.lane_busy")
    assert cli("pkg", "promote", "v2", "--target", "router", "--yes").code == 5
    assert canary(cli, "advance") == (5, "pkg.gate_not_passed")

    evaluated(conn, versions["v1"], 20, denied=1)
    evaluated(conn, versions["v2"], 20, denied=2)
    (row,) = canary(cli, "status")
    assert {g["gate"]: (g["value"], g["passed"]) for g in row["gates"]} == {
        "errors": (0, True), "deny_rate_delta": (pytest.approx(0.05), True),
    }  # fmt: skip
    assert canary(cli, "advance", "--expect-percent", 20) == (5, "pkg.percent_changed")
    moved = canary(cli, "advance", "--expect-percent", 5)
    assert (moved["from_percent"], moved["percent"]) == (5, 20)
    assert canary(cli, "pause", "--reason", "lunch")["phase"] == "Paused"
    assert canary(cli, "pause") == (5, "pkg.plan_not_running")
    assert canary(cli, "advance", "--to", 33, "--skip-gate") == (2, "pkg.reason_required")
    assert canary(cli, "resume")["phase"] == "Waiting"
    jump = ("advance", "--to", 33, "--skip-gate", "--reason", "tested by hand")
    assert canary(cli, *jump)["percent"] == 33
    assert canary(cli, *jump) == (2, "pkg.bad_percent")
    (row,) = canary(cli, "status")
    assert (row["percents"], row["step"]) == ([5, 20, 33, 50, 100], 3)
    assert (
        canary(cli, "advance", "--full", "--skip-gate", "--reason", "all")["phase"] == "Promoting"
    )
    assert canary(cli, "advance", "--skip-gate", "--reason", "done")["phase"] == "Succeeded"
    assert canary(cli, "status", "--exit-code")[0]["percent"] == 100
    (lane,) = cli("pkg", "deployments", "-o", "json").json
    assert (lane["version"], lane["percent"]) == ("v2", 100)
    actions = [h["action"] for h in cli("pkg", "history", "--target", "router", "-o", "json").json]
    assert actions == [
        "lane complete", "lane", "lane", "lane resume", "lane pause", "lane", "lane",
    ]  # fmt: skip


def test_workers_take_an_automatic_canary_on_and_abort_one_that_fails(
    cli: Invoke, conn: Conn, versions: dict[str, int]
) -> None:
    start = (
        "start", "v2", "--steps", "10,100", "--pause", "0s", "--min-samples", 10, "--max-fail", 2,
        "--gate", "errors=0,p95_ms<500", "--auto", "--yes",
    )  # fmt: skip
    canary(cli, *start)
    assert tick(conn) == [("none", 10)]
    evaluated(conn, versions["v2"], 10)
    assert tick(conn) == [("advanced", 100)]
    assert tick(conn) == [("none", 100)]
    evaluated(conn, versions["v2"], 3, errors=1)
    assert tick(conn) == [("missed", 100)]
    assert tick(conn) == [("none", 100)], "the same evaluations are not held against it twice"
    assert canary(cli, "status", "--exit-code") == (3, "pkg.canary_failed")
    evaluated(conn, versions["v2"], 1)
    assert tick(conn) == [("aborted", 0)]
    assert tick(conn) == []
    assert canary(cli, "status", "--exit-code")[0] == 3
    (row,) = canary(cli, "status", "--all")
    assert (row["phase"], row["message"]) == ("Aborted", "missed 2 of 2: errors is 1.0000, not = 0")
    (lane,) = cli("pkg", "deployments", "-o", "json").json
    assert (lane["active"], lane["percent"]) == (False, 0)
    events = cli("pkg", "history", "--target", "router", "-o", "json").json
    assert [(e["actor"] == "canary", e["to_percent"]) for e in events] == [
        (True, 0), (True, 100), (False, 10),
    ]  # fmt: skip

    canary(cli, *start)
    evaluated(conn, versions["v2"], 10)
    assert tick(conn) == [("advanced", 100)]
    evaluated(conn, versions["v2"], 10)
    assert tick(conn) == [("completed", 100)]
    assert canary(cli, "abort", "--yes") == (4, "pkg.no_canary")


def test_watching_draws_bars_and_ends_with_the_canary(
    cli: Invoke, conn: Conn, versions: dict[str, int]
) -> None:
    canary(cli, "start", "v2", "--gate", "p95_ms<15", "--min-samples", 1, "--yes")
    evaluated(conn, versions["v2"], 20)
    late = cli("pkg", "canary", "status", "-w", "--timeout", "0s", "-o", "jsonl")
    assert (late.code, [row["phase"] for row in late.rows]) == (6, ["Degraded"])
    assert canary(cli, "abort", "--reason", "too slow", "--yes")["percent"] == 0
    over = cli("pkg", "canary", "status", "-w", "--target", "router", "--color", "never", tty=True)
    assert over.code == 0
    lines = over.out.splitlines()
    assert lines[0] == "router in global  v1 -> v2  Aborted"
    assert lines[-1] == "  too slow"


class Tags(HTMLParser):
    """Reads a page, and fails where its tags do not fit into each other or a cell names no column."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        assert tag != "td" or names.get("data-label")
        assert tag != "th" or names.get("scope")
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def contrast(ink: str, ground: str) -> float:
    """The contrast of two colours by WCAG 2.2: 4.5 is its least for text."""

    def luminance(color: str) -> float:
        digits = color[1:] if len(color) == 7 else "".join(digit * 2 for digit in color[1:])
        parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
        red, green_, blue = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        )
        return 0.2126 * red + 0.7152 * green_ + 0.0722 * blue

    lighter, darker = sorted((luminance(ink), luminance(ground)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_a_page_tells_all_of_a_snapshot_and_runs_nothing(
    cli: Invoke, conn: Conn, versions: dict[str, int]
) -> None:
    canary(cli, "start", "v2", "--reason", "<script>alert(1)</script>", "--yes")
    assert cli("pkg", "validate", "v2").code == 0
    assert cli("pkg", "report", "v2", "-f", "out.html").code == 0
    page = Path("out.html").read_text()
    for word in (
        "hot-room",
        "SIGNAL temperature &gt;= 28",
        "none fires it",
        "4 of 4 passed",
        "router in global",
    ):
        assert (word in page) is (word != "none fires it"), word
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    Tags().feed(page)
    for theme in page.split("prefers-color-scheme:dark"):
        colors = dict(re.findall(r"--([a-z]+):(#[0-9a-f]{3,6})", theme))
        for ground in ("bg", "soft"):
            for ink in ("fg", "dim", "good", "bad", "warn"):
                ratio = contrast(colors[ink], colors[ground])
                assert ratio >= 4.5, f"{ink} on {ground}: {ratio:.2f}"
    assert cli("pkg", "report", "v2", "-f", "/nowhere/x.html").code == 2
    assert cli("pkg", "check").code == 0
    conn.execute(
        "UPDATE pkg_policy_rules SET priority = 1 WHERE snapshot_id = %s", [versions["v2"]]
    )
    wrong = cli("pkg", "check", "-o", "json")
    assert (wrong.code, [row["ok"] for row in wrong.json]) == (3, [False, True])


def test_devices_say_what_they_run(cli: Invoke, conn: Conn, versions: dict[str, int]) -> None:
    report = ("pkg", "devices", "report")
    for number, version in enumerate(("v2", "v1", "v9")):
        assert cli(*report, f"door-{number}", version, "--type", "door", "--region", "eu").code == 0
    assert cli(*report, "", "v1", "--type", "door").code == 2
    lane = ("--target", "edge:door", "--region", "eu", "--yes")
    assert cli("pkg", "promote", "v2", *lane).code == 0
    conn.execute(
        "UPDATE pkg_device_versions SET last_seen = now() - interval '2 days' WHERE device_id = 'door-2'"
    )
    (row,) = cli("pkg", "coverage", "-o", "json").json
    assert (row["on_version"], row["total"], row["stale"], row["ratio"]) == (1, 2, 1, 0.5)
    assert cli("pkg", "coverage", "--min", 0.6).code == 3
    assert cli("pkg", "coverage", "--target", "edge:dor").code == 0
    assert cli("pkg", "coverage", "--target", "edge:dor", "--min", 0.6).code == 4
    known = {d["device_id"]: d["known"] for d in cli("pkg", "devices", "list", "-o", "json").json}
    assert known == {"door-0": True, "door-1": True, "door-2": False}


def test_only_what_is_signed_acts_where_a_key_is_set(
    cli: Invoke,
    conn: Conn,
    house: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key, other = tmp_path / "key", tmp_path / "other"
    key.write_text("0123456789abcdef")
    other.write_text("fedcba9876543210")
    signed: dict[str, tuple[str, ...]] = {
        "v1": (),
        "v2": ("--sign", str(other)),
        "v3": ("--sign", str(key)),
    }
    ids = {name: stored(cli, house, name, *more)["id"] for name, more in signed.items()}
    for snapshot_id in ids.values():
        green(conn, snapshot_id)
    assert cli("pkg", "promote", "v1", "--yes").code == 0

    def state() -> list[Any]:
        return conn.execute(
            "SELECT (SELECT array_agg(version) FROM pkg_snapshots WHERE is_active) AS active,"
            " (SELECT count(*) FROM pkg_promotions) AS promotions,"
            " (SELECT count(*) FROM pkg_rollout_events) AS events,"
            " (SELECT count(*) FROM pkg_rollout_plans) AS plans"
        ).fetchall()

    monkeypatch.setenv("PKG_VERIFY_KEY", str(key))
    before = state()
    for name, code in (("v1", "pkg.unsigned"), ("v2", "pkg.bad_signature")):
        for words in (
            ("promote", name, "--force", "--reason", "now", "--yes"),
            ("promote", name, "--dry-run"),
            ("canary", "start", name, "--target", "router", "--yes"),
        ):
            refused = cli("pkg", *words, "-o", "json")
            assert (refused.code, refused.error["code"]) == (3, code)
    assert state() == before
    assert cli("pkg", "promote", "v3", "--yes").code == 0
    before = state()
    back = cli("pkg", "rollback", "--yes", "-o", "json")
    assert (back.code, back.error["code"], state()) == (3, "pkg.unsigned", before)
    # A worker does not believe who makes one active past the commands.
    worker = Settings(pkg_verify_key=str(key))
    conn.execute("UPDATE pkg_snapshots SET is_active = false WHERE is_active")
    conn.execute("UPDATE pkg_snapshots SET is_active = true WHERE version = 'v2'")
    task = conn.execute("SELECT id::text FROM task_submit('any')").fetchone()
    assert task is not None
    asked = Asked(
        id=task["id"], attempts=1, type="any", domain=None, description=None, priority=0,
        drift_score=0.0, params={},
    )  # fmt: skip
    enactor = Enactor(worker, "me", conn)
    (verdict,) = enactor.decide([asked])
    enactor.close()
    assert verdict.error is not None
    assert verdict.error.startswith("pkg.bad_signature")
    for broken in ("short", None):
        key.write_text(broken) if broken else key.unlink()
        lost = cli("pkg", "promote", "v3", "--yes", "-o", "json")
        assert (lost.code, lost.error["code"]) == (78, "pkg.verify_key")
