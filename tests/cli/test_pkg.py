"""`seedcore pkg`: policies from folder to snapshot and back, promoted and taken back."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.cli.conftest import Invoke

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def house(cli: Invoke, tmp_path: Path) -> Path:
    """The example's folder."""
    folder = tmp_path / "house"
    assert cli("pkg", "init", folder).code == 0
    return folder


def stored(cli: Invoke, house: Path, version: str, *more: str) -> dict[str, Any]:
    return cli("pkg", "snapshot", "create", version, "--from", house, *more, "-o", "json").json


def green(conn: Conn, snapshot_id: int) -> None:
    """Record a validation run of what the snapshot is now."""
    conn.execute(
        "INSERT INTO pkg_validation_runs (snapshot_id, finished_at, success, subject_digest, cases_total)"
        " VALUES (%(id)s, now(), true, pkg_snapshot_digest(%(id)s), 4)",
        {"id": snapshot_id},
    )


def test_a_folder_becomes_a_snapshot_and_comes_back_byte_for_byte(
    cli: Invoke, conn: Conn, house: Path, tmp_path: Path
) -> None:
    refused = cli("pkg", "init", house, "-o", "json")
    assert (refused.code, refused.error["code"]) == (5, "pkg.folder_not_empty")
    dry = cli("pkg", "snapshot", "create", "v1", "--from", house, "--dry-run", "-o", "json").json
    assert (dry["id"], cli("pkg", "snapshot", "list", "-o", "json").json) == (None, [])
    key = tmp_path / "key"
    key.write_text("0123456789abcdef")
    row = stored(cli, house, "v1", "--sign", str(key), "--checksum", dry["checksum"])
    assert (row["checksum"], row["rules"], row["fixtures"]) == (dry["checksum"], 3, 4)
    assert cli("pkg", "snapshot", "create", "v1", "--from", house).code == 5
    for version in ("a\nb", " v9", ""):
        assert cli("pkg", "snapshot", "create", version, "--from", house).code == 2
    wrong = cli(
        "pkg", "snapshot", "create", "v9", "--from", house, "--checksum", "00", "-o", "json"
    )
    assert (wrong.code, wrong.error["code"]) == (3, "pkg.checksum_mismatch")
    assert cli("pkg", "snapshot", "show", "v1", "--key", key).code == 0
    key.write_text("another key of ours")
    assert cli("pkg", "snapshot", "show", "v1", "--key", key).code == 3
    shown = cli("pkg", "snapshot", "show", "v1", "-o", "json").json
    assert (shown["validated"], shown["validation"]) == (False, "never validated")
    rules = cli("pkg", "snapshot", "show", "v1", "--rules", "-o", "json").json
    assert [r["rule"] for r in rules] == ["quiet-hours", "hot-room", "broken-sensor"]

    for name in ("a.tar", "b.tar", "back/"):
        assert cli("pkg", "snapshot", "export", "v1", "-f", name).code == 0
    assert cli("pkg", "snapshot", "export", "v1", "-f", "a.tar").code == 5
    assert Path("a.tar").read_bytes() == Path("b.tar").read_bytes()
    assert _tree(Path("back")) == _tree(house)
    again = cli("pkg", "snapshot", "create", "v2", "--from", "a.tar", "-o", "json").json
    assert again["checksum"] == row["checksum"]
    assert cli("pkg", "diff", "v1", "v2", "--exit-code").code == 0

    copied = cli("pkg", "snapshot", "copy", "v1", "--to-env", "staging", "-o", "json").json
    assert (copied["env"], copied["checksum"]) == ("staging", row["checksum"])
    ambiguous = cli("pkg", "snapshot", "show", "v1", "-o", "json")
    assert (ambiguous.code, ambiguous.error["code"]) == (2, "pkg.ambiguous_version")
    assert cli("pkg", "snapshot", "show", "v1@staging", "-o", "json").json["id"] == copied["id"]
    assert cli("pkg", "snapshot", "delete", "v1@staging", "--confirm", "v1").code == 0
    assert [r["version"] for r in cli("pkg", "snapshot", "list", "-o", "json").json] == ["v2", "v1"]

    conn.execute("UPDATE pkg_rule_conditions SET value = '27' WHERE value = '28'")
    changed = cli("pkg", "snapshot", "show", "v1", "--rules", "-o", "json")
    assert (changed.code, changed.error["code"]) == (3, "pkg.checksum_mismatch")


