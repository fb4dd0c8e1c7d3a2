from __future__ import annotations

import shutil
import sys
from pathlib import Path

import psycopg
import pytest

from seedcore.db.migrate import required_revision
from seedcore.db.migrate.lock import DUTY, SPACE
from seedcore.db.migrate.scripts import default_chain, default_directory
from tests.cli.conftest import Invoke
from tests.program import Program

HEAD = required_revision()


@pytest.fixture
def fresh(invoke: Invoke, monkeypatch: pytest.MonkeyPatch, blank_database_url: str) -> Invoke:
    """`invoke` on a database that no migration has touched."""
    monkeypatch.setenv("SEEDCORE_DATABASE_URL", blank_database_url)
    return invoke


def name_of(url: str) -> str:
    with psycopg.connect(url) as connection:
        return connection.info.dbname


def after(revision: str) -> list[str]:
    """Return the revisions that follow."""
    ids = default_chain().ids
    return list(ids[ids.index(revision) + 1 :])


def test_up_prints_what_it_applied_and_repeats_without_effect(fresh: Invoke) -> None:
    result = fresh("migrate", "up", "-o", "json")
    assert result.code == 0
    assert [row["revision"] for row in result.json] == default_chain().ids
    assert all(row["seconds"] >= 0 and row["applied_at"].endswith("Z") for row in result.json)
    assert result.err == ""
    again = fresh("migrate", "up", "-o", "json")
    assert (again.code, again.out, again.err) == (0, "[]\n", "")
    assert "unchanged: the database is at" in fresh("migrate", "up").err


def test_up_keeps_the_libraries_silent(seedcore: Program) -> None:
    name = name_of(seedcore.env["SEEDCORE_DATABASE_URL"])
    assert seedcore("migrate", "down", "006", "--confirm", name).returncode == 0
    run = seedcore("migrate", "up", "--no-header")
    assert run.returncode == 0
    applied = after("006")
    assert [line.split("\t")[0] for line in run.stdout.splitlines()] == applied
    assert "alembic" not in run.stderr.lower()
    assert len(run.stderr.splitlines()) == len(applied) + 1


def test_a_dry_run_says_what_it_would_do(fresh: Invoke) -> None:
    result = fresh("migrate", "up", "+1", "--dry-run", "-o", "json")
    assert result.json == [
        {
            "revision": "001",
            "description": "create tasks table",
            "direction": "up",
            "seconds": None,
            "applied_at": None,
            "notes": [],
            "dry_run": True,
        }
    ]
    assert fresh("migrate", "status", "-o", "json").json["current"] is None


def test_up_starts_the_embedded_server(seedcore: Program) -> None:
    try:
        run = seedcore(
            "migrate", "up", "--no-header", env={"SEEDCORE_DATABASE_URL": None}, timeout=60
        )
        assert run.returncode == 0, run.stderr
        assert len(run.stdout.splitlines()) == len(default_chain().ids)
    finally:
        from seedcore.db.embedded import EmbeddedServer

        EmbeddedServer(Path(seedcore.env["SEEDCORE_HOME"])).stop("immediate")


def test_up_without_waiting_names_the_other(fresh: Invoke, blank_database_url: str) -> None:
    with psycopg.connect(blank_database_url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s, %s)", [SPACE, DUTY])
        result = fresh("migrate", "up", "--no-wait-lock", "-o", "json")
        assert result.code == 9
        assert result.out == ""
        assert result.error["code"] == "migrate.lock_busy"
        assert result.error["details"]["pid"] == other.info.backend_pid
        assert fresh("migrate", "up", "--lock-timeout", "0.1s").code == 9


