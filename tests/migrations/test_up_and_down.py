from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg.types.json import Jsonb

from seedcore.db import migrate
from seedcore.db.migrate import Options, scripts
from seedcore.errors import (
    ConfigError,
    Conflict,
    NotFound,
    NotMigrated,
    SeedcoreError,
    UsageError,
)
from tests.migrations.conftest import Connection, fill, schema_of

CHAIN = scripts.default_chain()


def test_up_down_up_leaves_no_trace_in_between(blank_database_url: str) -> None:
    empty = schema_of(blank_database_url)
    migrate.up(blank_database_url)
    full = schema_of(blank_database_url)
    assert "CREATE TABLE public.tasks" in full
    migrate.down(blank_database_url, "base")
    assert schema_of(blank_database_url) == empty
    migrate.up(blank_database_url)
    assert schema_of(blank_database_url) == full
    assert all(f.ok for f in migrate.check(blank_database_url))


@pytest.mark.slow
def test_each_downgrade_removes_exactly_what_its_upgrade_added(blank_database_url: str) -> None:
    schemas = {"base": schema_of(blank_database_url)}
    for revision in CHAIN.ids:
        migrate.up(blank_database_url, "+1")
        schemas[revision] = schema_of(blank_database_url)
    # Repairs stay, and the runner's own tables leave with the first revision.
    for revision in ["base", *CHAIN.ids][-2::-1]:
        outcome = migrate.down(blank_database_url, "-1")
        assert (outcome.current or "base") == revision
        assert schema_of(blank_database_url) == schemas[revision]


def test_rows_survive_down_and_up(blank_database_url: str, blank: Connection) -> None:
    migrate.up(blank_database_url, "007")
    fill(blank, 500)
    blank.execute(
        "UPDATE tasks SET result = %s WHERE id IN (SELECT id FROM tasks LIMIT 100)",
        [Jsonb({"ok": True})],
    )
    content = "SELECT id, status, type, params, result, created_at FROM tasks ORDER BY id"
    before = blank.execute(content).fetchall()
    migrate.up(blank_database_url)
    migrate.down(blank_database_url, "001", Options(drop_data=True))
    migrate.up(blank_database_url)
    assert blank.execute(content).fetchall() == before
    assert all(f.ok for f in migrate.check(blank_database_url))


def test_a_filled_table_is_only_dropped_when_that_is_said(
    blank_database_url: str, blank: Connection
) -> None:
    migrate.up(blank_database_url, "007")
    fill(blank, 3)
    with pytest.raises(Conflict, match=r"table public\.tasks has rows") as caught:
        migrate.down(blank_database_url, "base")
    assert caught.value.code == "migrate.table_has_rows"
    assert "--drop-data" in (caught.value.hint or "")
    # Asked beforehand: also the revisions above the one that drops it are still there.
    assert migrate.status(blank_database_url).current == "007"
    assert blank.execute("SELECT count(*) FROM tasks").fetchone() == (3,)
    migrate.down(blank_database_url, "base", Options(drop_data=True))
    assert blank.execute("SELECT to_regclass('tasks')").fetchone() == (None,)


def test_permission_to_drop_data_ends_with_the_command(
    blank_database_url: str, blank: Connection
) -> None:
    name = blank.info.dbname
    blank.execute(f"ALTER DATABASE {name} SET search_path = public".encode())
    migrate.up(blank_database_url)
    migrate.down(blank_database_url, "base", Options(drop_data=True))
    migrate.up(blank_database_url)
    fill(blank, 1)
    with pytest.raises(Conflict):
        migrate.down(blank_database_url, "base")


def test_the_record_says_what_when_and_by_whom(blank_database_url: str, blank: Connection) -> None:
    outcome = migrate.up(blank_database_url, options=Options(actor="ada@example"))
    rows = blank.execute(
        "SELECT revision, file_hash, applied_by, finished_at >= started_at,"
        " now() - finished_at < interval '1 minute' FROM seedcore_migrations ORDER BY 1"
    ).fetchall()
    assert rows == [(r.id, r.digest, "ada@example", True, True) for r in CHAIN.revisions]
    assert [s.revision for s in outcome.steps] == CHAIN.ids
    assert all(s.seconds is not None and s.seconds >= 0 for s in outcome.steps)