def test_an_invalid_folder_is_told_with_file_and_line_and_stores_nothing(
    cli: Invoke, house: Path
) -> None:
    rule = house / "rules" / "hot-room.yaml"
    rule.write_text(rule.read_text().replace("subtask: cool_room", "subtask: cool_rom"))
    result = cli("pkg", "snapshot", "create", "v1", "--from", house, "-o", "json")
    assert (result.code, result.out) == (3, "")
    assert result.error["message"].startswith("rules/hot-room.yaml:9: there is no subtask type")
    assert result.error["details"]["errors"][0]["line"] == 9
    foreign = house.with_name("foreign")
    (foreign / "rules").mkdir(parents=True)
    (foreign / "policy.yaml").write_text("notes: none\n")
    (foreign / "rules" / "main.rego").write_text("package pkg\n\nallow := {\n  x ==\n}\n")
    result = cli("pkg", "snapshot", "create", "v1", "--from", foreign, "-o", "json")
    assert (result.code, result.error["message"].split(" ")[0]) == (3, "rules/main.rego:4:")
    assert cli("pkg", "snapshot", "list", "-o", "json").json == []
    assert cli("pkg", "snapshot", "create", "v1", "--from", "nowhere").code == 4


def test_a_difference_names_what_changes(cli: Invoke, house: Path) -> None:
    stored(cli, house, "v1")
    rule = house / "rules" / "hot-room.yaml"
    rule.write_text(rule.read_text().replace("value: 28", "value: 29"))
    (house / "rules" / "quiet-hours.yaml").unlink()
    (house / "fixtures" / "house.yaml").unlink()
    result = cli("pkg", "diff", "v1", "--from", house, "--exit-code", "-o", "jsonl")
    assert result.code == 3
    changes = {(row["kind"], row["name"]): row["change"] for row in result.rows}
    assert changes[("rule conditions", "hot-room")] == "changed"
    assert changes[("rule", "quiet-hours")] == "removed"
    assert changes[("fixture", "vacuuming at night")] == "removed"
    effects = cli("pkg", "diff", "v1", "--from", house, "--emissions", "-o", "jsonl").rows
    assert [row["name"] for row in effects] == ["quiet-hours"]


def test_decisions_that_change_are_found_on_recorded_inputs(
    cli: Invoke, conn: Conn, house: Path, tmp_path: Path
) -> None:
    snapshot_id = stored(cli, house, "v1")["id"]
    warm = {
        "tags": ["climate"],
        "signals": {"temperature": 28.5},
        "context": {"room": {"kind": "guest"}},
    }
    hot = warm | {"signals": {"temperature": 31}}
    for raw in (warm, warm, hot):
        conn.execute(
            "INSERT INTO pkg_evaluations (snapshot_id, target, input_digest, outcome, duration_ms, input)"
            " VALUES (%s, 'router', '', 'ok', 1, %s)",
            [snapshot_id, json.dumps(raw)],
        )
    rule = house / "rules" / "hot-room.yaml"
    rule.write_text(rule.read_text().replace("value: 28", "value: 29"))
    found = cli("pkg", "diff", "v1", "--from", house, "--decisions", "-o", "json").json
    assert [(row["before"], row["after"], row["input"]) for row in found] == [
        ("cool_room, notify_staff, cool_room->notify_staff", "nothing", warm)
    ]
    inputs = tmp_path / "inputs.ndjson"
    inputs.write_text(json.dumps(hot) + "\n" + json.dumps(warm) + "\n")
    own = cli("pkg", "diff", "v1", "--from", house, "--inputs", inputs, "--exit-code", "-o", "json")
    assert (own.code, [row["name"] for row in own.json]) == (3, ["line 2"])
    inputs.write_text("{}\n{]\n")
    bad = cli("pkg", "diff", "v1", "--from", house, "--inputs", inputs)
    assert (bad.code, "line 2" in bad.err) == (2, True)


