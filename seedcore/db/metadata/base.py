"""What every table description shares: the collection, naming, and short forms of columns."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ENUM
from sqlalchemy.types import TypeEngine

# PostgreSQL's own names for what a revision leaves unnamed.
metadata = sa.MetaData(
    naming_convention={"fk": "%(table_name)s_%(column_0_name)s_fkey", "pk": "%(table_name)s_pkey"}
)

# Made by a revision, never by SQLAlchemy.
task_status = ENUM(
    "created", "queued", "running", "completed", "failed", "cancelled", "retry",
    name="taskstatus", create_type=False,
)  # fmt: skip

time = sa.DateTime(timezone=True)


def column(name: str, kind: TypeEngine[Any], *, null: bool = False) -> sa.Column[Any]:
    """Return a column; defaults are compared by their hashes, like everything that is an expression."""
    return sa.Column(name, kind, nullable=null)


def scoped(table: str) -> sa.Column[Any]:
    """Return the column that says under which policy snapshot a row of the table was made."""
    key = sa.ForeignKey("pkg_snapshots.id", ondelete="RESTRICT", name=f"fk_{table}_snapshot_id")
    return sa.Column("snapshot_id", key, nullable=True)
