"""Ocps state."""

from __future__ import annotations

revision = "123"
down_revision = "122"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