def test_at_the_head_there_is_nothing_to_do_and_no_lock_to_take(
    blank_database_url: str, blank: Connection
) -> None:
    migrate.up(blank_database_url)
    blank.execute("SELECT pg_advisory_lock(%s, %s)", [0x5EEDC0DE, 1])
    outcome = migrate.up(blank_database_url, options=Options(lock_timeout_s=0))
    assert outcome.steps == []
    assert outcome.current == CHAIN.head


@pytest.mark.parametrize(
    ("target", "reached"), [("004", "004"), ("4", "004"), ("+2", "002"), ("+99", CHAIN.head)]
)
def test_up_stops_where_it_is_told(blank_database_url: str, target: str, reached: str) -> None:
    assert migrate.up(blank_database_url, target).current == reached


def test_up_to_a_revision_below_changes_nothing(blank_database_url: str) -> None:
    migrate.up(blank_database_url, "006")
    assert migrate.up(blank_database_url, "004").steps == []
    assert migrate.status(blank_database_url).current == "006"


@pytest.mark.parametrize(
    ("target", "error"), [("555", NotFound), ("latest", UsageError), ("-1", UsageError)]
)
def test_a_target_that_is_none_is_refused(
    blank_database_url: str, target: str, error: type[SeedcoreError]
) -> None:
    with pytest.raises(error):
        migrate.up(blank_database_url, target)
    assert migrate.status(blank_database_url).current is None


def test_a_dry_run_changes_nothing(blank_database_url: str) -> None:
    before = schema_of(blank_database_url)
    outcome = migrate.up(blank_database_url, "006", Options(dry_run=True))
    assert [(s.revision, s.seconds) for s in outcome.steps] == [
        ("001", None), ("002", None), ("003", None), ("004", None), ("005", None), ("006", None),
    ]  # fmt: skip
    assert schema_of(blank_database_url) == before


def test_a_revision_that_fails_leaves_the_one_before(
    blank_database_url: str, scripts_copy: Path, add_revision: Callable[..., str]
) -> None:
    add_revision("900", up="ops.execute('CREATE TABLE half (id int); SELECT 1/0;')")
    with pytest.raises(SeedcoreError, match=f"stopped at revision {CHAIN.head}: division by zero"):
        migrate.up(blank_database_url, options=Options(directory=scripts_copy))
    assert migrate.status(blank_database_url).current == CHAIN.head
    with psycopg.connect(blank_database_url) as connection:
        assert connection.execute("SELECT to_regclass('half')").fetchone() == (None,)


def test_a_percent_sign_and_a_colon_in_a_revision_mean_themselves(
    blank_database_url: str, blank: Connection, scripts_copy: Path, add_revision: Callable[..., str]
) -> None:
    up = "ops.execute(\"CREATE VIEW odd AS SELECT '100 %s :x %%'::text AS value\")"
    add_revision("900", up=up)
    migrate.up(blank_database_url, options=Options(directory=scripts_copy))
    assert blank.execute("SELECT value FROM odd").fetchone() == ("100 %s :x %%",)


def test_an_irreversible_revision_is_refused_before_anything_is_taken_back(
    blank_database_url: str, scripts_copy: Path, add_revision: Callable[..., str]
) -> None:
    add_revision("900", up="pass", more="irreversible = True")
    add_revision("901", up="pass", after="900")
    options = Options(directory=scripts_copy)
    migrate.up(blank_database_url, options=options)
    with pytest.raises(Conflict, match="revision 900 can't be taken back"):
        migrate.down(blank_database_url, CHAIN.head, options)
    assert migrate.status(blank_database_url, directory=scripts_copy).current == "901"
    migrate.down(blank_database_url, "900", options)


