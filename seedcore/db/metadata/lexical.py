"""The index of words: which document holds which stem how often."""

from __future__ import annotations

import sqlalchemy as sa

from seedcore.db.metadata.base import column, metadata, time

lexical_document = sa.Table(
    "lexical_document",
    metadata,
    sa.Column("doc_id", sa.BigInteger, primary_key=True),
    column("kind", sa.Text()),
    column("source_id", sa.Text()),
    column("length", sa.Integer()),
    column("content_sha256", sa.Text()),
    sa.UniqueConstraint("kind", "source_id", name="uq_lexical_document_source"),
)
lexical_posting = sa.Table(
    "lexical_posting",
    metadata,
    sa.Column("term", sa.Text, primary_key=True),
    sa.Column("doc_id", sa.BigInteger, primary_key=True),
    column("tf", sa.Integer()),
)
sa.Index("idx_lexical_posting_doc_id", lexical_posting.c.doc_id)
lexical_term = sa.Table(
    "lexical_term",
    metadata,
    sa.Column("term", sa.Text, primary_key=True),
    column("documents", sa.BigInteger()),
)
lexical_statistics = sa.Table(
    "lexical_statistics",
    metadata,
    sa.Column("only_row", sa.Boolean, primary_key=True),
    column("documents", sa.BigInteger()),
    column("total_length", sa.BigInteger()),
    column("tasks_through", time),
    column("updated_at", time),
)
lexical_pending = sa.Table(
    "lexical_pending",
    metadata,
    sa.Column("pending_id", sa.BigInteger, primary_key=True),
    column("kind", sa.Text()),
    column("source_id", sa.Text()),
)
