"""`seedcore pkg eval`, `validate` and `replay`, and `task inspect --plan`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import psycopg
import pytest

from tests.cli.conftest import Invoke
from tests.unit.pkg.policies import pack

Conn = psycopg.Connection[dict[str, Any]]

HOT = json.dumps(
    {
        "tags": ["climate"],
        "signals": {"temperature": 31, "broken": "x"},
        "context": {"room": {"kind": "guest"}},
    }
)


@pytest.fixture
def house(invoke: Invoke, tmp_path: Path) -> Path:
    """The example's folder."""
    folder = tmp_path / "house"
    assert invoke("pkg", "init", folder).code == 0
    return folder


def test_a_folder_is_asked_without_a_database(invoke: Invoke, house: Path, tmp_path: Path) -> None:
    (tmp_path / "hot.json").write_text(HOT)
    for given, data in (("@hot.json", b""), ("-", HOT.encode()), (HOT, b"")):
        told = invoke(
            "pkg", "eval", "--from", house, "--input", given, "--explain", "-o", "json", input=data
        )
        assert (told.code, told.err) == (0, "")
        decided = told.json
        assert [s["id"] for s in decided["subtasks"]] == ["cool_room", "notify_staff"]
        assert decided["edges"] == [{"from": "cool_room", "to": "notify_staff", "type": "ORDERS"}]
        assert decided["dropped_signals"] == ["broken"]
        assert [t["rule_name"] for t in decided["trace"] if t["fired"]] == ["hot-room"]
        assert decided["snapshot"]["engine"] == "native"
    shown = invoke("pkg", "eval", "--from", house, "--input", "{}", "--explain", "-o", "table")
    assert "there is no such value in the input" in shown.out
    undecided = invoke("pkg", "eval", "--from", house, "--input", "{}", "--fail-undefined")
    assert undecided.code == 3


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ('{"tag": []}', 2, "did you mean tags"),
        ('{"facts": [1]}', 2, "/facts/0"),
        ("[]", 2, "a list, not an object"),
        ("{", 2, "not valid JSON"),
    ],
)
def test_an_input_that_is_none_is_refused(
    invoke: Invoke, house: Path, given: str, code: int, said: str
) -> None:
    for form in ("table", "json"):
        refused = invoke("pkg", "eval", "--from", house, "--input", given, "-o", form)
        assert (refused.code, refused.out) == (code, "")
        assert said in (refused.error["message"] if form == "json" else refused.err)


def test_an_engine_that_fails_ends_the_command(invoke: Invoke, tmp_path: Path) -> None:
    folder = tmp_path / "packed"
    (folder / "subtasks").mkdir(parents=True)
    (folder / "policy.yaml").write_text("version: v1\n")
    (folder / "subtasks" / "a.yaml").write_text("name: a\n")
    for content, code, kind in (
        (pack(), 0, None),
        (pack("unreachable"), 1, "pkg.trapped"),
        (b"\0asm", 3, "pkg.bad_module"),
    ):
        (folder / "policy.wasm").write_bytes(content)
        told = invoke("pkg", "eval", "--from", folder, "--input", "{}", "-o", "json")
        assert told.code == code
        assert (told.error["code"] if code else None) == kind
    (folder / "policy.wasm").unlink()
    (folder / "rules").mkdir()
    (folder / "rules" / "main.rego").write_text("package pkg\n\nimport rego.v1\n\na if {\n")
    told = invoke("pkg", "eval", "--from", folder, "--input", "{}")
    assert told.code == 3
    assert "rules/main.rego:" in told.err


