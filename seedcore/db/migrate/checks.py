"""Is everything as it should be: the chain, the database, and the two against each other?"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seedcore.db.errors import translated
from seedcore.db.migrate import scripts, session, state as states
from seedcore.errors import UsageError

if TYPE_CHECKING:
    import psycopg

    from seedcore.config.settings import Settings

_PAUSE_S = 0.5


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Args:
        check: Its name.
        ok: Whether all is well.
        detail: What was found, in a sentence.
        hint: What to do about it; None when there is nothing to do.
    """

    check: str
    ok: bool
    detail: str
    hint: str | None = None


def check(
    where: Settings | str,
    *,
    only: tuple[str, ...] = (),
    wait_s: float = 0.0,
    directory: Path | None = None,
) -> list[Finding]:
    """Run the checks; one finding per fault, or one that says that all is well.

    Args:
        where: Settings, or a libpq connection string.
        only: Names out of `NAMES`; empty = all.
        wait_s: How long pending revisions may still get applied by someone else, in seconds.
        directory: Another script directory than this program's.

    Raises:
        UsageError: There is no such check.
        Unavailable: The server can't be reached.
    """
    unknown = [name for name in only if name not in NAMES]
    if unknown:
        raise UsageError(
            f"there is no check named {unknown[0]!r}",
            code="migrate.unknown_check",
            hint=f"choose from {', '.join(NAMES)}",
        )
    wanted = [name for name in NAMES if not only or name in only]
    chain = scripts.chain_of(directory)
    found = [f for name in wanted if name in _OF_CHAIN for f in _OF_CHAIN[name](chain)]
    if any(name in _OF_DATABASE for name in wanted):
        with session.open_session(where) as connection, translated():
            state = _wait(connection, chain, wait_s if "pending" in wanted else 0.0)
            for name in wanted:
                if name in _OF_DATABASE:
                    found += _OF_DATABASE[name](connection, chain, state)
    return sorted(found, key=lambda f: NAMES.index(f.check))


def _wait(connection: psycopg.Connection, chain: scripts.Chain, wait_s: float) -> states.State:
    deadline = time.monotonic() + wait_s
    while True:
        state = states.read(connection, chain)
        if state.current == chain.head or time.monotonic() >= deadline:
            return state
        time.sleep(min(_PAUSE_S, max(deadline - time.monotonic(), 0.0)))


def _heads(chain: scripts.Chain) -> Iterator[Finding]:
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    try:
        # Of a link that leads nowhere Alembic only warns.
        with warnings.catch_warnings(action="error", category=UserWarning):
            directory = ScriptDirectory.from_config(scripts.alembic_config(chain))
            heads = sorted(directory.get_heads())
            walked = [s.revision for s in directory.walk_revisions()][::-1]
    except (CommandError, UserWarning) as error:
        said = " ".join(str(error).split())
        yield Finding("heads", False, f"the chain can't be followed: {said}")
        return
    if len(heads) != 1:
        yield Finding(
            "heads",
            False,
            f"the chain has {len(heads)} heads: {', '.join(heads)}",
            "give one of them the other as down_revision",
        )
    elif walked != chain.ids:
        yield Finding(
            "heads",
            False,
            f"files are numbered {', '.join(chain.ids)}, but linked {', '.join(walked)}",
            "number the files in the order in which they run",
        )
    else:
        yield Finding("heads", True, f"one head, {heads[0]}")


def _offline(chain: scripts.Chain) -> Iterator[Finding]:
    from seedcore.db.migrate.planning import rendered

    good = 0
    for revision in chain.revisions:
        before = (
            chain.ids[chain.position(revision.id) - 2] if revision.id != chain.ids[0] else "base"
        )
        try:
            rendered(chain, before, revision.id, down=False)
            if not revision.irreversible:
                rendered(chain, revision.id, before, down=True)
        except Exception as error:
            yield Finding(
                "offline",
                False,
                f"revision {revision.id} can't be rendered: {type(error).__name__}: {error}",
                "say it in SQL, or with seedcore.db.migrate.ops",
            )
        else:
            good += 1
    if good == len(chain.revisions):
        yield Finding("offline", True, f"{good} revisions render without a database")


