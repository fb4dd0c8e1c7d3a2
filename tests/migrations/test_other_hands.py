"""Databases that were not migrated by the book: re-linked chains, stamps, older shapes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from seedcore.db import migrate
from seedcore.db.migrate import Options, scripts
from seedcore.errors import CheckFailed, NotFound
from tests.migrations.conftest import Connection, fill, schema_of

HEAD = scripts.default_chain().head


def unlink(directory: Path, revision: str, before: str, after: str) -> None:
    """Take a revision out of a copy of the chain."""
    for path in [*directory.glob(f"versions/{revision}_*"), *directory.glob(f"sql/{revision}_*")]:
        path.unlink()
    (path,) = directory.glob(f"versions/{after}_*.py")
    path.write_text(path.read_text().replace(f'"{revision}"', f'"{before}"'))


def test_a_relinked_chain_is_named_with_a_cure_that_works(
    blank_database_url: str, blank: Connection, scripts_copy: Path
) -> None:
    """A database of a release without 005 and 006 meets one that has them in the middle."""
    unlink(scripts_copy, "005", "004", "006")
    migrate.up(blank_database_url, options=Options(directory=scripts_copy))
    fill(blank, 50)
    with pytest.raises(CheckFailed) as caught:
        migrate.up(blank_database_url)
    assert caught.value.code == "migrate.relinked"
    assert "it never saw 005" in caught.value.message
    assert "'seedcore migrate stamp 004'" in (caught.value.hint or "")
    status = migrate.status(blank_database_url)
    assert (status.pending, status.problem) == (None, caught.value.message)
    (finding,) = migrate.check(blank_database_url, only=("pending",))
    assert finding.detail == caught.value.message
    migrate.stamp(blank_database_url, "004")
    migrate.up(blank_database_url)
    assert all(f.ok for f in migrate.check(blank_database_url))
    assert blank.execute("SELECT count(*) FROM tasks").fetchone() == (50,)


@pytest.mark.parametrize(
    ("found", "said", "hint"),
    [
        ("a1b2c3", "not in this program's chain", "stamp base --purge"),
        ("999", "newer than this program's last", "newer seedcore"),
    ],
)
def test_an_unknown_revision_is_named_with_a_cure(
    database_url: str, found: str, said: str, hint: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = %s", [found])
        before = schema_of(database_url)
        with pytest.raises(CheckFailed, match=said) as caught:
            migrate.up(database_url)
        assert caught.value.exit_code == 3
        assert hint in (caught.value.hint or "")
        with pytest.raises(CheckFailed):
            migrate.stamp(database_url, "base")
    assert schema_of(database_url) == before
    migrate.stamp(database_url, "base", purge=True)
    migrate.up(database_url)
    assert all(f.ok for f in migrate.check(database_url))


def test_branches_are_named(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO alembic_version VALUES ('007')")
    with pytest.raises(CheckFailed, match=f"several revisions at once: 007, {HEAD}"):
        migrate.up(database_url)


def test_a_version_without_our_records_is_not_trusted(blank_database_url: str) -> None:
    """Somebody else's 007 may be anything."""
    with psycopg.connect(blank_database_url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);"
            "INSERT INTO alembic_version VALUES ('007')"
        )
    with pytest.raises(CheckFailed, match="it never saw 001"):
        migrate.up(blank_database_url)


def test_running_the_chain_over_itself_changes_nothing(blank_database_url: str) -> None:
    migrate.up(blank_database_url)
    before = schema_of(blank_database_url)
    migrate.stamp(blank_database_url, "001")
    outcome = migrate.up(blank_database_url)
    assert [s.revision for s in outcome.steps] == scripts.default_chain().ids[1:]
    assert schema_of(blank_database_url) == before


def test_stamp_records_and_runs_nothing(blank_database_url: str, blank: Connection) -> None:
    assert migrate.stamp(blank_database_url, "head", options=Options(actor="ada")) == HEAD
    assert migrate.status(blank_database_url).current == HEAD
    assert blank.execute("SELECT to_regclass('tasks')").fetchone() == (None,)
    assert blank.execute("SELECT DISTINCT applied_by FROM seedcore_migrations").fetchall() == [
        ("ada (stamp)",)
    ]
    assert migrate.stamp(blank_database_url, "base") == "base"
    assert blank.execute("SELECT to_regclass('seedcore_migrations')").fetchone() == (None,)


def test_stamp_refuses_what_is_no_revision(blank_database_url: str) -> None:
    with pytest.raises(NotFound):
        migrate.stamp(blank_database_url, "555")


