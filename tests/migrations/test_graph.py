"""The graph's revisions: what they need of the server, and what they make of what others left."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from seedcore.db import migrate
from seedcore.db.migrate import Options
from seedcore.errors import ConfigError, Conflict
from tests.migrations.conftest import Connection


def vector(*values: float) -> str:
    return "[" + ",".join(map(str, [*values, *[0] * (128 - len(values))])) + "]"


def one(connection: Connection, query: str) -> object:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


@pytest.fixture
def superuser(server_url: str, blank: Connection) -> Connection:
    """A superuser's connection to the blank database, which is removed after the test."""
    return psycopg.connect(make_conninfo(server_url, dbname=blank.info.dbname), autocommit=True)


@pytest.mark.parametrize(
    ("spoil", "code", "what", "cure"),
    [
        (
            "DROP EXTENSION vector",
            "db.no_pgvector",
            "may not install pgvector",
            "CREATE EXTENSION vector",
        ),
        (
            "UPDATE pg_extension SET extversion = '0.5.1' WHERE extname = 'vector'",
            "db.pgvector_too_old",
            r"pgvector 0\.5\.1 is too old",
            "ALTER EXTENSION vector UPDATE",
        ),
        (
            "CREATE SCHEMA away; ALTER EXTENSION vector SET SCHEMA away",
            "db.pgvector_elsewhere",
            "pgvector is in schema away instead of public",
            "ALTER EXTENSION vector SET SCHEMA public",
        ),
    ],
)
def test_what_is_wrong_with_pgvector_is_said_with_place_and_cure(
    blank_database_url: str,
    blank: Connection,
    superuser: Connection,
    spoil: str,
    code: str,
    what: str,
    cure: str,
) -> None:
    superuser.execute("SET allow_system_table_mods = on")
    superuser.execute(spoil.encode())
    with pytest.raises(ConfigError, match=what) as caught:
        migrate.up(blank_database_url)
    assert caught.value.code == code
    assert blank.info.dbname in str(caught.value)
    assert cure in (caught.value.hint or "")
    assert one(blank, "SELECT to_regclass('alembic_version')") is None
    superuser.close()


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("a.name = 'vector'", "a.name = 'no such'", "pgvector is missing"),
        ("'0.8'", "'99.0'", r"pgvector [\d.]+ is too old"),
    ],
)
def test_a_server_without_a_fit_pgvector_is_told_what_to_install(
    blank_database_url: str,
    superuser: Connection,
    scripts_copy: Path,
    old: str,
    new: str,
    what: str,
) -> None:
    superuser.execute("DROP EXTENSION vector")
    path = scripts_copy / "sql" / "002_extension.sql"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ConfigError, match=what) as caught:
        migrate.up(blank_database_url, options=Options(directory=scripts_copy))
    assert "install pgvector" in (caught.value.hint or "")
    superuser.close()


def test_rows_of_the_single_table_move_and_zero_vectors_are_counted(
    blank_database_url: str, blank: Connection
) -> None:
    blank.execute(
        "CREATE TABLE graph_embeddings (node_id bigint PRIMARY KEY, label text, props jsonb,"
        " emb vector(128) NOT NULL, created_at timestamptz NOT NULL DEFAULT now(),"
        " updated_at timestamptz NOT NULL DEFAULT now());"
        "CREATE INDEX idx_graph_embeddings_emb ON graph_embeddings USING ivfflat (emb vector_l2_ops)"
    )
    with blank.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO graph_embeddings (node_id, label, props, emb, created_at)"
            " VALUES (%s, %s, '{\"a\": 1}', %s, '2024-01-01Z')",
            [(1, None, vector(1)), (2, "", vector(2)), (3, "x", vector(3)), (4, "x", vector(0))],
        )
    outcome = migrate.up(blank_database_url)
    notes = " ".join(outcome.steps[1].notes)
    assert "3 of 4 rows of graph_embeddings moved" in notes
    assert "1 zero vectors" in notes
    rows = blank.execute(
        "SELECT node_id, label, props, created_at = '2024-01-01Z' FROM graph_embeddings ORDER BY 1"
    ).fetchall()
    assert rows == [
        (1, "default", {"a": 1}, True), (2, "default", {"a": 1}, True), (3, "x", {"a": 1}, True)
    ]  # fmt: skip
    # Nodes that nobody mapped: the rows stay, new ones are refused.
    assert "graph_embeddings_128_node_id_fkey" in " ".join(
        note for step in outcome.steps for note in step.notes
    )
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        blank.execute("INSERT INTO graph_embeddings (node_id, emb) VALUES (9, %s)", [vector(1)])


def test_a_vector_table_made_by_hand_is_brought_to_shape(
    blank_database_url: str, blank: Connection
) -> None:
    blank.execute(
        "CREATE TABLE graph_embeddings_128 (node_id bigint, label text, emb vector(128), model text,"
        " content_sha256 text, PRIMARY KEY (node_id, label));"
        "CREATE INDEX idx_graph_embeddings_128_emb ON graph_embeddings_128 USING ivfflat (emb vector_l2_ops)"
    )
    with blank.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO graph_embeddings_128 VALUES (%s, %s, %s, %s)",
            [
                (1, "task.primary", vector(1), "sage"),
                (1, "", vector(1), None),
                (2, "x", vector(2), "sage"),
                (3, "x", vector(0), "sage"),
            ],
        )
    notes = migrate.up(blank_database_url).steps[1].notes
    assert notes == (
        "1 zero vectors were dropped from graph_embeddings_128",
        "1 rows of graph_embeddings_128 without a label got the label default",
    )
    rows = blank.execute(
        "SELECT node_id, label, model FROM graph_embeddings ORDER BY 1, 2"
    ).fetchall()
    assert rows == [(1, "default", "unspecified"), (1, "task.primary", "sage"), (2, "x", "sage")]
    assert "hnsw" in str(
        one(blank, "SELECT pg_get_indexdef('idx_graph_embeddings_128_emb'::regclass)")
    )
    assert not [f for f in migrate.check(blank_database_url) if not f.ok]


