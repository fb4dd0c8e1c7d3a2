"""Look at policy and change what is in force: views, integrity, promotion, rollback, assignment."""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "015"
down_revision = "014"
branch_labels = None
depends_on = None

FILES = (
    "015_pkg_replace.sql",
    "015_pkg_views.sql",
    "015_pkg_state.sql",
    "015_pkg_promotion.sql",
    "015_pkg_bucket.sql",
    "015_pkg_effective_snapshot.sql",
)


def upgrade() -> None:
    for name in FILES:
        ops.run_sql(name)


def downgrade() -> None:
    ops.run_sql("015_pkg_views_functions.down.sql")
