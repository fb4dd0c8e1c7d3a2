"""The databases of the seeds, and digests of what they hold: the same before and after an adoption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

Connection = psycopg.Connection[Any]

HERE = Path(__file__).parent
SHAPES = ("seeds_12", "seeds_full")

_OPEN = "lower(status::text) IN ('created', 'queued', 'running', 'retry')"
_LEGACY = f"(type LIKE 'graph%%' AND {_OPEN})"
_TASKS = f"""
SELECT count(*), md5(string_agg(md5(ROW(
    id, lower(status::text), greatest(coalesce(attempts, 0), 0),
    CASE WHEN {_LEGACY} THEN 'graph' ELSE type END, description, domain, drift_score,
    CASE WHEN NOT {_LEGACY} THEN params::jsonb END, (params::jsonb) -> 'note',
    coalesce(params::jsonb #> '{{graph,inputs,start_node_ids}}', params::jsonb -> 'start_node_ids'),
    nullif(result::text, '')::jsonb, error, created_at, run_after,
    -- A lease that has ended leaves nothing behind; of one that runs everything stays.
    CASE WHEN status::text ILIKE 'running' THEN ROW(coalesce(owner_id, locked_by), locked_by, locked_at, last_heartbeat) END
)::text), '' ORDER BY id)) FROM tasks
"""
_NODES = """
SELECT count(*), md5(string_agg(ROW(node_id, node_type, ext_table, ext_uuid, ext_text_id, created_at)::text, '' ORDER BY node_id))
FROM (SELECT *, min(node_id) OVER (PARTITION BY node_type, ext_table, ext_uuid, ext_text_id) AS first
      FROM graph_node_map WHERE created_at < %(began)s) AS m
WHERE node_id = first
"""
_VECTORS = """
SELECT count(*), md5(string_agg(ROW(node_id, coalesce(nullif(label, ''), 'default'), props, emb::text, created_at)::text,
                                '' ORDER BY node_id, label))
FROM {} WHERE vector_norm(emb) > 0
"""
# What a revision fills, and what it stamps.
_DEFAULTS = {"props": "{}", "meta": "{}", "meta_data": "{}", "tags": "[]", "namespace": '"default"', "created_by": '"system"'}  # fmt: skip
_STAMPED = {"updated_at", "valid_from", "snapshot_id"}
_TABLES = (
    "agent_registry", "organ_registry", "artifact", "capability", "memory_cell", "model", "task_depends_on_task",
    "task_executed_by_organ", "agent_member_of_organ", "facts", "task_reads_fact", "registry_instance",
    "cluster_metadata", "pkg_snapshots", "pkg_subtask_types", "pkg_policy_rules", "task_multimodal_embeddings",
    "task_outbox", "task_router_telemetry",
)  # fmt: skip


def make(connection: Connection, shape: str, tasks: int) -> None:
    """Make the database of that shape, with that many tasks."""
    connection.execute("SELECT set_config('seeds.tasks', %s, false)", [str(tasks)])
    connection.execute((HERE / f"{shape}.sql").read_bytes())


class Content:
    """What a database holds, now.

    Args:
        connection: An autocommit connection to it, before its adoption.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._columns: dict[str, list[str]] = {}
        for table, column in connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name = ANY (%s) ORDER BY 1, 2",
            [[*_TABLES, "graph_embeddings", "graph_embeddings_1024"]],
        ):
            self._columns.setdefault(table, []).append(column)
        self._single = "graph_embeddings" in self._columns
        self._began = self._one("SELECT clock_timestamp()")[0]
        self.before = self.digests()

    def digests(self) -> dict[str, tuple[int, str]]:
        """Return count and digest of each table, over the columns that there were."""
        found = {"tasks": self._one(_TASKS), "graph_node_map": self._one(_NODES)}
        moved = self._one(
            "SELECT relkind = 'r' FROM pg_class WHERE oid = to_regclass('graph_embeddings')"
        )
        source = "graph_embeddings" if self._single and moved == (True,) else "graph_embeddings_128"
        found["vectors"] = self._one(_VECTORS.format(source))
        if "graph_embeddings_1024" in self._columns:
            found["large vectors"] = self._one(_VECTORS.format("graph_embeddings_1024"))
        for table in _TABLES:
            if table in self._columns:
                found[table] = self._one(self._rows(table))
        return found

    def _rows(self, table: str) -> str:
        values = ", ".join(
            f"coalesce(nullif(to_jsonb(t.{c}), 'null'), '{_DEFAULTS.get(c, 'null')}')"
            for c in self._columns[table]
            if c not in _STAMPED
        )
        return (
            f"SELECT count(*), md5(string_agg(r, '' ORDER BY r)) FROM"
            f" (SELECT ROW({values})::text AS r FROM {table} AS t) AS rows"
        )

    def _one(self, query: str) -> Any:
        parameters = {"began": getattr(self, "_began", None)} if "%(" in query else None
        text = query if parameters else query.replace("%%", "%")
        return self._connection.execute(text.encode(), parameters).fetchone() or (None,)
