"""Progress and checkpoints of running tasks, and what is kept of ended ones for how long."""

from __future__ import annotations

revision = "128"
down_revision = "127"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