def test_a_table_of_another_width_is_in_the_way_and_named(
    blank_database_url: str, blank: Connection
) -> None:
    blank.execute("CREATE TABLE graph_embeddings (node_id bigint PRIMARY KEY, emb vector(64))")
    with pytest.raises(Conflict, match=r"graph_embeddings\.emb is vector\(64\)"):
        migrate.up(blank_database_url)
    assert migrate.status(blank_database_url).current is None


def test_second_numbers_of_an_entity_are_merged_with_their_vectors(
    blank_database_url: str, blank: Connection
) -> None:
    migrate.up(blank_database_url, "007")
    blank.execute(
        "CREATE TABLE graph_node_map (node_id bigserial PRIMARY KEY, node_type text NOT NULL,"
        " ext_table text NOT NULL, ext_uuid uuid, ext_text_id text,"
        " created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now());"
        "INSERT INTO graph_node_map (node_type, ext_table, ext_text_id)"
        " VALUES ('agent', 'agent_registry', 'a'), ('agent', 'agent_registry', 'b'),"
        "        ('agent', 'agent_registry', 'a'), ('agent', 'agent_registry', 'a')"
    )
    with blank.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO graph_embeddings_128 (node_id, label, emb, updated_at) VALUES (%s, %s, %s, %s)",
            [
                (1, "x", vector(1), "2024-01-01Z"),
                (3, "x", vector(3), "2024-01-02Z"),
                (4, "y", vector(4), "2024-01-03Z"),
                (2, "x", vector(2), "2024-01-04Z"),
            ],
        )
    steps = migrate.up(blank_database_url).steps
    assert steps[0].notes == (
        "2 second node numbers were merged into the first ones; 1 older vectors of theirs were dropped",
    )
    assert blank.execute("SELECT node_id FROM graph_node_map ORDER BY 1").fetchall() == [(1,), (2,)]
    rows = blank.execute(
        "SELECT node_id, label, (emb::real[])[1] FROM graph_embeddings_128 ORDER BY 1, 2"
    ).fetchall()
    assert rows == [(1, "x", 3.0), (1, "y", 4.0), (2, "x", 2.0)]
    assert not [f for f in migrate.check(blank_database_url) if not f.ok]


def test_edge_tables_made_by_hand_get_their_rules(
    blank_database_url: str, blank: Connection
) -> None:
    migrate.up(blank_database_url, "007")
    blank.execute(
        "CREATE TABLE artifact (artifact_id uuid PRIMARY KEY DEFAULT gen_random_uuid(), uri text NOT NULL);"
        "CREATE TABLE task_produces_artifact (id bigserial PRIMARY KEY,"
        " task_id uuid NOT NULL REFERENCES tasks (id), artifact_id uuid NOT NULL"
        " CONSTRAINT odd REFERENCES artifact (artifact_id) ON DELETE CASCADE);"
        "INSERT INTO tasks (type) VALUES ('echo'); INSERT INTO artifact (uri) VALUES ('u');"
        "INSERT INTO task_produces_artifact (task_id, artifact_id)"
        " SELECT t.id, a.artifact_id FROM tasks t, artifact a, generate_series(1, 3)"
    )
    steps = migrate.up(blank_database_url).steps
    assert steps[0].notes == (
        "2 rows of task_produces_artifact that said the same as another were dropped",
    )
    # 121 maps what is there: the artifact, and the task that the edge names.
    assert one(blank, "SELECT count(*) FROM hgnn_edges") == 1
    assert not [f for f in migrate.check(blank_database_url) if not f.ok]
    blank.execute("DELETE FROM tasks")
    assert one(blank, "SELECT count(*) FROM task_produces_artifact") == 0


def test_entities_that_are_there_are_mapped_but_tasks_without_edges_are_not(
    blank_database_url: str, blank: Connection
) -> None:
    migrate.up(blank_database_url, "120")
    blank.execute("INSERT INTO facts (text) SELECT 'fact ' || n FROM generate_series(1, 50) AS n")
    blank.execute("INSERT INTO skill (skill_name) VALUES ('s')")
    blank.execute("INSERT INTO tasks (type) VALUES ('echo')")
    steps = {s.revision: s for s in migrate.up(blank_database_url).steps}
    assert steps["121"].notes == ("51 entities got their nodes",)
    assert one(blank, "SELECT count(*) FROM graph_node_map WHERE node_type = 'task'") == 0


@pytest.mark.parametrize("revision", ["002", "008", "009", "011", "121"])
def test_a_revision_of_the_graph_bears_to_be_run_twice(
    blank_database_url: str, blank: Connection, revision: str
) -> None:
    migrate.up(blank_database_url, revision)
    rules = (
        "SELECT oid, conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
        " AND conrelid::regclass::text NOT LIKE 'seedcore_%'"
    )
    before = set(blank.execute(rules).fetchall())
    migrate.stamp(blank_database_url, f"{int(revision) - 1:03}")
    migrate.up(blank_database_url)
    # Not one rule was dropped and made again, which would read the whole table.
    assert before <= set(blank.execute(rules.encode()).fetchall())