def test_fixtures_are_run_and_what_fails_is_shown_with_its_place(
    invoke: Invoke, house: Path, tmp_path: Path
) -> None:
    green = invoke("pkg", "validate", "--from", house, "--coverage-min", "1", "-o", "json")
    assert green.code == 0
    assert (green.json["passed"], green.json["coverage"]) == (4, 1.0)
    few = tmp_path / "few"
    few.mkdir()
    (few / "one.yaml").write_text(
        "input: {tags: [climate], signals: {temperature: 31}, context: {room: {kind: lobby}}}\n"
        "expect: {subtasks: [{name: cool_room, params: {fan: high}}, notify_staff], edges: []}\n"
    )
    told = invoke(
        "pkg", "validate", "--from", house, "--fixtures", few, "--junit", "out.xml", "--format", "github"
    )  # fmt: skip
    assert told.code == 3
    assert (
        "::error file=few/one.yaml,line=1,title=one::edges: expected [], got"
        in told.err.replace(f"{tmp_path}/", "")
    )
    (suite,) = ElementTree.parse("out.xml").getroot()  # noqa: S314 - written here
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    assert suite[0].get("file") == "one.yaml"
    text = (few / "one.yaml").read_text()
    (few / "one.yaml").write_text(text.replace(", edges: []", ""))
    narrow = invoke("pkg", "validate", "--from", house, "--fixtures", few, "--coverage-min", "0.5")
    assert narrow.code == 3
    assert "33%" in narrow.err
    (few / "two.yaml").write_text("\ninput: {}\n")
    empty = invoke("pkg", "validate", "--from", house, "--fixtures", few, "-o", "json")
    assert (empty.code, empty.error["details"]["errors"][0]["line"]) == (3, 2)


def test_runs_of_a_snapshot_are_recorded_and_its_decisions_can_be_replayed(
    cli: Invoke, conn: Conn, house: Path
) -> None:
    assert cli("pkg", "eval", "--input", "{}", "-o", "json").error["code"] == (
        "pkg.no_active_snapshot"
    )
    for version, temperature in (("v1", "28"), ("v2", "35")):
        rule = house / "rules" / "hot-room.yaml"
        rule.write_text(rule.read_text().replace("value: 28", f"value: {temperature}"))
        assert cli("pkg", "snapshot", "create", version, "--from", house).code == 0
    assert cli("pkg", "validate", "v1", "-q").code == 0
    red = cli("pkg", "validate", "v2")
    assert red.code == 3
    assert '"a hot guest room"' in red.err
    runs = conn.execute("SELECT * FROM pkg_validation_runs ORDER BY id").fetchall()
    assert [(r["success"], r["cases_total"], r["cases_failed"]) for r in runs] == [
        (True, 4, 0), (False, 4, 1),
    ]  # fmt: skip
    assert runs[0]["report"]["coverage"] == 1.0
    assert cli("pkg", "promote", "v2", "--yes").code == 5
    assert cli("pkg", "promote", "v1", "--yes").code == 0
    assert cli("pkg", "eval", "--input", HOT, "-o", "json").json["snapshot"]["version"] == "v1"

    for temperature in (20, 31, 40):
        given = {**json.loads(HOT), "signals": {"temperature": temperature}}
        conn.execute(
            "INSERT INTO pkg_evaluations (snapshot_id, target, input_digest, outcome, duration_ms, input)"
            " SELECT id, 'router', 'x', 'ok', 1, %s FROM pkg_snapshots WHERE version = 'v1'",
            [json.dumps(given)],
        )
    told = cli("pkg", "replay", "--against", "v2", "--since", "1h", "--exit-code", "-o", "json")
    assert told.code == 3
    (changed,) = told.json
    assert (changed["before"], changed["after"]) == (
        "cool_room, notify_staff, cool_room->notify_staff", "nothing",
    )  # fmt: skip
    everything = cli("pkg", "replay", "--against", "v1", "--all", "--exit-code", "-o", "json")
    assert (everything.code, len(everything.json)) == (0, 3)
    conn.execute("UPDATE pkg_rule_conditions SET value = '1' WHERE value = '35'")
    assert cli("pkg", "replay", "--against", "v2", "-o", "json").error["code"] == (
        "pkg.checksum_mismatch"
    )
