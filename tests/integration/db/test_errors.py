"""What PostgreSQL reports becomes an error of ours: by SQLSTATE, by constraint, by our own class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest

from seedcore.db.errors import translated
from seedcore.errors import (
    ConfigError,
    Conflict,
    Duplicate,
    LockBusy,
    NotFound,
    NotMigrated,
    SeedcoreError,
    Unavailable,
    UsageError,
    WaitTimeout,
)


@pytest.fixture
def blank(blank_database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(blank_database_url, autocommit=True) as conn:
        conn.execute("CREATE TABLE box (id int CONSTRAINT box_key PRIMARY KEY CHECK (id > 0))")
        conn.execute("INSERT INTO box VALUES (1)")
        yield conn


def _raise(state: str) -> LiteralString:
    # The states come from the parameters below, not from input.
    return f"DO $$ BEGIN RAISE EXCEPTION 'as asked' USING ERRCODE = '{state}'; END $$"


@pytest.mark.parametrize(
    ("state", "expected", "code"),
    [
        ("08006", Unavailable, "db.unavailable"),
        ("57P01", Unavailable, "db.unavailable"),
        ("53100", Unavailable, "db.disk_full"),
        ("53300", Unavailable, "db.too_many_connections"),
        ("53200", Unavailable, "db.out_of_resources"),
        ("42P01", NotMigrated, "db.not_migrated"),
        ("3F000", NotMigrated, "db.not_migrated"),
        ("42501", ConfigError, "db.not_permitted"),
        ("25006", Unavailable, "db.read_only"),
        ("55P03", LockBusy, "db.lock_timeout"),
        ("57014", WaitTimeout, "db.statement_timeout"),
        ("40001", Conflict, "db.serialization"),
        ("22P02", UsageError, "db.bad_value"),
        ("23514", Conflict, "db.constraint"),
        ("SC404", NotFound, "not_found"),
        ("SC409", Conflict, "conflict"),
        ("SC422", UsageError, "usage.invalid"),
        ("SC423", LockBusy, "lock.busy"),
        ("XX000", SeedcoreError, "db.error"),
    ],
)
def test_state_becomes_an_error_of_ours(
    blank: psycopg.Connection[Any], state: str, expected: type[SeedcoreError], code: str
) -> None:
    with pytest.raises(SeedcoreError) as caught, translated():
        blank.execute(_raise(state))
    assert type(caught.value) is expected
    assert caught.value.code == code
    assert caught.value.message == "as asked"
    assert caught.value.details["sqlstate"] == state


def test_disk_full_tells_what_to_do(blank: psycopg.Connection[Any]) -> None:
    with pytest.raises(Unavailable) as caught, translated():
        blank.execute(_raise("53100"))
    assert caught.value.hint is not None
    assert "free space" in caught.value.hint


def test_our_functions_choose_code_and_hint(blank: psycopg.Connection[Any]) -> None:
    statement = """DO $$ BEGIN RAISE EXCEPTION 'no task 7'
        USING ERRCODE = 'SC404', DETAIL = 'task.not_found', HINT = 'seedcore task list'; END $$"""
    with pytest.raises(NotFound) as caught, translated():
        blank.execute(statement)
    assert caught.value.code == "task.not_found"
    assert caught.value.hint == "seedcore task list"
    assert caught.value.message == "no task 7"


def test_constraint_chooses_the_error(blank: psycopg.Connection[Any]) -> None:
    class Taken(Duplicate):
        """The box is taken."""

        code = "box.taken"

    with pytest.raises(Taken), translated(box_key=Taken):
        blank.execute("INSERT INTO box VALUES (1)")
    with (
        pytest.raises(UsageError, match="ids start at 1"),
        translated(
            box_id_check=lambda error: UsageError(f"ids start at 1 ({error.diag.table_name})")
        ),
    ):
        blank.execute("INSERT INTO box VALUES (0)")
    with pytest.raises(Duplicate, match="already exists") as caught, translated():
        blank.execute("INSERT INTO box VALUES (1)")
    assert caught.value.details["constraint"] == "box_key"


def test_cut_connection_is_unavailable(blank: psycopg.Connection[Any]) -> None:
    with pytest.raises(Unavailable), translated():
        blank.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(Unavailable), translated():
        blank.execute("SELECT 1")


def test_other_errors_pass_through() -> None:
    with pytest.raises(ZeroDivisionError), translated():
        raise ZeroDivisionError
