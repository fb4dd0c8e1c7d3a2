"""The question that every command asks first: is the database's schema the one we need?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seedcore.db.migrate import scripts
from seedcore.errors import NotMigrated

if TYPE_CHECKING:
    import psycopg

_CURE = "seedcore migrate up"


def required_revision() -> str:
    """Return the revision that this program needs: the last one it carries."""
    return scripts.default_chain().head


def ensure_migrated(conn: psycopg.Connection[Any]) -> None:
    """Raise unless the database is at the revision that this program needs, or at a later one.

    A later one is fine, because revisions only add to what programs of the release before use: so the
    old workers go on while a new release is rolled out.

    Args:
        conn: An autocommit connection; one query is sent.

    Raises:
        NotMigrated: The schema is missing, too old, or not ours.
    """
    from psycopg import errors

    needed = required_revision()
    try:
        with conn.cursor() as cursor:
            cursor.execute("SELECT max(version_num) AS version FROM public.alembic_version")
            row: Any = cursor.fetchone()
    except errors.UndefinedTable:
        row = None
    # Callers differ in their row factory.
    values: list[Any] = list(row.values() if hasattr(row, "values") else row or [None])
    found: str | None = values[0]
    if found is None:
        raise NotMigrated(
            f"the database has no SeedCore schema yet (this program needs revision {needed})",
            hint=_CURE,
            details={"current": None, "required": needed},
        )
    if not found.isdigit():
        raise NotMigrated(
            f"the database is at revision {found}, which no SeedCore program knows",
            hint="seedcore migrate status",
            details={"current": found, "required": needed},
        )
    if found < needed:
        raise NotMigrated(
            f"the database is at revision {found}, this program needs {needed}",
            hint=_CURE,
            details={"current": found, "required": needed},
        )
