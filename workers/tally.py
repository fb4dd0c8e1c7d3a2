"""Counts of one run, for the summary of a bounded one."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Tally:
    """What one run did; `left` comes from the database at its end."""

    claimed: int = 0
    completed: int = 0
    failed: int = 0
    retried: int = 0
    cancelled: int = 0
    returned: int = 0
    left: dict[str, int] = field(default_factory=dict[str, int])
    started_at: float = field(default_factory=time.monotonic)
    last_at: float = 0.0

    def summary(self) -> dict[str, Any]:
        """Return what `--once` and `--until-empty` print."""
        seconds = (self.last_at or time.monotonic()) - self.started_at
        ended = self.completed + self.failed
        return {
            "claimed": self.claimed,
            "completed": self.completed,
            "failed": self.failed,
            "retried": self.retried,
            "cancelled": self.cancelled,
            "seconds": round(seconds, 3),
            "rate_per_s": round(ended / seconds, 1) if seconds > 0 else 0.0,
            "left": sum(self.left.values()),
            **{f"left_{name}": count for name, count in self.left.items()},
        }


def total(summaries: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the summary of several processes that worked side by side."""
    counted = ("claimed", "completed", "failed", "retried", "cancelled")
    merged: dict[str, Any] = {name: sum(s[name] for s in summaries) for name in counted}
    merged["seconds"] = max((s["seconds"] for s in summaries), default=0.0)
    ended = merged["completed"] + merged["failed"]
    merged["rate_per_s"] = round(ended / merged["seconds"], 1) if merged["seconds"] else 0.0
    # Every process counted the same queue; the one that ended last counted it last.
    for summary in sorted(summaries, key=lambda s: s["seconds"]):
        merged.update({name: n for name, n in summary.items() if name.startswith("left")})
    return merged
