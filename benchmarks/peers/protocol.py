"""What the benchmark says to a peer's script, and hears from it.

A script is called as `script OPERATION URL PROFILE COUNT LIMIT_S`, in an environment that has the peer and
not us, and prints one JSON object as its last line. Operations: `single`, `batch` (submit COUNT jobs;
`per_s`), `drain` (run COUNT no-op jobs, or as many as fit into LIMIT_S; `per_s`, `done`), `pickup` (submit
COUNT jobs one after the other into an idle queue; `latencies_ms` from the answer to the submitter until the
handler runs, `calls_ms` from the submitter's call). Profiles: `default`, `tuned`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

BATCH = 1_000
CONCURRENCY = 16
PAUSE_S = 0.02


@dataclass
class Asked:
    """One call of a script."""

    operation: str
    url: str
    profile: str
    count: int
    limit_s: float

    @property
    def is_tuned(self) -> bool:
        """Whether the best settings that the peer documents are wanted."""
        return self.profile != "default"


@dataclass
class Pickup:
    """Times of jobs that were submitted into an idle queue."""

    latencies_ms: list[float] = field(default_factory=list)
    calls_ms: list[float] = field(default_factory=list)
    _started: asyncio.Event = field(default_factory=asyncio.Event)
    _at: float = 0.0

    def ran(self) -> None:
        """Called by the handler, first thing."""
        self._at = time.perf_counter()
        self._started.set()

    async def measure(self, submit: Callable[[], Awaitable[object]], count: int) -> None:
        """Submit one job after the other, each when the one before has run."""
        for _ in range(count):
            self._started.clear()
            await asyncio.sleep(PAUSE_S)
            called = time.perf_counter()
            await submit()
            stored = time.perf_counter()
            await asyncio.wait_for(self._started.wait(), 60)
            self.calls_ms.append((self._at - called) * 1000)
            self.latencies_ms.append(max(0.0, self._at - stored) * 1000)

    def found(self) -> dict[str, object]:
        """Return what the benchmark wants to know; the first job only warmed things up."""
        return {"latencies_ms": self.latencies_ms[1:], "calls_ms": self.calls_ms[1:]}


async def until_done(
    is_done: Callable[[], bool], work: asyncio.Task[None], limit_s: float
) -> float:
    """Wait until all is done or time is up; return the seconds it took."""
    started = time.perf_counter()
    while not is_done() and not work.done() and time.perf_counter() - started < limit_s:  # noqa: ASYNC110 - peers only count
        await asyncio.sleep(0.002)
    return time.perf_counter() - started


def asked() -> Asked:
    """Return what the command line wants."""
    operation, url, profile, count, limit_s = sys.argv[1:6]
    return Asked(operation, url, profile, int(count), float(limit_s))


def answer(found: dict[str, object]) -> None:
    """Print the answer."""
    print(json.dumps(found), flush=True)


def rate(done: int, seconds: float) -> dict[str, object]:
    """Return the answer of `single`, `batch` and `drain`."""
    return {"per_s": done / seconds, "done": done, "seconds": seconds}
