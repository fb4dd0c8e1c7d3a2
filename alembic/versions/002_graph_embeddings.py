"""Store vectors of graph nodes, and what made them.

An old single table of vectors is moved, zero vectors are dropped and counted. Vector indexes follow the
data: they are built last, and on filled tables CONCURRENTLY. The 1024-d ones are on the half-precision
cast: a third of the size and twice as fast, at the same ranking.
"""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "002"
down_revision = "001"
branch_labels = None
depends_on = None

INDEXES = (
    ("idx_graph_embeddings_128_label", "graph_embeddings_128", "(label, node_id)"),
    ("idx_graph_embeddings_1024_label", "graph_embeddings_1024", "(label, node_id)"),
    # Deleting an encoder asks which vectors are its own.
    ("idx_graph_embeddings_128_encoder", "graph_embeddings_128", "(encoder_id)"),
    ("idx_graph_embeddings_1024_encoder", "graph_embeddings_1024", "(encoder_id)"),
    (
        "idx_graph_embeddings_128_emb",
        "graph_embeddings_128",
        "USING hnsw (emb vector_cosine_ops) WITH (m = 16, ef_construction = 64)",
    ),
    (
        "idx_graph_embeddings_1024_task_emb",
        "graph_embeddings_1024",
        (
            "USING hnsw ((emb::halfvec(1024)) halfvec_cosine_ops) "
            "WITH (m = 16, ef_construction = 64) WHERE label = 'task.primary'"
        ),
    ),
    (
        "idx_graph_embeddings_1024_world_emb",
        "graph_embeddings_1024",
        (
            "USING hnsw ((emb::halfvec(1024)) halfvec_cosine_ops) "
            "WITH (m = 16, ef_construction = 64) WHERE label <> 'task.primary'"
        ),
    ),
)


def upgrade() -> None:
    ops.run_sql("002_extension.sql")
    ops.run_sql("002_encoder.sql")
    ops.run_sql("002_graph_embeddings.sql")
    for name, table, definition in INDEXES:
        ops.create_index(name, table, definition)
    ops.run_sql("002_index_comments.sql")


def downgrade() -> None:
    ops.require_empty("graph_embeddings_128", "graph_embeddings_1024")
    ops.run_sql("002_graph_embeddings.down.sql")
    ops.require_empty("encoder", own="encoder_id IN (1, 2)")
    ops.run_sql("002_encoder.down.sql")
