"""Task outbox."""

from __future__ import annotations

revision = "118"
down_revision = "117"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
