"""Facts: statements with the time in which they hold."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from seedcore.db.metadata.base import column, metadata, scoped, time

facts = sa.Table(
    "facts",
    metadata,
    sa.Column("id", UUID(as_uuid=True), primary_key=True),
    column("text", sa.Text()),
    column("tags", ARRAY(sa.Text())),
    column("meta_data", JSONB()),
    column("namespace", sa.Text()),
    column("created_by", sa.Text()),
    column("subject", sa.Text(), null=True),
    column("predicate", sa.Text(), null=True),
    column("object_data", JSONB(), null=True),
    column("valid_from", time, null=True),
    column("valid_to", time, null=True),
    scoped("facts"),
    column("pkg_rule_id", sa.Text(), null=True),
    column("pkg_provenance", JSONB(), null=True),
    column("validation_status", sa.Text(), null=True),
    column("created_at", time),
    column("updated_at", time),
)
sa.Index(
    "idx_facts_text_fts",
    sa.func.to_tsvector(sa.text("'english'::regconfig"), facts.c.text),
    postgresql_using="gin",
)
sa.Index("idx_facts_tags", facts.c.tags, postgresql_using="gin")
for _name in ("meta_data", "object_data"):
    sa.Index(
        f"idx_facts_{_name}",
        facts.c[_name],
        postgresql_using="gin",
        postgresql_ops={_name: "jsonb_path_ops"},
    )
sa.Index(
    "idx_facts_spo_namespace",
    facts.c.namespace,
    facts.c.subject,
    facts.c.predicate,
    facts.c.valid_from.desc(),
    postgresql_where=sa.text("subject IS NOT NULL"),
)
sa.Index("idx_facts_created_at", facts.c.namespace, facts.c.created_at.desc())
for _name in ("valid_to", "snapshot_id", "pkg_rule_id", "validation_status"):
    sa.Index(f"idx_facts_{_name}", facts.c[_name], postgresql_where=sa.text(f"{_name} IS NOT NULL"))