def test_up_asks_first_where_the_profile_is_protected(
    fresh: Invoke, blank_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEEDCORE_DATABASE_URL")
    (tmp_path / "seedcore").mkdir()
    (tmp_path / "seedcore" / "config.toml").write_text(
        f'[profiles.prod]\ndatabase_url = "{blank_database_url}"\nprotected = true\n'
    )
    refused = fresh("migrate", "up", "+1", "--profile", "prod")
    assert refused.code == 10
    assert "apply revisions 001" in refused.err
    assert "--yes" in refused.err
    assert fresh("migrate", "up", "+1", "--profile", "prod", "--yes").code == 0
    assert fresh("migrate", "up", "001", "--profile", "prod").code == 0  # nothing to ask about


def test_down_wants_the_databases_name(cli: Invoke, database_url: str) -> None:
    name = name_of(database_url)
    refused = cli("migrate", "down", "006")
    assert refused.code == 10
    assert f"--confirm {name}" in refused.err
    assert cli("migrate", "down", "006", "--confirm", "other").code == 10
    assert cli("migrate", "status", "-o", "json").json["current"] == HEAD
    done = cli("migrate", "down", "006", "--confirm", name, "-o", "json")
    assert done.code == 0
    assert [row["revision"] for row in done.json] == after("006")[::-1]
    assert cli("migrate", "down", "006").code == 0  # unchanged needs no confirmation


def test_down_by_steps_needs_the_double_dash(cli: Invoke, database_url: str) -> None:
    result = cli("migrate", "down", "--dry-run", "-o", "name", "--", "-1")
    assert (result.code, result.out) == (0, f"{HEAD}\n")


def test_down_keeps_rows_unless_told(cli: Invoke, database_url: str) -> None:
    name = name_of(database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO tasks (type) VALUES ('echo')")
        connection.execute("TRUNCATE task_events")
    refused = cli("migrate", "down", "base", "--confirm", name, "-o", "json")
    assert refused.code == 5
    assert "--drop-data" in refused.error["hint"]
    assert cli("migrate", "down", "base", "--drop-data", "--confirm", name).code == 0


@pytest.mark.parametrize("command", ["up", "down", "plan", "stamp"])
def test_an_unknown_revision_exits_4(cli: Invoke, database_url: str, command: str) -> None:
    words = ["--confirm", name_of(database_url)] if command in ("down", "stamp") else []
    result = cli("migrate", command, "555", *words, "-o", "json")
    assert result.code == 4
    assert result.error["code"] == "migrate.unknown_revision"


def test_status_tells_what_is_pending(cli: Invoke, database_url: str) -> None:
    assert cli("migrate", "status", "--exit-code").code == 0
    cli("migrate", "down", "006", "--confirm", name_of(database_url))
    result = cli("migrate", "status", "--exit-code", "-o", "json")
    assert result.code == 3
    row = result.json
    assert (row["current"], row["head"], row["pending"], row["applied"]) == (
        "006",
        HEAD,
        len(after("006")),
        len(default_chain().ids) - len(after("006")),
    )
    assert row["last_applied_at"]
    assert row["locked_by"] is None
    assert cli("migrate", "status").code == 0


def test_status_names_a_foreign_revision(cli: Invoke, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'abc'")
    result = cli("migrate", "status", "--exit-code")
    assert result.code == 3
    assert "revision abc" in result.err
    assert cli("migrate", "up").code == 3


def test_history_tells_who_and_how_long(cli: Invoke, database_url: str) -> None:
    cli("migrate", "down", "007", "--confirm", name_of(database_url))
    rows = cli("migrate", "history", "-o", "json").json
    assert [row["revision"] for row in rows] == default_chain().ids
    assert rows[0]["lock_level"] == ""
    assert next(r for r in rows if r["revision"] == "006")["lock_level"] == "ACCESS EXCLUSIVE"
    assert rows[0]["applied_by"]
    assert rows[0]["duration_s"] >= 0
    assert rows[-1]["applied_at"] is None
    assert cli("migrate", "history", "--pending", "-o", "name").out.split() == after("007")
    assert cli("migrate", "history", "--applied", "--range", "005:", "-o", "name").out == (
        "005\n006\n007\n"
    )
    assert cli("migrate", "history", "--range", "005").code == 2


def test_plan_prints_sql_and_nothing_else(cli: Invoke, database_url: str) -> None:
    cli("migrate", "down", "006", "--confirm", name_of(database_url))
    result = cli("migrate", "plan", "--sql")
    assert result.code == 0
    assert result.out.startswith("SET search_path")
    assert "upgrade 006 -> 007" in result.out
    assert result.err == f"from 006 to {HEAD}\n"


def test_plan_without_a_database_asks_none(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDCORE_DATABASE_URL", "postgresql://127.0.0.1:1/nowhere")
    result = invoke("migrate", "plan", "007", "--sql", "--from", "006", "-q")
    assert result.code == 0
    assert "ix_tasks_type" in result.out
    assert invoke("migrate", "plan", "--sql").code == 69


def test_plan_does_not_make_an_embedded_server(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("migrate", "plan", "-o", "json")
    assert result.code == 0
    assert result.json[0]["revision"] == "001"
    assert not (tmp_path / "postgres").exists()


def test_plan_can_fail_on_destructive_statements(cli: Invoke) -> None:
    result = cli("migrate", "plan", "base", "--down", "--fail-on", "destructive", "-o", "json")
    assert result.code == 3
    assert any(row["destructive"] for row in result.json)
    assert cli("migrate", "plan", "007", "--from", "base", "--fail-on", "destructive").code == 0
    assert cli("migrate", "plan", "--fail-on", "typos").code == 2
    assert cli("migrate", "plan", "--down").code == 2


def test_check_exits_3_on_drift(cli: Invoke, database_url: str) -> None:
    assert cli("migrate", "check").code == 0
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP INDEX ix_tasks_type")
    result = cli("migrate", "check", "-o", "json")
    assert result.code == 3
    # By the metadata, and by the list of what there must be.
    bad = {row["check"]: row["detail"] for row in result.json if not row["ok"]}
    assert set(bad) == {"drift", "acceptance"}
    assert set(bad.values()) == {"index ix_tasks_type is missing"}
    assert cli("migrate", "check", "--only", "heads,integrity").code == 0
    assert cli("migrate", "check", "--only", "typos").code == 2


def test_check_waits_for_someone_elses_migration(cli: Invoke, database_url: str) -> None:
    cli("migrate", "down", "007", "--confirm", name_of(database_url))
    assert cli("migrate", "check", "--only", "pending", "--wait", "0.2s").code == 6
    assert cli("migrate", "check", "--only", "pending").code == 3


def test_stamp_wants_the_databases_name(cli: Invoke, database_url: str) -> None:
    assert cli("migrate", "stamp", "007").code == 10
    assert cli("migrate", "stamp", "007", "--dry-run", "-o", "json").json == {
        "before": HEAD,
        "after": "007",
        "dry_run": True,
    }
    done = cli("migrate", "stamp", "007", "--confirm", name_of(database_url), "-o", "name")
    assert (done.code, done.out) == (0, "007\n")
    assert cli("migrate", "status", "-o", "json").json["current"] == "007"


def test_new_writes_a_revision_that_works(
    invoke: Invoke, tmp_path: Path, blank_database_url: str
) -> None:
    """In a copy of the checkout, with the package of that copy."""
    import subprocess

    checkout = tmp_path / "checkout"
    for folder in ("seedcore", "seedcore_cli", "workers", "alembic"):
        shutil.copytree(
            default_directory().parent / folder,
            checkout / folder,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    (checkout / "pyproject.toml").touch()

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                sys.executable,
                "-c",
                "from seedcore_cli.main import main; raise SystemExit(main())",
                *words,
            ],
            cwd=checkout,
            env={
                "PYTHONPATH": str(checkout),
                "HOME": str(tmp_path),
                "SEEDCORE_DATABASE_URL": blank_database_url,
            },
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    made = run("migrate", "new", "add_task-labels", "--no-header")
    assert made.returncode == 0, made.stderr
    number = f"{int(HEAD) + 1:03}"
    assert made.stdout.splitlines() == [
        str(checkout / "alembic" / "versions" / f"{number}_add_task_labels.py"),
        str(checkout / "alembic" / "sql" / f"{number}_add_task_labels.sql"),
        str(checkout / "alembic" / "sql" / f"{number}_add_task_labels.down.sql"),
    ]
    (checkout / "alembic" / "sql" / f"{number}_add_task_labels.sql").write_text(
        "CREATE TABLE IF NOT EXISTS task_labels (id int PRIMARY KEY);\n"
    )
    (checkout / "alembic" / "sql" / f"{number}_add_task_labels.down.sql").write_text(
        "DROP TABLE IF EXISTS task_labels;\n"
    )
    assert run("migrate", "up").returncode == 0
    assert run("migrate", "status", "--columns", "current", "--no-header").stdout == f"{number}\n"
    assert run("migrate", "check").returncode == 0
    assert run("migrate", "new", "Not A Slug").returncode == 2
    assert run("migrate", "new", "too_early", "--number", "002").returncode == 2
    # Installed, there is no checkout to write to.
    (checkout / "pyproject.toml").unlink()
    refused = run("migrate", "new", "add_more")
    assert refused.returncode == 2
    assert "source checkout" in refused.stderr


def test_commands_that_need_the_schema_say_how_to_get_it(fresh: Invoke) -> None:
    result = fresh("task", "list", "-o", "json")
    assert result.code == 69
    assert result.error["code"] == "db.not_migrated"
    assert result.error["hint"] == "seedcore migrate up"


def test_no_password_is_shown_however_talkative(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDCORE_DATABASE_URL", "postgresql://ada:s3cr3t@127.0.0.1:1/nowhere")
    for words in (["up"], ["status"], ["check"], ["plan"], ["down", "base"], ["stamp", "007"]):
        result = invoke("migrate", *words, "-vv", "--debug")
        assert result.code == 69, result.err
        assert "s3cr3t" not in result.out + result.err
