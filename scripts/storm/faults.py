"""The faults of a storm, each for a while; every one leaves the cluster able to work again."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Callable
from typing import Any

import psycopg

from storm.cluster import Cluster
from storm.proxy import Mode

HOUR_S = 3600
CLAIM = "SELECT id, attempts FROM tasks_claim('queue', %s, 3, %s)"
COMPLETE = "SELECT tasks_complete(%s, %s, %s, %s::jsonb[])"
LAPSED = """
SELECT bool_and(t.owner_id IS DISTINCT FROM %s)
  FROM unnest(%s::uuid[]) AS u (id) JOIN tasks t ON t.id = u.id
"""
TERMINATE = """
SELECT count(pg_terminate_backend(pid))
  FROM (SELECT pid FROM pg_stat_activity
         WHERE datname = 'seedcore' AND usename = 'seedcore' AND application_name <> %s
         ORDER BY random() LIMIT %s) AS unlucky
"""
HOG = "chaos hog"


class Storm:
    """Brings faults over a cluster.

    Args:
        cluster: What suffers.
        is_quick: Whether connections that lost bytes are cut at the end, instead of being left for
            the workers to find out.
    """

    def __init__(self, cluster: Cluster, *, is_quick: bool) -> None:
        self.cluster = cluster
        self.is_quick = is_quick
        self.refused = 0
        """Late results of our own zombies that the database refused."""
        self.accepted: list[str] = []
        """Ids of tasks whose late result was accepted."""
        self._random = random.Random(11)  # noqa: S311 - no secret
        self._turn = 0

    @property
    def faults(self) -> dict[str, Callable[[float], None]]:
        """Name → what brings it about for so many seconds; in the order of the matrix."""
        return {
            "kill": self.kill,
            "freeze": self.freeze,
            "crash": self.crash,
            "terminate": self.terminate,
            "exhaust": self.exhaust,
            "clock": self.clock,
            "delay": self.delay,
            "drop": self.drop,
            "cut": self.cut,
        }

    def kill(self, seconds: float) -> None:
        """SIGKILL one worker after the other, each started again at once."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            worker = self._next()
            worker.kill()
            worker.start()
            self.cluster.wait(1.5)

    def freeze(self, seconds: float) -> None:
        """SIGSTOP a worker for three leases; it goes on with what is no longer its own.

        A zombie of ours does the same beside it, for certain: it claims, is silent until its leases
        have lapsed, and then sends its results.
        """
        end = time.monotonic() + seconds
        while True:
            worker = self._next()
            worker.signal(signal.SIGSTOP)
            try:
                self._zombie()
            finally:
                worker.signal(signal.SIGCONT)
            if time.monotonic() >= end:
                return
            self.cluster.wait(1.0)

    def crash(self, seconds: float) -> None:
        """Immediate shutdown of PostgreSQL, a second without it, and its recovery."""
        end = time.monotonic() + seconds
        while True:
            self.cluster.server.crash()
            self.cluster.wait(1.0)
            self.cluster.server.start()
            if time.monotonic() >= end:
                return
            self.cluster.wait(min(5.0, max(0.0, end - time.monotonic())))

    def terminate(self, seconds: float) -> None:
        """End some sessions, of workers, tools or the submitter, five times a second."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.cluster.server.rows(TERMINATE, [HOG, 3])
            self.cluster.wait(0.2)

    def exhaust(self, seconds: float) -> None:
        """Take every connection that the server has, and make workers need new ones."""
        held: list[psycopg.Connection[Any]] = []
        try:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                with contextlib.suppress(psycopg.OperationalError):
                    while time.monotonic() < end:
                        url = self.cluster.server.url
                        held.append(psycopg.connect(url, application_name=HOG))
                self.cluster.server.rows(TERMINATE, [HOG, 1000])
                self.cluster.wait(0.05)
        finally:
            for conn in held:
                conn.close()

    def clock(self, seconds: float) -> None:
        """Give one worker a clock that is an hour fast or slow."""
        worker = self._next()
        worker.kill()
        worker.clock_s = self._random.choice([HOUR_S, -HOUR_S])
        worker.start()
        self.cluster.wait(seconds)
        worker.kill()
        worker.clock_s = 0
        worker.start()

    def delay(self, seconds: float) -> None:
        """Let every chunk of bytes wait in the proxy."""
        self._proxied(Mode.DELAY, seconds)

    def drop(self, seconds: float) -> None:
        """Let connections through the proxy lose all their bytes from some point on."""
        self._proxied(Mode.DROP, seconds)
        if self.is_quick:
            self.cluster.proxy.reset()

    def cut(self, seconds: float) -> None:
        """End connections through the proxy in the middle of a message."""
        self._proxied(Mode.CUT, seconds)

    def _proxied(self, mode: Mode, seconds: float) -> None:
        self.cluster.proxy.mode = mode
        try:
            self.cluster.wait(seconds)
        finally:
            self.cluster.proxy.mode = Mode.PASS

    def _next(self) -> Any:
        worker = self.cluster.workers[self._turn % len(self.cluster.workers)]
        self._turn += 1
        return worker

    def _zombie(self) -> None:
        """Claim, be silent until the leases have lapsed, then send the results."""
        owner, lease_s = f"zombie-{self._random.random()}", self.cluster.lease_s
        with psycopg.connect(self.cluster.server.url, autocommit=True) as conn:
            held = conn.execute(CLAIM, [owner, lease_s]).fetchall()
            ids = [row[0] for row in held]
            self.cluster.wait(3 * lease_s)
            if not ids:
                return

            def is_lapsed() -> bool:
                row = conn.execute(LAPSED, [owner, ids]).fetchone()
                return bool(row and row[0])

            self.cluster.wait(60.0, is_lapsed)
            tokens = [row[1] for row in held]
            late = conn.execute(COMPLETE, [owner, ids, tokens, ["{}"] * len(ids)]).fetchall()
        self.accepted += [str(row[0]) for row in late]
        self.refused += len(ids) - len(late)
