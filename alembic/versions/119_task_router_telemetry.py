"""Task router telemetry."""

from __future__ import annotations

revision = "119"
down_revision = "118"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
