from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke


def user_file(tmp_path: Path) -> Path:
    return tmp_path / "seedcore" / "config.toml"


def test_show_lists_what_was_set_and_where(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEEDCORE_HOME")
    assert invoke("config", "show").out == "key\tvalue\n"
    invoke("config", "set", "task_reap_batch", "7")
    monkeypatch.setenv("TASK_LEASE_S", "5m")
    result = invoke("config", "show", "--origin", "--columns", "key,value,origin")
    assert result.out == (
        "key\tvalue\torigin\n"
        f"task_reap_batch\t7\tfile:{user_file(tmp_path)}:1\n"
        "task_lease_s\t300.0\tenv:TASK_LEASE_S\n"
    )
    flag = invoke("--database-url", "postgresql://a:b@h/d", "config", "show", "-o", "json")
    assert flag.json[0]["value"] == "postgresql://a:***@h/d"
    assert flag.json[0]["origin"] == "flag"


def test_show_has_every_setting_on_request_and_one_by_name(invoke: Invoke) -> None:
    rows = invoke("config", "show", "--defaults", "-o", "json").json
    assert {"claim_batch_size", "output"} <= {row["key"] for row in rows}
    (row,) = invoke("config", "show", "CLAIM_BATCH_SIZE", "-o", "json").json
    assert (row["value"], row["origin"]) == (8, "default")
    result = invoke("config", "show", "claim_batch")
    assert (result.code, result.out) == (4, "")
    assert "claim_batch_size" in result.err


def test_show_names_the_variables_of_libpq(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEEDCORE_HOME")
    monkeypatch.setenv("PGHOST", "db7")
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    rows = invoke("config", "show", "-o", "json").json
    assert [(r["key"], r["value"], r["origin"]) for r in rows] == [
        ("PGHOST", "db7", "env:PGHOST"),
        ("PGPASSWORD", "***", "env:PGPASSWORD"),
    ]


def test_check_reports_each_problem_with_its_place(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert invoke("config", "check").code == 0
    Path("seedcore.toml").write_text("task_lease_s = true\nplugins = 'x'\nclaim_batch = 3\n")
    monkeypatch.setenv("SEEDCORE_TASK_LEAS_S", "1")
    result = invoke("config", "check", "-o", "json")
    assert result.code == 78
    place = tmp_path / "seedcore.toml"
    assert [(row["severity"], row["place"]) for row in result.json] == [
        ("error", f"file:{place}:1"),
        ("warning", f"{place}:2"),
        ("warning", f"{place}:3"),
        ("warning", "env:SEEDCORE_TASK_LEAS_S"),
    ]
    assert "claim_batch_size" in result.json[2]["hint"]
    assert invoke("config", "show").code == 78


def test_profiles_are_made_used_and_left(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "postgresql://ada:hunter2@db1/lab"
    made = invoke("config", "set", "database_url", url, "--profile", "lab", "-o", "json")
    assert made.json["after"] == "postgresql://ada:***@db1/lab"
    assert invoke("config", "use", "lab").code == 0
    (row,) = invoke("config", "profiles", "-o", "json").json
    assert row == {
        "name": "lab",
        "database": "postgresql://ada:***@db1/lab",
        "protected": False,
        "active": True,
        "file": str(user_file(tmp_path)),
    }
    assert tomllib.loads(user_file(tmp_path).read_text()) == {
        "profile": "lab",
        "profiles": {"lab": {"database_url": url}},
    }
    unknown = invoke("config", "use", "lb")
    assert (unknown.code, unknown.out) == (4, "")
    assert invoke("config", "use", "--none").code == 0
    assert invoke("config", "profiles", "-o", "json").json[0]["active"] is False
    assert invoke("config", "use").code == 2


def test_set_validates_says_what_changed_and_can_be_tried(invoke: Invoke, tmp_path: Path) -> None:
    tried = invoke("config", "set", "lease_seconds", "2m", "-n", "-o", "json").json
    assert tried["dry_run"] is True
    assert (tried["before"], tried["after"], tried["changed"]) == (None, 120.0, True)
    assert not user_file(tmp_path).exists()
    assert invoke("config", "set", "lease_seconds", "2m").code == 0
    again = invoke("config", "set", "LEASE_SECONDS", "120")
    assert (again.code, again.err) == (0, "unchanged\n")
    assert invoke("config", "set", "lease_seconds", "soon").code == 78
    assert invoke("config", "set", "leaseseconds", "1").code == 4
    assert invoke("config", "set", "lease_seconds").code == 2
    assert invoke("config", "set", "lease_seconds", "--unset").code == 0
    assert user_file(tmp_path).read_text().strip() == ""


def test_schema_is_json_schema_whatever_the_format(invoke: Invoke) -> None:
    document = json.loads(invoke("config", "schema").out)
    assert document["properties"]["task_lint_mode"]["enum"] == ["warn", "strict", "off"]
    assert (
        "task_lease_s" in document["properties"]["profiles"]["additionalProperties"]["properties"]
    )


def test_settings_of_the_database(cli: Invoke) -> None:
    rows = cli("config", "show", "--database", "-o", "json").json
    assert {row["key"]: row["value"] for row in rows}["task_event_level"] == "terminal"
    tried = cli("config", "set", "--database", "task_event_level", "all", "-n", "-o", "json")
    assert tried.json["dry_run"] is True
    result = cli(
        "config", "set", "--database", "task_event_level", "all", "--actor", "ada", "-o", "json"
    )
    assert (result.json["before"], result.json["after"]) == (None, "all")
    (row,) = cli("config", "show", "--database", "task_event_level", "-o", "json").json
    assert (row["value"], row["origin"]) == ("all", "database:ada")
    assert cli("config", "set", "--database", "task_event_level", "some").code == 2
    assert cli("config", "set", "--database", "lease_seconds", "1").code == 4
    assert cli("config", "set", "--database", "task_event_level", "--unset").code == 0
    (row,) = cli("config", "show", "--database", "task_event_level", "-o", "json").json
    assert row["origin"] == "default"


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e3", "soon", "15 s", "", "0.0"])
def test_a_window_takes_seconds_above_zero(cli: Invoke, value: str) -> None:
    refused = cli("config", "set", "--database", "instance_window_s", "--", value)
    assert (refused.code, refused.out) == (2, "")
    (row,) = cli("config", "show", "--database", "instance_window_s", "-o", "json").json
    assert (row["value"], row["origin"]) == ("15", "default")
