"""Where the live schema differs from what the revisions made."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, cast

import psycopg
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from seedcore.db.metadata import metadata
from seedcore.db.migrate.recorder import live_objects
from seedcore.db.migrate.scripts import Chain
from seedcore.db.migrate.session import lent_to_sqlalchemy
from seedcore.db.sql import Queries
from seedcore.db.tuning import apply as tuning
from seedcore.db.tuning.profiles import OPTIONAL

queries = Queries("seedcore.db.migrate")

# What a major version of the server writes down word for word as it was given.
_VERBATIM = {"function", "type", "table"}

# pkg_enforce_snapshot_scoping() demands a snapshot of every task, or lifts that.
_OPERATORS_CHOICE = ("tasks", "snapshot_id")

# Built when a lane needs it, by `queue limit`, `queue pause` and `queue fair`.
_MADE_BY_COMMANDS = {("index", "ix_tasks_claim_domain")}


def differences(connection: psycopg.Connection, chain: Chain) -> list[str]:
    """Return one sentence per difference, in a stable order; empty when there is none.

    Args:
        connection: An autocommit connection to a database that is at the head.
        chain: The revisions.
    """
    by_hash = _compare_objects(connection, chain)
    with lent_to_sqlalchemy(connection) as lent:
        by_metadata = dict(_compare_tables(lent))
    # Both see a missing index; the one that knows the server's words comes first.
    found = {**by_metadata, **by_hash}
    for key in _MADE_BY_COMMANDS:
        if found.get(key, "").endswith("was not made by a revision"):
            del found[key]
    # Those that `db tune` builds and drops are compared with the profile that it was told.
    made = [found[key] for key in sorted(found) if key[0] != "index" or key[1] not in OPTIONAL]
    return made + tuning.faults(connection)


def recorded_major(connection: psycopg.Connection) -> str | None:
    """Return the major version of the server that wrote down the hashes."""
    row = connection.execute(
        "SELECT hash FROM public.seedcore_objects WHERE kind = 'server'"
    ).fetchone()
    return None if row is None else str(row[0])


def _compare_objects(connection: psycopg.Connection, chain: Chain) -> dict[tuple[str, str], str]:
    stored = {(r[0], r[1]): r[2] for r in connection.execute(queries.stored_objects)}
    live = {(r[0], r[1]): r[2] for r in connection.execute(live_objects(chain))}
    server = ("server", "major version")
    if stored.pop(server, None) != live.pop(server):
        # The same view may read otherwise; the next revision stores everything anew.
        stored = {key: h for key, h in stored.items() if key[0] in _VERBATIM}
        live = {key: h for key, h in live.items() if key[0] in _VERBATIM}
    found: dict[tuple[str, str], str] = {}
    for key in stored.keys() | live.keys():
        kind, name = key
        if key not in live:
            found[key] = f"{kind} {name} is missing"
        elif key not in stored:
            found[key] = f"{kind} {name} was not made by a revision"
        elif stored[key] != live[key]:
            found[key] = f"{kind} {name} is not as its revision made it"
    return found


def _compare_tables(lent: sa.Connection) -> Iterator[tuple[tuple[str, str], str]]:
    def ours(name: str | None, kind: str, parents: Any) -> bool:
        # Tables of other programs, and partitions, are none of our business.
        return kind != "table" or name in metadata.tables

    context = MigrationContext.configure(
        lent, opts={"include_name": ours, "compare_type": True, "compare_server_default": False}
    )
    with warnings.catch_warnings():
        # SQLAlchemy stumbles over a check that is not validated, as adoption may leave some.
        warnings.filterwarnings("ignore", "Can't validate argument 'dialect_options'")
        entries = compare_metadata(context, metadata)
    for entry in entries:
        # Changes of one column come as a list.
        changes = cast("list[Any]", entry) if isinstance(entry, list) else [entry]
        for change in changes:
            if change[0].endswith("comment"):  # words for people; anyone may better them
                continue
            if change[0] == "modify_nullable" and change[2:4] == _OPERATORS_CHOICE:
                continue
            yield _describe(change)


def _describe(change: tuple[Any, ...]) -> tuple[tuple[str, str], str]:
    """Turn one of Alembic's proposals, which would mend the database, into what is wrong with it."""
    action = change[0]
    verb, _, what = action.partition("_")
    if verb == "modify":
        _, _, table, column, _, before, after = change
        name = f"{table}.{column}"
        return ("column", name), f"column {name} has {what} {before} instead of {after}"
    wrong = "is missing" if verb == "add" else "was not made by a revision"
    if what == "column":
        name = f"{change[2]}.{change[3].name}"
    elif what == "table":
        name = change[1].name
    else:
        name = str(change[1].name)
        if what in ("fk", "constraint"):
            what, name = "constraint", f"{change[1].table.name}.{name}"
    return (what, name), f"{what} {name} {wrong}"