def test_promotions_are_gated_expected_recorded_and_taken_back(
    cli: Invoke, conn: Conn, house: Path
) -> None:
    first, second = (stored(cli, house, version)["id"] for version in ("v1", "v2"))
    gate = cli("pkg", "promote", "v1", "--yes", "-o", "json")
    assert (gate.code, gate.error["code"]) == (5, "pkg.not_validated")
    mute = cli("pkg", "promote", "v1", "--force", "--yes", "-o", "json")
    assert (mute.code, mute.error["code"]) == (2, "pkg.reason_required")
    green(conn, first)
    green(conn, second)
    dry = cli("pkg", "promote", "v1", "--dry-run", "-o", "json").json
    assert (dry["to_version"], _active(conn)) == ("v1", [])
    assert cli("pkg", "promote", "v1", "--expect-version", "", "--yes").code == 0
    lost = cli("pkg", "promote", "v2", "--expect-version", "", "--yes", "-o", "json")
    assert (lost.code, lost.error["code"]) == (5, "pkg.active_changed")
    done = cli(
        "pkg",
        "promote",
        "v2",
        "--expect-version",
        "v1",
        "--yes",
        "--reason",
        "better",
        "-o",
        "json",
    ).json
    assert (done["from_version"], done["to_version"], done["changed"]) == ("v1", "v2", True)
    again = cli("pkg", "promote", "v2", "--yes", "-o", "json").json
    assert (again["promotion_id"], again["changed"]) == (done["promotion_id"], False)
    abroad = cli("pkg", "promote", "v2", "--env", "dev", "--yes", "-o", "json")
    assert (abroad.code, abroad.error["code"]) == (5, "pkg.env_mismatch")
    kept = cli("pkg", "snapshot", "delete", "v1", "--confirm", "v1", "-o", "json")
    assert (kept.code, kept.error["code"]) == (5, "pkg.snapshot_in_use")
    assert cli("pkg", "snapshot", "delete", "v2", "--confirm", "v2").code == 5
    snapshot = cli("pkg", "snapshot", "show", "v1", "-o", "json").json
    change = "UPDATE pkg_snapshots SET checksum = %s WHERE version = 'v1'"
    conn.execute(change, ["0" * 64])
    for words in (["rollback", "--yes"], ["snapshot", "export", "v1", "-f", "v1.tar"]):
        damaged = cli("pkg", *words, "-o", "json")
        assert (damaged.code, damaged.error["code"]) == (3, "pkg.checksum_mismatch")
    assert _active(conn) == ["v2"]
    conn.execute(change, [snapshot["checksum"]])
    back = cli("pkg", "rollback", "--yes", "--reason", "worse", "-o", "json").json
    assert (back["action"], back["to_version"], _active(conn)) == ("rollback", "v1", ["v1"])
    assert cli("pkg", "rollback", "--yes").code == 4
    history = cli("pkg", "history", "-o", "json").json
    assert [(h["action"], h["from_version"], h["to_version"], h["reason"]) for h in history] == [
        ("rollback", "v2", "v1", "worse"), ("promote", "v1", "v2", "better"), ("promote", None, "v1", None),
    ]  # fmt: skip
    events = conn.execute(
        "SELECT payload ->> 'to' AS version FROM task_outbox WHERE event_type = 'pkg.promoted' ORDER BY id"
    ).fetchall()
    assert [e["version"] for e in events] == ["v1", "v2", "v1"]


def _active(conn: Conn) -> list[str]:
    rows = conn.execute("SELECT version FROM pkg_snapshots WHERE is_active").fetchall()
    return [row["version"] for row in rows]


def _tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }
