"""`seedcore db` on an embedded server and on a configured one."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from seedcore.db.connection import redact
from seedcore.db.embedded import EmbeddedServer
from tests.cli.conftest import Invoke
from tests.program import Program


@pytest.fixture
def embedded(invoke: Invoke, monkeypatch: pytest.MonkeyPatch, home: Path) -> Invoke:
    """`invoke` with a home folder of its own and no database URL."""
    monkeypatch.setenv("SEEDCORE_HOME", str(home))
    return invoke


def test_life_of_an_embedded_server(embedded: Invoke, home: Path) -> None:
    assert embedded("db", "status", "-o", "json").json["state"] == "absent"
    assert embedded("db", "url").code == 4
    assert embedded("db", "logs").code == 4
    assert embedded("db", "upgrade").code == 4

    first = embedded("db", "start", "-o", "json")
    assert first.code == 0
    assert first.json["changed"] is True
    assert first.json["state"] == "ready"
    assert first.json["data_dir"] == str(home / "postgres" / "data")
    assert ":***@" in first.json["url"]
    again = embedded("db", "start", "-o", "json").json
    assert (again["changed"], again["pid"]) == (False, first.json["pid"])

    shown = embedded("db", "status", "--exit-code", "-o", "json")
    assert shown.code == 0
    assert shown.json["running"] is True
    assert shown.json["pid"] == first.json["pid"]
    assert shown.json["version"].startswith("18.")
    assert shown.json["schema_revision"] is None
    assert shown.json["size_bytes"] > 1_000_000
    assert any(name.startswith("vector ") for name in shown.json["extensions"])

    assert embedded("db", "restart", "-o", "json").json["pid"] != first.json["pid"]
    log = embedded("db", "logs", "-n", "0")
    assert "database system is ready to accept connections" in log.out
    assert len(embedded("db", "logs", "-n", "2", "-o", "jsonl").rows) == 2
    assert embedded("db", "logs", "--since", "now").out == ""
    assert embedded("db", "upgrade", "-o", "json").json["kept"] is None

    stopped = embedded("db", "stop", "-o", "json")
    assert (stopped.json["state"], stopped.json["changed"]) == ("stopped", True)
    assert embedded("db", "stop", "-o", "json").json["changed"] is False
    assert embedded("db", "status").code == 0
    assert embedded("db", "status", "--exit-code").code == 3

    assert embedded("db", "wait", "--for", "writable").code == 0  # starts it
    assert EmbeddedServer(home).status().is_running


def test_destroy_needs_the_name(embedded: Invoke, home: Path) -> None:
    embedded("db", "start")
    refused = embedded("db", "destroy", "-o", "json")
    assert refused.code == 10
    assert refused.out == ""
    assert "--confirm seedcore" in refused.error["hint"]
    assert embedded("db", "destroy", "--confirm", "other").code == 10
    planned = embedded("db", "destroy", "--dry-run", "-o", "json").json
    assert planned == {
        "data_dir": str(home / "postgres" / "data"),
        "destroyed": True,
        "dry_run": True,
    }
    assert EmbeddedServer(home).status().is_running
    assert embedded("db", "destroy", "--confirm", "seedcore").code == 0
    assert not (home / "postgres").exists()
    assert (
        embedded("db", "destroy", "--confirm", "seedcore", "-o", "json").json["destroyed"] is False
    )


def test_data_dir_names_another_home(embedded: Invoke, home: Path) -> None:
    home.chmod(0o711)
    started = embedded("db", "start", "--data-dir", home / "second", "-o", "json").json
    assert started["data_dir"] == str(home / "second" / "postgres" / "data")
    assert EmbeddedServer(home / "second").destroy()


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "destroy", "logs", "upgrade"])
def test_commands_of_the_embedded_server_leave_a_configured_one_alone(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setenv("PGHOST", "db.example")
    by_variable = invoke("db", verb, "-o", "json")
    by_flag = invoke("db", verb, "--database-url", "postgresql://me:secret@db/x")
    assert (by_variable.code, by_flag.code) == (5, 5)
    assert by_variable.error["code"] == "db.not_embedded"
    assert "secret" not in by_flag.err


def test_status_of_a_configured_server(cli: Invoke, conn: psycopg.Connection[Any]) -> None:
    shown = cli("db", "status", "--exit-code", "-o", "json")
    assert shown.code == 0
    assert shown.json["running"] is True
    assert shown.json["embedded"] is False
    assert shown.json["database"] == conn.info.dbname
    assert shown.json["connections"] >= 2
    assert shown.json["schema_revision"]


def test_status_of_a_server_that_is_down(invoke: Invoke, tmp_path: Path) -> None:
    url = f"postgresql://me:secret@/x?host={tmp_path}"
    shown = invoke("db", "status", "-o", "json", "--database-url", url)
    assert shown.code == 0
    assert shown.json["running"] is False
    assert shown.json["state"] == "unreachable"
    assert shown.json["reason"]
    assert "secret" not in shown.out
    assert invoke("db", "status", "--exit-code", "--database-url", url).code == 3


def test_url_hides_the_password_unless_asked(
    cli: Invoke, invoke: Invoke, database_url: str
) -> None:
    assert cli("db", "url").out.strip() == redact(cli("db", "url", "--show-password").out.strip())
    assert ":***@" in cli("db", "url").out
    with psycopg.connect(cli("db", "url", "--show-password").out.strip()) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
    sqlalchemy = cli("db", "url", "--driver", "sqlalchemy").out
    assert sqlalchemy.startswith("postgresql+psycopg://")
    assert cli("db", "url", "-o", "json").json == {"url": cli("db", "url").out.strip()}


def test_url_is_put_together_from_the_variables_of_libpq(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "PGHOST": "db.example",
        "PGPORT": "6543",
        "PGUSER": "me@corp",
        "PGPASSWORD": "p/w:d",
        "PGDATABASE": "tasks",
    }.items():
        monkeypatch.setenv(name, value)
    assert invoke("db", "url").out == "postgresql://me%40corp:***@db.example:6543/tasks\n"
    shown = invoke("db", "url", "--show-password").out
    assert shown == "postgresql://me%40corp:p%2Fw%3Ad@db.example:6543/tasks\n"


def test_wait_ends_when_the_goal_is_reached(cli: Invoke) -> None:
    for goal in ("ready", "migrated", "writable"):
        assert cli("db", "wait", "--for", goal).code == 0


def test_wait_gives_up_and_says_what_was_missing(
    invoke: Invoke, blank_database_url: str, tmp_path: Path
) -> None:
    late = invoke(
        *("db", "wait", "--for", "migrated", "--timeout", "0.2s", "-o", "json"),
        *("--database-url", blank_database_url),
    )
    assert late.code == 6
    assert late.error["hint"] == "seedcore migrate up"
    url = f"postgresql:///x?host={tmp_path}"
    assert invoke("db", "wait", "--timeout", "0.2s", "--database-url", url).code == 6


def test_wait_sees_a_server_come_up(seedcore: Program, home: Path) -> None:
    server = EmbeddedServer(home, unsafe=True)
    server.ensure_running()
    url = server.conninfo()
    server.stop()
    waiting = seedcore.start("db", "wait", "--timeout", "30s", env={"SEEDCORE_DATABASE_URL": url})
    time.sleep(0.5)
    assert waiting.poll() is None
    server.ensure_running()
    assert waiting.wait(timeout=60) == 0


def test_psql_reads_and_writes_only_when_asked(
    seedcore: Program, conn: psycopg.Connection[Any]
) -> None:
    conn.execute("CREATE TABLE box (id int)")
    assert seedcore("db", "psql", "-c", "SELECT 6 * 7 AS x").stdout.split()[2] == "42"
    refused = seedcore("db", "psql", "-c", "INSERT INTO box VALUES (1)")
    assert refused.returncode == 1
    assert "read-only transaction" in refused.stderr
    written = seedcore("db", "psql", "--write", "-c", "INSERT INTO box VALUES (1)")
    assert written.returncode == 0
    assert conn.execute("SELECT count(*) AS n FROM box").fetchone() == {"n": 1}
    assert seedcore("db", "psql", "--", "--csv", "-c", "SELECT 1 AS a").stdout == "a\n1\n"
    assert seedcore("db", "psql", input="SELECT 'from stdin';\n").stdout.split()[2:4] == [
        "from",
        "stdin",
    ]


def test_password_is_never_an_argument(seedcore: Program, home: Path) -> None:
    server = EmbeddedServer(home, unsafe=True)
    server.ensure_running()
    running = seedcore.start(
        "db", "psql", "-c", "SELECT pg_sleep(30)", env={"SEEDCORE_DATABASE_URL": None}
    )
    end = time.monotonic() + 30
    arguments = ""
    while "pg_sleep" not in arguments or "psql\0--no-psqlrc" not in arguments:
        assert time.monotonic() < end
        arguments = Path(f"/proc/{running.pid}/cmdline").read_text()
    assert server.layout.password.read_text() not in arguments


def _count(url: str) -> int:
    with psycopg.connect(url) as conn:
        row = conn.execute("SELECT count(*) FROM tasks").fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def filled(conn: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    conn.execute("INSERT INTO tasks (type) SELECT 'echo' FROM generate_series(1, 25)")
    return conn


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_dump_comes_back_as_it_was(
    seedcore: Program, filled: psycopg.Connection[Any], database_url: str, tmp_path: Path, jobs: str
) -> None:
    name = filled.info.dbname
    done = seedcore("db", "dump", "day.dump", "--jobs", jobs, "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["size_bytes"] > 1000
    filled.execute("DELETE FROM tasks")
    filled.execute("CREATE TABLE made_later (id serial PRIMARY KEY)")
    filled.execute("CREATE SCHEMA other CREATE VIEW seen AS SELECT 1 AS one")
    assert seedcore("db", "restore", "day.dump", "--jobs", jobs).returncode == 10

    back = seedcore("db", "restore", "day.dump", "--jobs", jobs, "--confirm", name)
    assert back.returncode == 0, back.stderr
    assert _count(database_url) == 25
    filled.execute("INSERT INTO tasks (type) VALUES ('echo')")  # functions and triggers are back
    gone = filled.execute("SELECT to_regclass('made_later') AS a, to_regclass('other.seen') AS b")
    assert gone.fetchone() == {"a": None, "b": None}
    assert seedcore("db", "wait", "--for", "migrated", "--timeout", "5s").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["day.dump"]


def test_dump_goes_through_pipes(
    seedcore: Program, filled: psycopg.Connection[Any], database_url: str, tmp_path: Path
) -> None:
    command = f"""
    "$0" db dump - > day.dump && "$0" db psql --write -c 'DELETE FROM tasks' > log &&
    "$0" db restore - --confirm {filled.info.dbname} < day.dump
    """
    done = _shell(seedcore, command)
    assert done.returncode == 0, done.stderr
    assert _count(database_url) == 25
    closed = _shell(seedcore, 'set -o pipefail; "$0" db dump - | head -c 1 > first')
    assert closed.stderr == ""


def _shell(seedcore: Program, command: str) -> subprocess.CompletedProcess[str]:
    from tests.program import EXECUTABLE

    return subprocess.run(
        ["bash", "-c", command, str(EXECUTABLE)],
        env=seedcore.environment(),
        cwd=seedcore.cwd,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_damaged_dump_changes_nothing(
    seedcore: Program, filled: psycopg.Connection[Any], database_url: str, tmp_path: Path
) -> None:
    name = filled.info.dbname
    assert seedcore("db", "dump", "day.dump").returncode == 0
    whole = (tmp_path / "day.dump").read_bytes()
    (tmp_path / "cut.dump").write_bytes(whole[:-40])
    broken = seedcore("db", "restore", "cut.dump", "--confirm", name, "-o", "json")
    assert broken.returncode == 1
    assert "pg_restore" in json.loads(broken.stderr)["error"]["message"]
    assert _count(database_url) == 25
    (tmp_path / "note.txt").write_text("no dump at all\n")
    for file, code in (("note.txt", 2), ("missing.dump", 4)):
        assert seedcore("db", "restore", file, "--confirm", name).returncode == code
    assert _count(database_url) == 25


def test_restore_does_not_wait_for_ever_for_sessions_that_use_the_tables(
    seedcore: Program, filled: psycopg.Connection[Any], database_url: str
) -> None:
    assert seedcore("db", "dump", "day.dump").returncode == 0
    with psycopg.connect(database_url) as busy:
        busy.execute("SELECT FROM tasks")  # holds its lock until the transaction ends
        blocked = seedcore("db", "restore", "day.dump", "--confirm", filled.info.dbname)
    assert blocked.returncode == 9
    assert "stop the workers" in blocked.stderr


def test_schema_only_brings_no_rows(
    seedcore: Program, filled: psycopg.Connection[Any], database_url: str
) -> None:
    assert seedcore("db", "dump", "--schema-only", "empty.dump").returncode == 0
    name = filled.info.dbname
    assert seedcore("db", "restore", "empty.dump", "--confirm", name).returncode == 0
    assert _count(database_url) == 0


def test_failed_dump_leaves_no_file_and_spares_the_old_one(
    seedcore: Program, database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "day.dump").write_text("yesterday's")
    down = {"SEEDCORE_DATABASE_URL": f"postgresql:///x?host={tmp_path}"}
    failed = seedcore("db", "dump", "day.dump", env=down)
    assert failed.returncode == 69
    assert [path.name for path in tmp_path.iterdir()] == ["day.dump"]
    assert (tmp_path / "day.dump").read_text() == "yesterday's"
    (tmp_path / "folder").mkdir()
    assert seedcore("db", "dump", "folder").returncode == 5
    assert seedcore("db", "dump", "no/such/folder/x.dump").returncode == 2
    assert seedcore("db", "dump", "-", "--jobs", "2").returncode == 2
