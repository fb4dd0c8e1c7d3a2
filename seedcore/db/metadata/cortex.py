"""Vectors of what was heard and seen, and which vectors of tasks are due."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import UUID

from seedcore.db.metadata.base import column, metadata, time
from seedcore.db.metadata.graph import HalfVector, Vector, hnsw
from seedcore.db.metadata.tasks import tasks


def _task() -> sa.Column[str]:
    return sa.Column(
        "task_id",
        UUID(as_uuid=False),
        sa.ForeignKey(tasks.c.id, ondelete="CASCADE"),
        primary_key=True,
    )


task_multimodal_embeddings = sa.Table(
    "task_multimodal_embeddings",
    metadata,
    _task(),
    sa.Column("source_modality", sa.Text, primary_key=True),
    column("emb", Vector(1024)),
    column("model_version", sa.Text()),
    column("created_at", time),
    column("updated_at", time),
)
sa.Index(
    "idx_task_multimodal_modality_model",
    task_multimodal_embeddings.c.source_modality,
    task_multimodal_embeddings.c.model_version,
)
hnsw(
    "idx_task_multimodal_emb_hnsw",
    sa.cast(task_multimodal_embeddings.c.emb, HalfVector(1024)).label("half"),
    "halfvec_cosine_ops",
)

task_embedding_status = sa.Table(
    "task_embedding_status",
    metadata,
    _task(),
    sa.Column("space", sa.Text, primary_key=True),
    sa.Column("label", sa.Text, primary_key=True),
    column("state", sa.Text()),
    column("content_sha256", sa.Text(), null=True),
    column("model", sa.Text(), null=True),
    column("attempts", sa.Integer()),
    column("locked_by", sa.Text(), null=True),
    column("next_try_at", time),
    column("last_error", sa.Text(), null=True),
    column("created_at", time),
    column("updated_at", time),
)
sa.Index(
    "ix_task_embedding_status_due",
    task_embedding_status.c.space,
    task_embedding_status.c.next_try_at,
    postgresql_where=sa.text("state IN ('pending', 'running')"),
)
