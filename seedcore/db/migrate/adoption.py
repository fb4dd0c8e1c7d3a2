"""What is there already, when revisions are about to make it: adopted, converted, or in the way.

A database that was made by hand is brought to the head by the revisions themselves. This looks first:
what they can't adopt is named with a cure before anything is changed, and what they will convert or
drop is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString, cast

from seedcore.db.migrate import counting
from seedcore.db.migrate.comparing import Comparison
from seedcore.db.migrate.findings import Survey
from seedcore.db.migrate.shape import load, queries
from seedcore.errors import ConfigError

if TYPE_CHECKING:
    import psycopg

    from seedcore.db.migrate.scripts import Chain
    from seedcore.db.migrate.state import State


def survey(
    connection: psycopg.Connection[Any],
    chain: Chain,
    state: State,
    stop: str,
    *,
    count: bool = False,
) -> Survey:
    """Look at what is there under the names that the pending revisions use. Reads only.

    Args:
        connection: An autocommit connection.
        chain: The revisions.
        state: Where the database stands.
        stop: The last revision that is to run.
        count: Also count what will be converted, which reads the tables in question.
    """
    comparison = Comparison(connection, chain, load(chain), _pending(chain, state, stop))
    obstacles = list(comparison.obstacles())
    if not obstacles:
        obstacles += counting.obstacles(connection, comparison)
    conversions = (
        list(counting.conversions(connection, comparison)) if count and not obstacles else []
    )
    return Survey(obstacles, conversions)


def ensure_possible(
    connection: psycopg.Connection[Any], chain: Chain, state: State, stop: str
) -> None:
    """Refuse before anything is changed where the server or this role can't do what is pending.

    Args:
        connection: An autocommit connection.
        chain: The revisions.
        state: Where the database stands.
        stop: The last revision that is to run.

    Raises:
        ConfigError: A right is missing, or pgvector is missing, too old or elsewhere.
    """
    role, database, may_create, may_use_temporary = connection.execute(queries.rights).fetchone() or (
        "", "", True, True,
    )  # fmt: skip
    missing = [
        (what, grant)
        for may, what, grant in (
            (may_create, "make objects in schema public", "CREATE ON SCHEMA public"),
            (may_use_temporary, "make temporary objects", f"TEMPORARY ON DATABASE {database}"),
        )
        if not may
    ]
    for what, grant in missing:
        raise ConfigError(
            f"role {role} may not {what} of database {database}",
            code="db.not_permitted",
            hint=f"as the owner of the database: GRANT {grant} TO {role}",
            details={"role": role, "database": database},
        )
    if _EXTENSION in _pending(chain, state, stop):
        # What the revision itself says of pgvector, and then as if it had not been asked.
        text = (chain.directory / "sql" / "002_extension.sql").read_text(encoding="utf-8")
        with connection.transaction(force_rollback=True):
            connection.execute(cast("LiteralString", text))


_EXTENSION = "002"


def _pending(chain: Chain, state: State, stop: str) -> list[str]:
    return chain.ids[chain.position(state.current) : chain.position(stop)]
