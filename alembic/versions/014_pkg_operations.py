"""Serve, validate and promote snapshots: lanes, fixtures, runs, the audit of promotions, devices.

Devices may be many; their indexes come last and leave a filled table writable.
"""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "014"
down_revision = "013"
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_pkg_device_versions_type_region", "(device_type, region)"),
    ("ix_pkg_device_versions_snapshot", "(snapshot_id)"),
)


def upgrade() -> None:
    ops.run_sql("014_pkg_operations.sql")
    ops.run_sql("014_snapshot_digest.sql")
    for name, definition in INDEXES:
        ops.create_index(name, "pkg_device_versions", definition)
    ops.run_sql("014_index_comments.sql")


def downgrade() -> None:
    ops.require_empty(
        "pkg_device_versions",
        "pkg_promotions",
        "pkg_validation_runs",
        "pkg_validation_fixtures",
        "pkg_deployments",
    )
    ops.run_sql("014_pkg_operations.down.sql")
