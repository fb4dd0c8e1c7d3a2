"""Task proto plan."""

from __future__ import annotations

revision = "124"
down_revision = "123"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
