"""Tasks that are submitted again and again, and batches."""

from __future__ import annotations

revision = "129"
down_revision = "128"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