def _pending(
    connection: psycopg.Connection, chain: scripts.Chain, state: states.State
) -> Iterator[Finding]:
    fault = states.fault(state, chain)
    if fault is not None:
        yield Finding("pending", False, fault.message, fault.hint)
        return
    left = chain.ids[chain.position(state.current) :]
    if left:
        yield Finding(
            "pending",
            False,
            f"the database is at {state.current or 'base'}; not applied: {', '.join(left)}",
            "seedcore migrate up",
        )
    else:
        yield Finding("pending", True, f"the database is at the head, {chain.head}")
    for name in state.invalid_indexes:
        yield Finding(
            "pending", False, f"index {name} was left invalid by a build", "seedcore migrate up"
        )


def _drift(
    connection: psycopg.Connection, chain: scripts.Chain, state: states.State
) -> Iterator[Finding]:
    if state.current != chain.head or not state.has_objects:
        yield Finding(
            "drift",
            False,
            f"can't tell: the database is at {state.current or 'base'}, not at {chain.head}",
            "seedcore migrate up",
        )
        return
    from seedcore.db.migrate.drift import differences, recorded_major

    found = differences(connection, chain)
    for sentence in found:
        yield Finding(
            "drift", False, sentence, "put it back by hand, or write a revision that makes it so"
        )
    if not found:
        then, now = recorded_major(connection), str(connection.info.server_version // 10_000)
        detail = "the live schema is what the revisions made"
        if then != now:
            detail = (
                f"tables, columns, functions and types are what the revisions made; the rest was "
                f"written down by PostgreSQL {then}, which words it otherwise than {now}"
            )
        hint = None if then == now else f"'seedcore migrate stamp {chain.head}' writes it down anew"
        yield Finding("drift", True, detail, hint)


def _acceptance(
    connection: psycopg.Connection, chain: scripts.Chain, state: states.State
) -> Iterator[Finding]:
    from seedcore.db.migrate.acceptance import WANTED, missing

    if state.current != chain.head:
        yield Finding(
            "acceptance",
            False,
            f"can't tell: the database is at {state.current or 'base'}, not at {chain.head}",
            "seedcore migrate up",
        )
        return
    found = missing(connection)
    for kind, name in found:
        yield Finding(
            "acceptance",
            False,
            f"{kind} {name} is missing",
            "put it back by hand, or write a revision that makes it",
        )
    if not found:
        count = sum(len(names) for names in WANTED.values())
        yield Finding("acceptance", True, f"all {count} objects of the schema's design are there")


def _integrity(
    connection: psycopg.Connection, chain: scripts.Chain, state: states.State
) -> Iterator[Finding]:
    known = {r.id: r for r in chain.revisions}
    applied = [a for a in state.applied.values() if a.revision in known]
    changed = [a for a in applied if known[a.revision].digest != a.file_hash]
    for row in changed:
        yield Finding(
            "integrity",
            False,
            f"the files of revision {row.revision} changed after it was applied at"
            f" {row.finished_at:%Y-%m-%d %H:%M}",
            "install the release that applied it; changes go into a new revision",
        )
    if not changed:
        yield Finding("integrity", True, f"{len(applied)} applied revisions are unchanged")


_OF_CHAIN: dict[str, Callable[[scripts.Chain], Iterator[Finding]]] = {
    "heads": _heads,
    "offline": _offline,
}
_OF_DATABASE: dict[
    str, Callable[[psycopg.Connection, scripts.Chain, states.State], Iterator[Finding]]
] = {
    "pending": _pending,
    "drift": _drift,
    "acceptance": _acceptance,
    "integrity": _integrity,
}
NAMES = ("heads", "pending", "drift", "acceptance", "integrity", "offline")
