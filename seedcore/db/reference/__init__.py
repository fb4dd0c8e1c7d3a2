"""The reference pages that a migrated database writes of itself: its schema and its functions.

`scripts/generate-docs` runs this on a throw-away database; a test compares the result with the pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg


def pages(connection: psycopg.Connection) -> dict[str, str]:
    """Return every page by file name.

    Args:
        connection: A connection to a database at the head, of the major version of `MAJOR`.
    """
    from seedcore.db.reference import catalog, functions, tables

    found = catalog.read(connection)
    return {"schema.md": tables.page(found), "sql-functions.md": functions.page(found)}


MAJOR = 18
"""Another major version of the server writes definitions in other words."""
