"""Databases made by hand from the earlier SQL files come to the head by `migrate up` alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from seedcore.db import migrate
from seedcore.errors import Conflict
from tests.migrations.adoption.content import HERE, SHAPES, Content, make
from tests.migrations.conftest import Connection, schema_of
from tests.program import Program

LONG = 100_000


def one(connection: Connection, query: str) -> Any:
    """Return the only value of a query."""
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def complaints(url: str) -> list[str]:
    """Return what `migrate check` finds wrong."""
    return [f.detail for f in migrate.check(url) if not f.ok]


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_up_alone_brings_it_to_the_head(
    blank_database_url: str, blank: Connection, program: Program, shape: str
) -> None:
    tasks = LONG
    make(blank, shape, tasks)
    content = Content(blank)
    by_status = {
        s.lower(): 0 for (s,) in blank.execute("SELECT DISTINCT status::text FROM tasks").fetchall()
    }
    for status, number in blank.execute("SELECT status::text, count(*) FROM tasks GROUP BY 1"):
        by_status[status.lower()] += number
    plan = migrate.plan(blank_database_url)
    assert plan.adoption.obstacles == []
    planned = {(c.object, c.action.partition(":")[0]): c.rows for c in plan.adoption.conversions}

    run = program("migrate", "up", "-o", "json", timeout=120)
    assert run.returncode == 0, run.stderr

    steps: list[dict[str, list[str]]] = json.loads(run.stdout)
    notes = [note for step in steps for note in step["notes"]]
    said = "\n".join(notes)
    assert content.digests() == content.before
    assert (
        dict(blank.execute("SELECT status::text, count(*) FROM tasks GROUP BY 1").fetchall())
        == by_status
    )
    # What goes is counted, and no more goes than that.
    assert (
        one(
            blank, "SELECT count(*) FROM graph_node_map WHERE node_type = 'task' AND node_id <= 500"
        )
        == 500
    )
    assert one(blank, "SELECT count(*) FROM graph_embeddings_128") == 393
    assert planned["graph_node_map.node_id", "maps the same thing again"] == 23
    assert "23 second node numbers" in said
    assert "7 zero vectors" in said
    # Every rule holds for every row, and the queue can live with them.
    assert (
        one(
            blank,
            "SELECT count(*) FROM pg_constraint WHERE conrelid = 'tasks'::regclass"
            " AND NOT convalidated",
        )
        == 0
    )
    negative = tasks // 1000
    assert f"{negative} rows with negative attempts" in said
    orphans = tasks // 20
    assert f"{orphans} running rows without an owner" in said
    assert f"{orphans} rows that are not running" in said
    assert planned["tasks.owner_id", "running without an owner"] == orphans
    assert (
        one(blank, "SELECT count(*) FROM tasks WHERE status = 'running' AND owner_id IS NULL") == 0
    )
    assert one(blank, "SELECT tasks_reap_expired(90, 10)") == 10
    claimed = blank.execute("SELECT status::text FROM tasks_claim('queue', 'w', 50)").fetchall()
    assert claimed == [("running",)] * 50
    assert complaints(blank_database_url) == []


def test_legacy_graph_tasks_get_the_form_of_today(
    blank_database_url: str, blank: Connection
) -> None:
    make(blank, "seeds_12", 100)
    migrate.up(blank_database_url)
    (params,) = blank.execute(
        "SELECT params FROM tasks WHERE description = 'task 34' AND type = 'graph'"
    ).fetchone() or (None,)
    assert params == {
        "note": 34,
        "graph_op": "rag_query",
        "graph": {
            "op": "rag_query",
            "inputs": {"start_node_ids": [34, 35]},
            "config": {"k": 2, "topk": 10},
        },
    }
    unfinished = "status IN ('created', 'queued', 'running', 'retry')"
    assert one(blank, f"SELECT count(*) FROM tasks WHERE type LIKE 'graph_%' AND {unfinished}") == 0
    assert (
        one(blank, f"SELECT count(*) FROM tasks WHERE type LIKE 'graph_%' AND NOT {unfinished}") > 0
    )


OBSTACLES: dict[str, tuple[str, str, str]] = {
    "a column of another type": (
        "ALTER TABLE tasks ALTER COLUMN created_at TYPE timestamp",
        "column tasks.created_at is timestamp without time zone",
        "AT TIME ZONE",
    ),
    "a number for an id": (
        "CREATE TABLE task_schedules (schedule_id integer PRIMARY KEY)",
        "column task_schedules.schedule_id is integer, and should be uuid",
        "ALTER COLUMN schedule_id TYPE uuid",
    ),
    "a view where a table should be": (
        "CREATE VIEW task_outbox AS SELECT 1 AS id",
        "view task_outbox is where a revision makes a table",
        "ALTER VIEW task_outbox RENAME TO task_outbox_old",
    ),
    "a table where a view should be": (
        "CREATE TABLE task_queue_stats (lane text)",
        "table task_queue_stats is where a revision makes a view",
        "ALTER TABLE task_queue_stats RENAME TO",
    ),
    "a view of one's own under our name": (
        "CREATE VIEW task_queue_stats AS SELECT 1 AS mine",
        "view task_queue_stats was made by hand",
        "ALTER VIEW task_queue_stats RENAME TO",
    ),
    "another result type": (
        "CREATE FUNCTION queue_notify(p_lane text) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "function queue_notify(text) returns integer, and should return void",
        "DROP FUNCTION queue_notify(text)",
    ),
    "another parameter name": (
        "CREATE FUNCTION task_lane(kind text) RETURNS text LANGUAGE sql AS 'SELECT 1::text'",
        "function task_lane(text) has parameters named kind",
        "DROP FUNCTION task_lane(text)",
    ),
    "an index on other columns": (
        "CREATE INDEX ix_tasks_expires ON tasks (description)",
        "index ix_tasks_expires is on tasks (description)",
        "ALTER INDEX ix_tasks_expires RENAME TO",
    ),
    "an index of another table": (
        "CREATE INDEX ix_tasks_params_gin ON artifact (uri)",
        "index ix_tasks_params_gin is on artifact",
        "ALTER INDEX ix_tasks_params_gin RENAME TO",
    ),
    "an unknown status": (
        (
            "ALTER TYPE taskstatus ADD VALUE 'PAUSED'; COMMIT; UPDATE tasks SET status = 'PAUSED'"
            " WHERE description = 'task 5'"
        ),
        "column tasks.status is 'PAUSED' in 1 rows",
        "UPDATE tasks SET status",
    ),
    "text that is no JSON": (
        (
            "ALTER TABLE tasks ALTER COLUMN result TYPE text; UPDATE tasks SET result = 'done'"
            " WHERE description = 'task 5'"
        ),
        "column tasks.result holds something else than JSON in 1 rows",
        "to_json(result::text)",
    ),
    "a label that is missing": (
        "ALTER TYPE instancestatus RENAME VALUE 'draining' TO 'leaving'",
        "type instancestatus lacks the labels draining",
        "ALTER TYPE instancestatus ADD VALUE 'draining'",
    ),
    "a column that demands what we don't know": (
        (
            "ALTER TABLE tasks ADD COLUMN tenant text NOT NULL DEFAULT 'a';"
            " ALTER TABLE tasks ALTER COLUMN tenant DROP DEFAULT"
        ),
        "column tasks.tenant (text) is not ours",
        "ALTER COLUMN tenant DROP NOT NULL",
    ),
    "a view of others over ours": (
        "CREATE VIEW my_report AS SELECT count(*) FROM task_embeddings",
        "view my_report reads task_embeddings",
        "DROP VIEW my_report",
    ),
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_what_is_in_the_way_is_named_before_anything_is_changed(
    blank_database_url: str, blank: Connection, obstacle: str
) -> None:
    spoil, said, cure = OBSTACLES[obstacle]
    make(blank, "seeds_12", 60)
    if "DROP VIEW" not in spoil and "tasks ALTER" in spoil:
        blank.execute("DROP VIEW task_embeddings, graph_tasks")
    for statement in spoil.replace(" COMMIT;", "").split("; "):
        blank.execute(statement.encode())
    before = schema_of(blank_database_url)
    with pytest.raises(Conflict) as caught:
        migrate.up(blank_database_url)
    assert (caught.value.code, caught.value.exit_code) == ("migrate.object_in_the_way", 5)
    assert said in str(caught.value)
    assert cure in (caught.value.hint or "")
    assert schema_of(blank_database_url) == before
    assert any(said in str(o) for o in migrate.plan(blank_database_url).adoption.obstacles)
    assert schema_of(blank_database_url) == before


def test_plan_shows_it_and_both_exit_with_5(program: Program, blank: Connection) -> None:
    make(blank, "seeds_12", 60)
    shown = program("migrate", "plan")
    assert shown.returncode == 0
    assert "002 graph_embeddings.emb: 7 rows: zero vector: dropped" in shown.stderr
    blank.execute("CREATE VIEW task_outbox AS SELECT 1 AS id")
    for command in ("plan", "up"):
        run = program("migrate", command)
        assert run.returncode == 5, run.stderr
        assert "view task_outbox is where a revision makes a table" in run.stderr
        assert "ALTER VIEW task_outbox RENAME TO task_outbox_old" in run.stderr
    blank.execute("ALTER VIEW task_outbox RENAME TO task_outbox_old")
    assert program("migrate", "up").returncode == 0


def test_a_view_of_others_over_tasks_stays(blank_database_url: str, blank: Connection) -> None:
    make(blank, "seeds_full", 200)
    blank.execute(
        "CREATE VIEW mine AS SELECT status, count(*) AS n FROM tasks WHERE status IN ('COMPLETED', 'completed')"
        " GROUP BY 1; CREATE VIEW mine_too AS SELECT * FROM mine; GRANT SELECT ON mine TO PUBLIC"
    )
    migrate.up(blank_database_url)
    assert blank.execute("SELECT status::text, n FROM mine_too").fetchall() == [("completed", 80)]
    assert one(blank, "SELECT has_table_privilege('pg_monitor', 'mine', 'SELECT')") is True


def test_killed_at_any_moment_the_next_run_completes(
    program: Program, blank_database_url: str, blank: Connection
) -> None:
    make(blank, "seeds_12", 10_000)
    content = Content(blank)
    # Most of the time before 1 s goes into starting Python.
    for moment in (0.8, 1.2, 1.0):
        process = program.start("migrate", "up")
        time.sleep(moment)
        process.kill()
        process.wait()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and one(
            blank,
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'seedcore migrate'"
            " AND datname = current_database()",
        ):
            time.sleep(0.05)
    migrate.up(blank_database_url)
    assert content.digests() == content.before
    assert complaints(blank_database_url) == []
    assert migrate.up(blank_database_url).steps == []


def test_writers_go_on(blank_database_url: str) -> None:
    """The 10⁶ form, with the mark of 200 ms, is benchmarks/migrate.py; this one finds a lock held long."""
    measure: Callable[..., dict[str, Any]] = _benchmark().measure
    figures = measure(blank_database_url, LONG, "007")
    # A busy machine lets single writes wait as well, also before.
    assert figures["longest_ms"] < 1000 + 10 * figures["before_ms"], figures


def _benchmark() -> Any:
    import importlib.util

    path = HERE.parents[2] / "benchmarks" / "migrate.py"
    spec = importlib.util.spec_from_file_location("benchmark_migrate", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_plan_says_what_is_rewritten_and_how_big_each_table_is(
    blank_database_url: str, blank: Connection
) -> None:
    make(blank, "seeds_full", 200)
    blank.execute("ANALYZE tasks")
    plan = migrate.plan(blank_database_url)
    assert {s.revision for s in plan.statements if s.rewrites} == {"004", "007", "120"}
    added = next(s for s in plan.statements if s.revision == "006" and s.relations == ["tasks"])
    (table,) = added.tables
    assert (table["name"], table["rows"]) == ("tasks", 200)
    assert int(table["size_bytes"]) > 8192
    # A database of our own is never rewritten, and without one nothing is known of its tables.
    assert not any(s.rewrites or s.tables for s in migrate.plan(None).statements)
    assert not any(s.rewrites for s in migrate.plan(None, "base", down=True).statements)