def test_a_dry_stamp_changes_nothing(database_url: str) -> None:
    assert migrate.stamp(database_url, "004", options=Options(dry_run=True)) == "004"
    assert migrate.status(database_url).current == HEAD


OLD_TABLE = """
CREATE TYPE taskstatus AS ENUM ({labels});
CREATE TABLE tasks (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    status {type} DEFAULT '{default}',
    attempts integer,
    type text NOT NULL,
    params json DEFAULT '{{}}',
    result json
);
CREATE VIEW old_view AS SELECT id, status FROM tasks;
"""
OLD_SHAPES = {
    "labels in capitals": {
        "labels": "'CREATED','QUEUED','RUNNING','COMPLETED','FAILED','CANCELLED','RETRY'",
        "type": "taskstatus",
        "default": "CREATED",
    },
    "labels in both cases": {
        "labels": "'CREATED','created','queued','QUEUED','RUNNING','running','COMPLETED',"
        "'completed','FAILED','failed','CANCELLED','cancelled','RETRY','retry'",
        "type": "taskstatus",
        "default": "CREATED",
    },
    "text": {"labels": "'created'", "type": "text", "default": "QUEUED"},
}


@pytest.mark.parametrize("shape", OLD_SHAPES)
def test_an_older_table_is_brought_into_shape(
    blank_database_url: str, blank: Connection, database_url: str, shape: str
) -> None:
    blank.execute(OLD_TABLE.format(**OLD_SHAPES[shape]).encode())
    blank.execute(
        "INSERT INTO tasks (type, status, attempts, params) VALUES"
        " ('a', 'COMPLETED', 2, '{\"x\": 1}'), ('b', 'QUEUED', NULL, '{}')"
    )
    migrate.up(blank_database_url)
    assert blank.execute(
        "SELECT type, status::text, attempts, params->>'x', priority FROM tasks ORDER BY type"
    ).fetchall() == [("a", "completed", 2, "1", 5), ("b", "queued", 0, None, 5)]
    assert blank.execute("SELECT count(*) FROM old_view").fetchone() == (2,)
    assert [f.detail for f in migrate.check(blank_database_url) if not f.ok] == []
    # It has become the table of a fresh database, but for the order of its columns.
    facts = (
        "SELECT column_name, data_type, udt_name, is_nullable, column_default"
        " FROM information_schema.columns WHERE table_name = 'tasks' ORDER BY 1"
    )
    with psycopg.connect(database_url) as fresh:
        assert blank.execute(facts).fetchall() == fresh.execute(facts).fetchall()


def test_attempts_below_zero_are_mended_and_counted(
    blank_database_url: str, blank: Connection
) -> None:
    """They would fail the whole batch that claims them."""
    migrate.up(blank_database_url, "006")
    fill(blank, 2)
    blank.execute("UPDATE tasks SET attempts = -1")
    (step,) = migrate.up(blank_database_url, "007").steps
    assert step.notes == ("tasks: 2 rows with negative attempts now have none",)
    assert blank.execute(
        "SELECT convalidated FROM pg_constraint WHERE conname = 'ck_tasks_attempts_nonneg'"
    ).fetchone() == (True,)
    with pytest.raises(psycopg.errors.CheckViolation):
        blank.execute("INSERT INTO tasks (type, attempts) VALUES ('c', -1)")


def test_alembic_by_hand_leaves_the_same_records(blank_database_url: str, home: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=scripts.default_directory().parent,
        env={"SEEDCORE_DATABASE_URL": blank_database_url, "HOME": str(home)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert [f.detail for f in migrate.check(blank_database_url) if not f.ok] == []


def test_the_wheel_migrates_from_anywhere(blank_database_url: str, tmp_path: Path) -> None:
    checkout = scripts.default_directory().parent
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=checkout,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("seedcore-*.whl")
    installed = tmp_path / "installed"
    shutil.unpack_archive(wheel, installed, "zip")
    assert not (installed / "alembic").exists()  # it would hide the library of that name
    run = subprocess.run(
        [sys.executable, "-P", "-m", "seedcore_cli", "migrate", "up", "-o", "name"],
        cwd="/",
        env={
            "SEEDCORE_DATABASE_URL": blank_database_url,
            "HOME": str(tmp_path),
            "PYTHONPATH": str(installed),
        },
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (run.returncode, run.stdout.split()) == (0, list(scripts.default_chain().ids))
    assert [f.detail for f in migrate.check(blank_database_url) if not f.ok] == []
