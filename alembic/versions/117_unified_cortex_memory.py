"""Remember in three tiers: what happens now, what tasks are known, what is known of the world.

Locks: the new tables take `tasks` against writers for an instant. Zero vectors of an adopted table are
dropped and counted; its checks are validated and indexes built while writers go on.
"""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "117"
down_revision = "017"
branch_labels = None
depends_on = None

FILES = (
    "117_content.sql",
    "117_tables.sql",
    "117_views.sql",
    "117_status.sql",
    "117_search.sql",
    "117_lexical.sql",
)

INDEXES = (
    (
        "ix_task_embedding_status_due",
        "task_embedding_status",
        "(space, next_try_at) WHERE state IN ('pending', 'running')",
    ),
    (
        "idx_task_multimodal_modality_model",
        "task_multimodal_embeddings",
        "(source_modality, model_version)",
    ),
    (
        "idx_tasks_multimodal_fast",
        "tasks",
        "USING gin ((params -> 'multimodal') jsonb_path_ops) WHERE params ? 'multimodal'",
    ),
    ("idx_lexical_posting_doc_id", "lexical_posting", "(doc_id)"),
    (
        "idx_task_multimodal_emb_hnsw",
        "task_multimodal_embeddings",
        (
            "USING hnsw ((emb::halfvec(1024)) halfvec_cosine_ops) "
            "WITH (m = 16, ef_construction = 64)"
        ),
    ),
)


def upgrade() -> None:
    for name in FILES:
        ops.run_sql(name)
    ops.let_go("tasks")
    ops.validate(
        "task_multimodal_embeddings",
        "ck_task_multimodal_embeddings_modality",
        "ck_task_multimodal_embeddings_norm",
    )
    for name, table, definition in INDEXES:
        ops.create_index(name, table, definition)
    ops.run_sql("117_index_comments.sql")


def downgrade() -> None:
    ops.require_empty("task_multimodal_embeddings", "task_embedding_status")
    ops.run_sql("117_unified_cortex_memory.down.sql")
