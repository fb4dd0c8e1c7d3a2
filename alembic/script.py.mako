"""${message[:1].upper() + message[1:]}.

What it costs on a filled database: which locks, for how long.
"""

from __future__ import annotations

from seedcore.db.migrate import ops

revision = ${repr(up_revision).replace("'", '"')}
down_revision = ${repr(down_revision).replace("'", '"')}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ops.run_sql("${up_revision}_${message.replace(' ', '_')}.sql")


def downgrade() -> None:
    ops.run_sql("${up_revision}_${message.replace(' ', '_')}.down.sql")
