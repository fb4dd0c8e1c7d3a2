"""`seedcore doctor`: what it prints, and that its exit code tells the truth in every format."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.cli.conftest import Invoke

FINE = "clock,indexes,lanes"
"""Checks that a fresh database of the tests passes; others depend on its server."""


@pytest.fixture
def paused(conn: psycopg.Connection[dict[str, Any]]) -> None:
    """A database that doctor warns of."""
    conn.execute("SELECT queue_pause('queue', 'ann', 'why | not')")


@pytest.fixture
def broken(conn: psycopg.Connection[dict[str, Any]]) -> None:
    """A database that doctor finds a fault in."""
    conn.execute("ALTER TABLE tasks SET (autovacuum_enabled = off)")


def test_each_check_says_how_it_stands(cli: Invoke) -> None:
    done = cli("doctor", "--only", FINE, "-o", "json")
    assert done.code == 0
    assert [row["check"] for row in done.json] == FINE.split(",")
    assert {row["status"] for row in done.json} == {"ok"}
    assert all(row["seconds"] >= 0 for row in done.json)
    assert cli("doctor", "--only", FINE, "-o", "name").out.split() == FINE.split(",")


def test_a_fault_is_exit_3_in_every_format(cli: Invoke, broken: None) -> None:
    for form in ("table", "tsv", "json", "jsonl", "yaml", "name"):
        assert cli("doctor", "--only", "autovacuum", "-o", form).code == 3, form


@pytest.mark.usefixtures("paused")
def test_a_warning_is_exit_3_only_when_strict(cli: Invoke) -> None:
    done = cli("doctor", "--only", "lanes", tty=True)
    assert done.code == 0
    assert "seedcore queue resume queue" in " ".join(done.out.split())
    assert "1 warn" in done.err
    assert cli("doctor", "--only", "lanes", "--strict").code == 3


def test_nagios_gets_one_line_and_its_own_codes(
    cli: Invoke, conn: psycopg.Connection[dict[str, Any]]
) -> None:
    done = cli("doctor", "--only", FINE, "-o", "nagios")
    assert (done.code, done.out) == (0, "SEEDCORE OK - 3 checks | ok=3 warn=0 fail=0 skip=0\n")
    conn.execute("SELECT queue_pause('queue', 'ann', 'why | not')")
    done = cli("-o", "tsv", "doctor", "--only", FINE, "-o", "NAGIOS")
    assert done.code == 1
    assert done.out.startswith("SEEDCORE WARNING - lanes: lane queue has been paused")
    assert done.out.count("|") == 1
    conn.execute("ALTER TABLE tasks SET (autovacuum_enabled = off)")
    done = cli("doctor", "--only", "lanes,autovacuum", "-o", "nagios")
    assert done.code == 2
    assert done.out.splitlines()[0].startswith("SEEDCORE CRITICAL - autovacuum: ")
    assert done.out.splitlines()[1].startswith("warn lanes: ")
    done = cli("doctor", "--only", "nonsense", "-o", "nagios")
    assert (done.code, done.out[:19]) == (3, "SEEDCORE UNKNOWN - ")


def test_without_a_database_the_rest_still_runs(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDCORE_DATABASE_URL", "postgresql://u:pa55w@127.0.0.1:1/none")
    done = invoke("doctor", "-o", "json")
    assert done.code == 3
    found = {row["check"]: row for row in done.json}
    assert found["config"]["status"] == "ok"
    assert found["disk"]["status"] == "skip"
    assert found["db"]["status"] == "fail"
    assert {found[n]["status"] for n in ("horizon", "clock", "tools")} == {"skip"}
    assert "pa55w" not in done.out + done.err
    assert invoke("doctor", "-o", "nagios").code == 2


def test_an_embedded_server_that_is_stopped_stays_stopped(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("doctor", "--only", "db,horizon", "-o", "json")
    assert done.code == 3
    assert [row["status"] for row in done.json] == ["fail", "skip"]
    assert done.json[0]["hint"] == "seedcore migrate up"
    assert not (tmp_path / "postgres").exists()


def test_a_database_without_a_schema_is_told_apart(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, blank_database_url: str
) -> None:
    monkeypatch.setenv("SEEDCORE_DATABASE_URL", blank_database_url)
    done = invoke("doctor", "--only", "clock,migrations,stale", "-o", "json")
    assert done.code == 3
    clock, *migrations, stale = done.json
    assert clock["status"] == "ok"
    assert migrations[0]["status"] == "fail"
    assert migrations[0]["hint"] == "seedcore migrate up"
    assert stale["status"] == "skip"


def test_an_invalid_configuration_is_found_and_no_database_is_touched(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASK_LEASE_S", "soon")
    done = invoke("doctor", "--only", "config,db,clock", "-o", "json")
    assert done.code == 3
    config, db, clock = done.json
    assert "TASK_LEASE_S" in config["detail"]
    assert (db["status"], clock["status"]) == ("fail", "skip")


def test_open_secrets_are_found_and_closed(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    passfile = tmp_path / "pass"
    passfile.write_text("*:*:*:*:x")
    passfile.chmod(0o644)
    monkeypatch.setenv("PGPASSFILE", str(passfile))
    done = invoke("doctor", "--only", "permissions", "-o", "json")
    assert done.code == 3
    assert done.json[0]["hint"] == f"chmod 600 {passfile}"
    assert passfile.stat().st_mode & 0o777 == 0o644
    done = invoke("doctor", "--only", "permissions", "--fix", "-o", "json")
    assert done.code == 0
    assert done.json[0]["fixed"] == f"chmod 600 {passfile}"
    assert passfile.stat().st_mode & 0o777 == 0o600


def test_a_bundle_holds_no_secret_and_nothing_of_the_tasks(
    cli: Invoke,
    conn: psycopg.Connection[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("SEEDCORE_API_TOKEN", "hush-token")
    conn.execute(
        "SELECT task_submit(p_type => 'echo', p_description => 'hush-text',"
        ' p_params => \'{"x": "hush-params"}\')'
    )
    path = tmp_path / "report.tar.gz"
    done = cli("doctor", "--bundle", path, "--only", FINE + ",db,horizon")
    assert done.code == 0, done.err
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as archive:
        files = {m.name.removeprefix("seedcore-doctor/"): archive.extractfile(m) for m in archive}
        texts = {name: file.read().decode() for name, file in files.items() if file}
    assert {"report.json", "settings.json", "sessions.json", "revisions.json"} <= set(texts)
    assert json.loads(texts["index_statistics.json"])
    everything = "".join(texts.values())
    assert "hush" not in everything
    assert "seedcore_test:seedcore_test" not in everything
    again = cli("doctor", "--bundle", path, "--only", FINE)
    assert again.code == 5
    assert "exists already" in again.err


def test_an_unknown_check_is_named(cli: Invoke) -> None:
    done = cli("doctor", "--only", "clocks")
    assert done.code == 2
    assert "no check named 'clocks'" in done.err
    assert done.out == ""
