"""Node map triggers."""

from __future__ import annotations

revision = "121"
down_revision = "120"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
