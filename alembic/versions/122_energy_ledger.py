"""Book energy in a ledger that nobody can rewrite."""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = "122"
down_revision = "121"
branch_labels = None
depends_on = None


FILES = (
    "122_forbid_change.sql",
    "122_energy_ledger.sql",
    "122_energy_functions.sql",
    "122_energy_views.sql",
)


def upgrade() -> None:
    for name in FILES:
        ops.run_sql(name)


def downgrade() -> None:
    ops.require_empty("energy_tx")
    ops.run_sql("122_energy_ledger.down.sql")
