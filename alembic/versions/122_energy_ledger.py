"""Energy ledger."""

from __future__ import annotations

revision = "122"
down_revision = "121"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
