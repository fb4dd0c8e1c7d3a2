"""Ask before the first step down what the last one would ask: whether tables that would go have rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString, cast

from seedcore.db.migrate.planning import by_revision, rendered

if TYPE_CHECKING:
    import psycopg

    from seedcore.db.migrate.scripts import Chain

_GUARD = "'migrate.table_has_rows'"


def refuse(connection: psycopg.Connection[Any], chain: Chain, start: str, stop: str) -> None:
    """Run the guards of all revisions between two others, and nothing else of them.

    Args:
        connection: An autocommit connection.
        chain: The revisions.
        start: Where the database stands.
        stop: Where the downgrade is to end; `base` = before the first.

    Raises:
        psycopg.Error: SC409: a table has rows; nothing was changed.
    """
    for _, statements in by_revision(rendered(chain, start, stop, down=True)):
        for statement in statements:
            if _GUARD in statement.text:
                connection.execute(cast("LiteralString", statement.text))
