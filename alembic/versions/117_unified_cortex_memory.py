"""Unified cortex memory."""

from __future__ import annotations

revision = "117"
down_revision = "017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
