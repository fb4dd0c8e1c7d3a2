"""Claim from where the last claim ended, past the rows that are dead already."""

from __future__ import annotations

revision = "127"
down_revision = "126"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
