"""Give entities their numbers in the graph, and tie tasks to what they need, make and belong to.

The edges come late: a foreign key to `tasks` keeps its writers waiting until the revision commits.
"""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "008"
down_revision = "007"
branch_labels = None
depends_on = None

INDEXES = (
    # Numbers of one organ's agent, and artifacts by their address.
    ("ix_organ_registry_agent_id", "organ_registry", "(agent_id)"),
    ("ix_artifact_uri", "artifact", "(uri)"),
    # Backwards along each edge.
    ("idx_task_depends_on_task_rev", "task_depends_on_task", "(dst_task_id, src_task_id)"),
    ("idx_task_produces_artifact_rev", "task_produces_artifact", "(artifact_id, task_id)"),
    ("idx_task_uses_capability_rev", "task_uses_capability", "(capability_id, task_id)"),
    ("idx_task_reads_memory_rev", "task_reads_memory", "(memory_cell_id, task_id)"),
    ("idx_task_writes_memory_rev", "task_writes_memory", "(memory_cell_id, task_id)"),
    ("idx_task_executed_by_organ_rev", "task_executed_by_organ", "(organ_id, task_id)"),
    ("idx_task_owned_by_agent_rev", "task_owned_by_agent", "(agent_id, task_id)"),
    ("idx_organ_provides_capability_rev", "organ_provides_capability", "(capability_id, organ_id)"),
    ("idx_agent_owns_memory_cell_rev", "agent_owns_memory_cell", "(memory_cell_id, agent_id)"),
)

TABLES = (
    "task_depends_on_task",
    "task_produces_artifact",
    "task_uses_capability",
    "task_reads_memory",
    "task_writes_memory",
    "task_executed_by_organ",
    "task_owned_by_agent",
    "organ_provides_capability",
    "agent_owns_memory_cell",
    "organ_registry",
    "agent_registry",
    "artifact",
    "capability",
    "memory_cell",
    "graph_node_map",
)


def upgrade() -> None:
    ops.run_sql("008_node_map.sql")
    ops.run_sql("008_nodes.sql")
    ops.run_sql("008_edges.sql")
    ops.let_go("tasks")
    ops.run_sql("008_edge_views.sql")
    ops.run_sql("008_edges_map.sql")
    ops.run_sql("008_task_embeddings.sql")
    ops.run_sql("008_graph_tasks.sql")
    ops.validate("graph_node_map", "ck_node_map_one_id")
    ops.validate("graph_embeddings_128", "graph_embeddings_128_node_id_fkey")
    ops.validate("graph_embeddings_1024", "graph_embeddings_1024_node_id_fkey")
    ops.validate("organ_registry", "organ_registry_agent_id_fkey")
    ops.validate("memory_cell", "ck_memory_cell_version")
    ops.validate(
        "task_depends_on_task",
        "task_depends_on_task_src_task_id_fkey",
        "task_depends_on_task_dst_task_id_fkey",
        "ck_task_depends_on_task_self",
    )
    ops.validate(
        "task_produces_artifact",
        "task_produces_artifact_task_id_fkey",
        "task_produces_artifact_artifact_id_fkey",
    )
    ops.validate(
        "task_uses_capability",
        "task_uses_capability_task_id_fkey",
        "task_uses_capability_capability_id_fkey",
    )
    ops.validate(
        "task_reads_memory",
        "task_reads_memory_task_id_fkey",
        "task_reads_memory_memory_cell_id_fkey",
    )
    ops.validate(
        "task_writes_memory",
        "task_writes_memory_task_id_fkey",
        "task_writes_memory_memory_cell_id_fkey",
    )
    ops.validate(
        "task_executed_by_organ",
        "task_executed_by_organ_task_id_fkey",
        "task_executed_by_organ_organ_id_fkey",
    )
    ops.validate(
        "task_owned_by_agent",
        "task_owned_by_agent_task_id_fkey",
        "task_owned_by_agent_agent_id_fkey",
    )
    ops.validate(
        "organ_provides_capability",
        "organ_provides_capability_organ_id_fkey",
        "organ_provides_capability_capability_id_fkey",
    )
    ops.validate(
        "agent_owns_memory_cell",
        "agent_owns_memory_cell_agent_id_fkey",
        "agent_owns_memory_cell_memory_cell_id_fkey",
    )
    for name, table, definition in INDEXES:
        ops.create_index(name, table, definition)
    ops.run_sql("008_index_comments.sql")


def downgrade() -> None:
    ops.require_empty(*TABLES)
    ops.run_sql("008_views.down.sql")
    ops.run_sql("008_tables.down.sql")
    # 003's own forms of the functions that were replaced.
    ops.run_sql("003_create_functions.sql")
