"""What a migration would do: as SQL to run by hand, or as a list of statements with their locks."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from seedcore.db.errors import translated
from seedcore.db.migrate import adoption, findings, scripts, session, state as states
from seedcore.db.migrate.lock import DUTY, SPACE
from seedcore.db.migrate.statements import Statement, split, strongest
from seedcore.db.migrate.target import path_down, path_up, revision_id
from seedcore.db.sql import Queries

if TYPE_CHECKING:
    from seedcore.config.settings import Settings

queries = Queries("seedcore.db.migrate")

_MARK = re.compile(r"^-- Running (?:upgrade|downgrade)\s+(\d*)\s*->\s*(\d*)$", re.MULTILINE)

_PREAMBLE = f"""\
SET search_path = public;
SET client_min_messages = warning;
SET lock_timeout = '5s';

DO $$
BEGIN
    IF NOT pg_try_advisory_lock({SPACE}, {DUTY}) THEN
        RAISE EXCEPTION 'another migration is running' USING ERRCODE = 'SC423';
    END IF;
END
$$;

DO $$
DECLARE
    v_current text;
BEGIN
    IF to_regclass('public.alembic_version') IS NOT NULL THEN
        EXECUTE 'SELECT max(version_num) FROM public.alembic_version' INTO v_current;
    END IF;
    IF coalesce(v_current, 'base') <> '%s' THEN
        RAISE EXCEPTION 'this script starts at revision %s, the database is at %%',
            coalesce(v_current, 'base') USING ERRCODE = 'SC409';
    END IF;
