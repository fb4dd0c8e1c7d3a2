"""${message}

What this adds, and what it costs on a filled database, in a few lines.
"""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else 'ops.run_sql("%s_%s.sql" % ())'}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
