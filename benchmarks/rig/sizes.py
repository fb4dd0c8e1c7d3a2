"""How much of everything: for a real run, for one under five minutes, and for a try."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Numbers of tasks and seconds.

    Attributes:
        rounds: How often everything is measured.
        limit_s: After this long, a peer's drain is judged by what it has done.
        single, batch, copy: Tasks to submit.
        drain, drain_tuned: Tasks to drain.
        pickup: Tasks to pick up.
        poll_s: Poll interval where there is nothing but polling.
        snapshot: Tasks that are drained while a snapshot is held.
        backlog, finished, future: Rows of the big table.
        big_drain: Tasks of it that are drained.
        submitters_s: Seconds of concurrent submitting.
        idle_s: Seconds of watching an idle worker.
        memory: Tasks during which a worker's memory is watched.
        wal: Tasks whose WAL is counted.
    """

    rounds: int
    limit_s: float
    single: int
    batch: int
    copy: int
    drain: int
    drain_tuned: int
    pickup: int
    poll_s: float
    snapshot: int
    backlog: int
    finished: int
    future: int
    big_drain: int
    submitters_s: int
    idle_s: float
    memory: int
    wal: int


FULL = Sizes(
    rounds=5, limit_s=20, single=3_000, batch=50_000, copy=300_000, drain=20_000, drain_tuned=100_000,
    pickup=300, poll_s=0.25, snapshot=240_000, backlog=1_000_000, finished=1_000_000, future=200_000,
    big_drain=500_000, submitters_s=15, idle_s=60, memory=1_000_000, wal=50_000,
)  # fmt: skip
QUICK = Sizes(
    rounds=1, limit_s=2, single=300, batch=5_000, copy=10_000, drain=3_000, drain_tuned=5_000,
    pickup=20, poll_s=0.25, snapshot=12_000, backlog=20_000, finished=20_000, future=5_000,
    big_drain=5_000, submitters_s=3, idle_s=6, memory=10_000, wal=3_000,
)  # fmt: skip
TINY = Sizes(
    rounds=1, limit_s=1, single=30, batch=1_000, copy=1_000, drain=300, drain_tuned=500,
    pickup=5, poll_s=0.25, snapshot=1_000, backlog=4_000, finished=1_000, future=500,
    big_drain=500, submitters_s=1, idle_s=2, memory=1_000, wal=500,
)  # fmt: skip
BIG = 10_000_000
