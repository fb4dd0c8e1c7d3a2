"""Where the next claim begins: behind what earlier ones took, and now and then at the very beginning."""

from __future__ import annotations

import random
from collections.abc import Sequence

from seedcore.task.exchange import PRIORITIES, Answer, ClaimedTask, Position

_SHORTEST_S, _LONGEST_S = 1.0, 2.0
_SHARE = 0.05
"""Of its time a worker may spend on reading what is dead, while it has other work."""
_IDLE_SHARE = 0.2
"""The same when nothing was found: what is below the floors would be all there is to do."""
_CHEAP_S = 0.02


class Floors:
    """The last claimed position of each priority.

    A claim that begins there passes over the rows that earlier claims left behind, which stay in the index
    as long as any snapshot may see them. What arrives below a floor (a submission that committed late, a
    task that waited for others and kept its place, rows from before the clock was set back) is found
    by a scan from the beginning: every one to two seconds, or less often when that takes long.
    """

    def __init__(self) -> None:
        self._floors: list[Position] = [Position()] * PRIORITIES
        self._scanned_at = float("-inf")
        self._pause_s = 0.0
        self._cost_s = 0.0
        self._per_task_s = 0.0
        self._measure = True
        self._was_full = False

    @property
    def cost_s(self) -> float:
        """What the latest scan took beyond a claim of the same size from the floors, in seconds."""
        return self._cost_s

    def choose(self, now: float) -> Sequence[Position] | None:
        """Return the floors for a claim that is made now, or None for one from the beginning."""
        return None if self.scan_in_s(now) <= 0 else self._floors

    def scan_in_s(self, now: float) -> float:
        """Return the seconds until a claim should scan from the beginning.

        Args:
            now: `time.monotonic()`.
        """
        pause_s = self._pause_s
        if not self._was_full:
            cost_s = self._cost_s if self._cost_s > _CHEAP_S else 0.0
            pause_s = min(pause_s, cost_s / _IDLE_SHARE)
        return self._scanned_at + pause_s - now

    def wants_measure(self, floors: Sequence[Position] | None) -> bool:
        """Tell whether the time of this claim is worth knowing: of each scan and one claim after it."""
        return floors is None or self._measure

    def learn(
        self, floors: Sequence[Position] | None, wanted: int, answer: Answer, now: float
    ) -> None:
        """Draw the conclusions from a claim.

        Args:
            floors: What it was made with.
            wanted: Its limit.
            answer: What it brought.
            now: `time.monotonic()`.
        """
        claimed = answer.claimed
        self._was_full = len(claimed) >= wanted
        if floors is None:
            self._scanned(answer, now)
        elif answer.claim_s is not None and claimed:
            self._per_task_s = answer.claim_s / len(claimed)
            self._measure = False
        self._take(claimed)

    def _scanned(self, answer: Answer, now: float) -> None:
        self._scanned_at = now
        self._measure = True
        if answer.claim_s is not None:
            self._cost_s = max(answer.claim_s - len(answer.claimed) * self._per_task_s, 0.0)
        usual_s = random.uniform(_SHORTEST_S, _LONGEST_S)  # noqa: S311 - spreads workers
        self._pause_s = max(usual_s, self._cost_s / _SHARE)
        if answer.now is not None and not self._was_full:
            # Every priority was read to its end: until then nothing else was due.
            self._floors = [Position(answer.now)] * PRIORITIES

    def _take(self, claimed: Sequence[ClaimedTask]) -> None:
        """Move the floors to the last task of each priority; the tasks come in the claim's order."""
        if not claimed:
            return
        last = claimed[-1]
        if claimed[0].priority != last.priority:
            for task in claimed:
                self._floors[task.priority] = Position(task.due_at, task.id)
        else:
            self._floors[last.priority] = Position(last.due_at, last.id)
