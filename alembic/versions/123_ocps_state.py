"""Keep the drift sums of the domains, so that every coordinator adds to the same one."""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "123"
down_revision = "122"
branch_labels = None
depends_on = None


FILES = (
    "123_ocps_state.sql",
    "123_ocps_functions.sql",
)


def upgrade() -> None:
    for name in FILES:
        ops.run_sql(name)


def downgrade() -> None:
    ops.require_empty("ocps_state")
    ops.run_sql("123_ocps_state.down.sql")