END
$$;
"""
_CLOSE = f"""
DO $$ BEGIN PERFORM pg_advisory_unlock({SPACE}, {DUTY}); END $$;
"""


@dataclass(frozen=True)
class PlannedStatement:
    """One statement of a plan.

    Args:
        revision: The revision that runs it.
        description: What that revision does.
        statement: Its beginning.
        lock: The strongest lock it takes on an existing table; empty = none.
        relations: What it locks: tables, or indexes that it drops.
        rows: Rows of the largest of them, estimated by the server; None without a database.
        size_bytes: Bytes of the largest of them; None without a database.
        tables: Each of the relations with its `name`, `rows` and `size_bytes`, where there is a database.
        rewrites: Whether a whole table is written anew, and locked meanwhile.
        destructive: Whether it loses rows or columns.
        irreversible: Whether the revision can't be taken back.
    """

    revision: str
    description: str
    statement: str
    lock: str
    relations: list[str]
    rows: int | None
    size_bytes: int | None
    tables: list[dict[str, str | int]]
    rewrites: bool
    destructive: bool
    irreversible: bool


@dataclass(frozen=True)
class Plan:
    """What would be done.

    Args:
        start: Where it starts; `base` = before the first revision.
        stop: Where it ends.
        sql: The script: it takes the same lock as `up`, refuses a database that is elsewhere, and
            leaves the same records. It has transactions of its own, so it can't run inside one.
        statements: What it holds, without comments and bookkeeping.
        adoption: What is in the way, and what will be converted; empty without a database.
    """

    start: str
    stop: str
    sql: str
    statements: list[PlannedStatement]
    adoption: findings.Survey = field(default_factory=findings.Survey)

    @property
    def is_destructive(self) -> bool:
        """Whether any statement loses rows or columns, or an adoption drops rows that were found."""
        return any(s.destructive for s in self.statements) or any(
            c.drops for c in self.adoption.conversions
        )


def plan(
    where: Settings | str | None,
    target: str = "head",
    *,
    down: bool = False,
    start: str | None = None,
    directory: Path | None = None,
) -> Plan:
    """Work out what `up` (or `down`) would run.

    Args:
        where: The database to start from and to take sizes from; None = none is asked.
        target: As for `up` or `down`.
        down: Plan a downgrade.
        start: Start from this revision instead of where the database is; with it no database is
            needed. Without a database the default is `base`, or the head for a downgrade.
        directory: Another script directory than this program's.

    Raises:
        NotFound: There is no such revision.
        CheckFailed: The database is not on this program's chain.
        UsageError: A downgrade that would go up, or something that is no revision.
    """
    chain = scripts.chain_of(directory)
    sizes: dict[str, tuple[int, int]] = {}
    survey = findings.Survey()
    if start is not None or where is None:
        begin = revision_id(start) if start else (chain.head if down else "base")
        state = _state_at(chain, begin)
    else:
        with session.open_session(where) as connection, translated():
            state = states.read(connection, chain)
            sizes = {r[0]: (r[1], r[2]) for r in connection.execute(queries.sizes)}
            if not down and (path := path_up(chain, state, target)):
                survey = adoption.survey(connection, chain, state, path[-1].id, count=True)
    begin = state.current or "base"
    if down:
        path, stop = path_down(chain, state, target)
    else:
        path = path_up(chain, state, target)
        stop = path[-1].id if path else begin
    if not path:
        return Plan(begin, stop, "", [])
    body = rendered(chain, begin, stop, down=down)
    script = f"{_PREAMBLE % (begin, begin)}\n{body}{_CLOSE}"
    return Plan(begin, stop, script, list(_planned(chain, body, sizes, survey, down=down)), survey)


def lock_levels(chain: scripts.Chain) -> dict[str, str]:
    """Return for each revision the strongest lock that it takes on a table that others may be using."""
    script = rendered(chain, "base", chain.head, down=False)
    found: dict[str, list[str]] = {r.id: [] for r in chain.revisions}
    for revision, _, locks in _with_locks(script):
        found[revision] += locks.values()
    return {revision: strongest(locks) for revision, locks in found.items()}


def _state_at(chain: scripts.Chain, revision: str) -> states.State:
    """Return the state of a database that was migrated to `revision` by the book."""
    ids = chain.ids[: chain.position(revision)]
    stub = {i: states.Applied(i, "", "", states.EPOCH, states.EPOCH, "") for i in ids}
    return states.State(versions=tuple(ids[-1:]), applied=stub)


def rendered(chain: scripts.Chain, start: str, stop: str, *, down: bool) -> str:
    """Return the SQL of the revisions between two others, as Alembic renders it without a database."""
    from alembic import command

    from seedcore.db.migrate.recorder import Recorder

    output = io.StringIO()
    config = scripts.alembic_config(chain, output)
    config.attributes["on_version_apply"] = Recorder(chain, last=stop)
    move = command.downgrade if down else command.upgrade
    # Alembic wants no start for a chain that begins at its beginning.
    move(config, stop if start == "base" and not down else f"{start}:{stop}", sql=True)
    return output.getvalue()


def by_revision(script: str) -> Iterator[tuple[str, list[Statement]]]:
    """Take a rendered script apart: each revision with its statements."""
    parts = _MARK.split(script)
    for before, after, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        # Upward the second number is the revision that runs, downward the first.
        yield (after if after > before else before), split(text)


def _with_locks(script: str) -> Iterator[tuple[str, Statement, dict[str, str]]]:
    """Yield revision, statement, and its locks on tables that this revision did not make itself."""
    for revision, statements in by_revision(script):
        made: set[str] = set()
        for statement in statements:
            if not statement.is_bookkeeping:
                locks = {t: lock for t, lock in statement.locks.items() if t not in made}
                yield revision, statement, locks
            if statement.creates:
                made.add(statement.creates)


def _planned(
    chain: scripts.Chain,
    script: str,
    sizes: dict[str, tuple[int, int]],
    survey: findings.Survey,
    *,
    down: bool,
) -> Iterator[PlannedStatement]:
    rewriting = {c.revision for c in survey.conversions if c.rewrites}
    for revision, statement, locks in _with_locks(script):
        if statement.is_comment:
            continue
        described = chain.revisions[chain.position(revision) - 1]
        largest = max((sizes[t] for t in locks if t in sizes), default=(None, None))
        yield PlannedStatement(
            revision=revision,
            description=described.description,
            statement=statement.title,
            lock=strongest(locks.values()),
            relations=sorted(locks),
            rows=largest[0],
            size_bytes=largest[1],
            tables=[
                {"name": t, "rows": sizes[t][0], "size_bytes": sizes[t][1]}
                for t in sorted(locks)
                if t in sizes
            ],
            # A block looks first; the survey knows what it will find.
            rewrites=statement.rewrites and (not statement.is_block or revision in rewriting),
            # On the way up a block repairs what it finds; the survey counts what that would drop.
            destructive=statement.is_destructive and (down or not statement.is_block),
            irreversible=described.irreversible,
        )
