"""Expire instances that fell silent, and those of old epochs; never a whole healthy cluster at once.

After a pause of the database (a failover, a frozen machine) every instance looks silent although each
one of them is well. So when too large a share falls silent together, the reaper holds back for a while,
and only those that still say nothing afterwards are expired.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg

from seedcore.config.settings import Settings
from seedcore.db.connection import connect
from seedcore.db.whereabouts import Whereabouts
from seedcore.errors import LockBusy, Refused
from seedcore.registry.store import Row, fetch, queries

_PURGE_EVERY_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When an instance counts as dead.

    Attributes:
        stale_s: Silence, in seconds.
        max_fraction: Larger shares of the live instances are not expired at once.
        guard_from: Smaller clusters are not guarded: one of two is half of them.
        guard_s: How long the guard holds back, in seconds; beats come back much sooner.
        old_epochs: Also expire instances of epochs that are over.
    """

    stale_s: float
    max_fraction: float = 0.5
    guard_from: int = 5
    guard_s: float = 30.0
    old_epochs: bool = True


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a look at the live instances says.

    Attributes:
        live: How many there are.
        silent: Those that have been silent for too long.
        outdated: Those of old epochs, silent or not.
    """

    live: int
    silent: list[Row]
    outdated: list[Row]

    def is_mass_death(self, rules: Rules) -> bool:
        """Tell whether so many are silent that the reason is hardly theirs."""
        return self.live >= rules.guard_from and len(self.silent) > rules.max_fraction * self.live


@dataclass(slots=True)
class Pass:
    """What one pass did: the instances that it expired, how many the guard saved, or were forgotten."""

    expired: list[Row] = field(default_factory=list[Row])
    held_back: int = 0
    purged: int = 0


def judge(conn: psycopg.Connection[Any], rules: Rules) -> Judgement:
    """Look at the live instances, and change nothing."""
    rows = fetch(conn, queries.judge, {"stale_s": rules.stale_s})
    current = [row for row in rows if not (rules.old_epochs and row["old_epoch"])]
    outdated = [row for row in rows if rules.old_epochs and row["old_epoch"]]
    return Judgement(len(current), [row for row in current if row["silent"]], outdated)


def expire(conn: psycopg.Connection[Any], doomed: list[Row], rules: Rules) -> list[Row]:
    """Expire judged instances that are still as they were found, and return those."""
    if not doomed:
        return []
    ids = [row["instance_id"] for row in doomed]
    parameters = {"ids": ids, "stale_s": rules.stale_s, "old_epochs": rules.old_epochs}
    expired = {row["instance_id"] for row in fetch(conn, queries.expire, parameters)}
    return [row for row in doomed if row["instance_id"] in expired]


def expire_by_hand(
    conn: psycopg.Connection[Any],
    rules: Rules,
    *,
    is_sure: bool = False,
    most: int | None = None,
    dry_run: bool = False,
) -> list[Row]:
    """Expire what is due, at an operator's word.

    Args:
        conn: A connection in autocommit.
        rules: When an instance counts as dead.
        is_sure: Go on although the guard would hold back.
        most: At most so many, the longest silent first.
        dry_run: Return what would be expired, and change nothing.

    Raises:
        Refused: Too large a share is silent.
    """
    found = judge(conn, rules)
    if found.is_mass_death(rules) and not is_sure and not dry_run:
        raise Refused(
            f"{len(found.silent)} of {found.live} instances are silent, more than"
            f" {rules.max_fraction:.0%}: was the database or the network away?",
            code="registry.mass_death",
            hint="look again in a moment; or add --yes to expire them",
        )
    doomed = (found.outdated + found.silent)[:most]
    return doomed if dry_run else expire(conn, doomed, rules)


class Reaper:
    """Pass after pass, with a memory of when the guard began to hold back.

    Args:
        rules: When an instance counts as dead.
        clock: Seconds that only rise; they measure the guard's patience, nothing in the database.
    """

    def __init__(self, rules: Rules, clock: Callable[[], float] = time.monotonic) -> None:
        self._rules = rules
        self._clock = clock
        self._guarding_since: float | None = None

    def run(self, conn: psycopg.Connection[Any]) -> Pass:
        """Make one pass.

        Args:
            conn: A connection in autocommit.
        """
        found = judge(conn, self._rules)
        doomed = list(found.outdated)
        held_back = 0
        if self._holds_back(found):
            held_back = len(found.silent)
        else:
            doomed += found.silent
        return Pass(expire(conn, doomed, self._rules), held_back)

    @property
    def patience_s(self) -> float:
        """Seconds until the guard gives up holding back; 0 = it does not hold back."""
        if self._guarding_since is None:
            return 0.0
        return max(self._guarding_since + self._rules.guard_s - self._clock(), 0.0)

    def _holds_back(self, found: Judgement) -> bool:
        if not found.is_mass_death(self._rules):
            self._guarding_since = None
            return False
        if self._guarding_since is None:
            self._guarding_since = self._clock()
        return self.patience_s > 0


class Seat:
    """A reaper's place at the database: its session, and with it the lead of all reapers.

    Args:
        settings: Which database.
        name: How the session is named.
        rules: When an instance counts as dead.
        purge_older_s: Dead instances are forgotten after so many seconds.
    """

    def __init__(
        self, settings: Settings, name: str, rules: Rules, *, purge_older_s: float
    ) -> None:
        self._settings = settings
        self._where = Whereabouts(settings, name)
        self._purge_older_s = purge_older_s
        self._purge_at = 0.0
        self._conn: psycopg.Connection[Any] | None = None
        self.reaper = Reaper(rules)
        self.leads = False

    def open(self) -> psycopg.Connection[Any]:
        """Connect unless connected.

        Raises:
            Unavailable: The database can't be reached, or is not migrated.
        """
        if self._conn is None or self._conn.closed:
            self._conn = connect(self._settings, check_schema=True, text=self._where())
        return self._conn

    def close(self) -> None:
        """Give up the session, and the lead with it."""
        self.leads = False
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.close()

    def turn(self) -> Pass | None:
        """Make one pass; None when another reaper leads.

        Raises:
            SeedcoreError: What the database said.
        """
        conn = self.open()
        if not self.leads:
            self.leads = fetch(conn, queries.lead)[0]["leads"]
            if not self.leads:
                return None
        done = self.reaper.run(conn)
        if time.monotonic() >= self._purge_at:
            self._purge_at = time.monotonic() + _PURGE_EVERY_S
            parameters = {"older_s": self._purge_older_s}
            done.purged = fetch(conn, queries.purge, parameters)[0]["purged"]
        return done

    def single_turn(self) -> Pass:
        """Make one pass for a run that ends after it; a second one when the guard held back.

        Raises:
            LockBusy: Another reaper leads.
            SeedcoreError: What the database said.
        """
        done = self.turn()
        if done is None:
            raise LockBusy("another reaper leads", code="registry.reaper_busy")
        if not done.held_back:
            return done
        # Whoever is well beats again in the meantime; one that does not is gone.
        time.sleep(self.reaper.patience_s)
        second = self.turn() or Pass()
        return Pass(done.expired + second.expired, second.held_back, done.purged)
