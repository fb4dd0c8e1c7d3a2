"""Say where a database stands without running anything: for databases whose history is known better."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from seedcore.db.errors import translated
from seedcore.db.migrate import scripts, session, state as states
from seedcore.db.migrate.lock import migration_lock
from seedcore.db.migrate.recorder import store_objects
from seedcore.db.migrate.runner import Options
from seedcore.db.migrate.target import revision_id
from seedcore.db.sql import Queries
from seedcore.errors import CheckFailed

if TYPE_CHECKING:
    from seedcore.config.settings import Settings

queries = Queries("seedcore.db.migrate")


def stamp(
    where: Settings | str, target: str, *, purge: bool = False, options: Options | None = None
) -> str:
    """Record `target` and everything before it as applied, and nothing after.

    Args:
        where: Settings, or a libpq connection string.
        target: A revision, `base` or `head`.
        purge: Forget whatever is recorded, even revisions that this program does not know.
        options: Waiting, actor, dry run, script directory.

    Returns:
        The revision the database counts as being at; `base` = none.

    Raises:
        NotFound: There is no such revision.
        CheckFailed: Unknown revisions are recorded, and `purge` was not given.
        LockBusy: A migration is running.
    """
    options = options or Options()
    chain = scripts.chain_of(options.directory)
    wanted = chain.head if target == "head" else revision_id(target)
    ids = chain.ids[: chain.position(wanted)]
    with (
        session.open_session(where) as connection,
        translated(),
        migration_lock(connection, options.lock_timeout_s),
    ):
        state = states.read(connection, chain)
        strange = [v for v in (*state.versions, *state.applied) if v not in chain.ids]
        if not purge and (strange or len(state.versions) > 1):
            raise CheckFailed(
                f"the database records {', '.join(strange or state.versions)}",
                code="migrate.unknown_revision",
                hint=f"'seedcore migrate stamp {target} --purge' forgets that",
            )
        if options.dry_run:
            return wanted
        with connection.transaction():
            connection.execute(queries.create_versions)
            connection.execute(queries.create_records)
            connection.execute("DELETE FROM alembic_version")
            connection.execute(
                "DELETE FROM seedcore_migrations WHERE %s OR revision <> ALL (%s)", [purge, ids]
            )
            if not ids:
                connection.execute(queries.drop_records)
                return wanted
            connection.execute("INSERT INTO alembic_version VALUES (%s)", [wanted])
            actor = options.actor or session.actor_of(where)
            for revision in chain.revisions[: len(ids)]:
                connection.execute(
                    sql.SQL(queries.record_applied).format(
                        revision=sql.Literal(revision.id),
                        description=sql.Literal(revision.description),
                        file_hash=sql.Literal(revision.digest),
                        started_at=sql.SQL("clock_timestamp()"),
                        applied_by=sql.Literal(f"{actor} (stamp)"),
                    )
                )
            connection.execute(store_objects(chain))
    return wanted
