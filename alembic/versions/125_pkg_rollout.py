"""Pkg rollout."""

from __future__ import annotations

revision = "125"
down_revision = "124"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
