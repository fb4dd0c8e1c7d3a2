"""Hold back, slow down and order what is claimed: per lane, per domain, per key."""

from __future__ import annotations

revision = "126"
down_revision = "125"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