def test_every_table_view_and_function_says_what_it_is_for(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        silent = connection.execute(
            "SELECT oid::regclass::text FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')"
            "   AND relname <> 'alembic_version' AND NOT relispartition"
            "   AND obj_description(oid, 'pg_class') IS NULL"
            " UNION ALL SELECT p.oid::regprocedure::text FROM pg_proc AS p"
            " WHERE p.pronamespace = 'public'::regnamespace"
            "   AND obj_description(p.oid, 'pg_proc') IS NULL AND NOT EXISTS ("
            "     SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')"
        ).fetchall()
    assert silent == []


def test_functions_have_a_fixed_search_path_and_the_rights_of_their_caller(
    database_url: str,
) -> None:
    with psycopg.connect(database_url) as connection:
        loose = connection.execute(
            "SELECT p.oid::regprocedure::text FROM pg_proc AS p"
            " JOIN pg_language AS l ON l.oid = p.prolang"
            # An expression that reads no table has none, so that the planner can inline it.
            " WHERE p.proname = ANY (%s) AND (p.prosecdef"
            "   OR NOT coalesce(p.proconfig::text, '') LIKE '%%search_path%%'"
            "      AND (l.lanname <> 'sql' OR p.prosrc ~* '\\mfrom\\M'))",
            [[name.removeprefix("public.") for name in CHAIN.objects]],
        ).fetchall()
    assert loose == []


@pytest.mark.parametrize("stop", ["base", "007"])
def test_a_database_below_the_needed_revision_is_refused(
    blank_database_url: str, stop: str
) -> None:
    migrate.up(blank_database_url, "+99" if stop == "base" else stop)
    if stop == "base":
        migrate.down(blank_database_url, "base")
    with psycopg.connect(blank_database_url, autocommit=True) as connection:
        with pytest.raises(NotMigrated) as caught:
            migrate.ensure_migrated(connection)
        assert caught.value.exit_code == 69
        assert caught.value.hint == "seedcore migrate up"
        migrate.up(blank_database_url)
        migrate.ensure_migrated(connection)
        # A later release has been here: its revisions only add, so this program goes on.
        connection.execute("UPDATE alembic_version SET version_num = '999'")
        migrate.ensure_migrated(connection)
        connection.execute("UPDATE alembic_version SET version_num = 'f00ba4'")
        with pytest.raises(NotMigrated, match="f00ba4"):
            migrate.ensure_migrated(connection)


def test_a_role_without_the_right_to_make_objects_is_told_before_anything_is_changed(
    server_url: str, blank_database_url: str, blank: Connection
) -> None:
    admin = psycopg.conninfo.make_conninfo(server_url, dbname=blank.info.dbname)
    with psycopg.connect(admin, autocommit=True) as owner:
        owner.execute(
            "ALTER SCHEMA public OWNER TO CURRENT_USER; REVOKE CREATE ON SCHEMA public FROM PUBLIC"
        )
    for options in (Options(), Options(dry_run=True)):
        with pytest.raises(ConfigError, match="may not make objects in schema public") as caught:
            migrate.up(blank_database_url, options=options)
        assert caught.value.code == "db.not_permitted"
        assert f"GRANT CREATE ON SCHEMA public TO {blank.info.user}" in (caught.value.hint or "")
    assert blank.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,)


def test_nothing_is_taken_back_when_an_older_revision_would_lose_rows(
    database_url: str,
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO artifact (uri) VALUES ('s3://a')")
        before = schema_of(database_url)
        with pytest.raises(Conflict, match="artifact has rows"):
            migrate.down(database_url, "007")
        with pytest.raises(Conflict, match="artifact has rows"):
            migrate.down(database_url, "007", Options(dry_run=True))
        assert schema_of(database_url) == before
        connection.execute("DELETE FROM artifact")
    # The revisions' own rows are nobody's loss.
    assert migrate.down(database_url, "base").current is None
