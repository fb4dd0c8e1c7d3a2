"""Keep facts: statements with tags, a namespace, a triple and the time in which they hold.

Locks: on an adopted table the columns and checks take `facts` exclusively for an instant, validation
reads it beside its writers, the indexes are built last and leave a filled table writable.
"""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "010"
down_revision = "009"
branch_labels = None
depends_on = None

INDEXES = (
    ("idx_facts_text_fts", "USING gin (to_tsvector('english', text))"),
    ("idx_facts_tags", "USING gin (tags)"),
    ("idx_facts_meta_data", "USING gin (meta_data jsonb_path_ops)"),
    ("idx_facts_object_data", "USING gin (object_data jsonb_path_ops)"),
    (
        "idx_facts_spo_namespace",
        "(namespace, subject, predicate, valid_from DESC) WHERE subject IS NOT NULL",
    ),
    ("idx_facts_created_at", "(namespace, created_at DESC)"),
    ("idx_facts_valid_to", "(valid_to) WHERE valid_to IS NOT NULL"),
    ("idx_facts_snapshot_id", "(snapshot_id) WHERE snapshot_id IS NOT NULL"),
    ("idx_facts_pkg_rule_id", "(pkg_rule_id) WHERE pkg_rule_id IS NOT NULL"),
    ("idx_facts_validation_status", "(validation_status) WHERE validation_status IS NOT NULL"),
)


def upgrade() -> None:
    ops.run_sql("010_create_facts_table.sql")
    ops.run_sql("010_views.sql")
    for name, definition in INDEXES:
        ops.create_index(name, "facts", definition)
    ops.run_sql("010_index_comments.sql")


def downgrade() -> None:
    ops.require_empty("facts")
    ops.run_sql("010_create_facts_table.down.sql")
