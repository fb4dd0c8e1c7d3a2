"""What a check says: how it stands, what shows it, and the command that helps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["ok", "warn", "fail", "skip"]

Row = dict[str, Any]


@dataclass(frozen=True)
class Finding:
    """One answer of a check; a check gives one for each thing that is wrong, or one that says "ok".

    Args:
        check: The check's name.
        status: `ok`; `warn` = will hurt, or hurts a little; `fail` = hurts now; `skip` = can't tell.
        detail: What was found, in a sentence.
        evidence: The numbers and names behind it, ready for JSON.
        hint: The command that helps, or what to do.
        seconds: How long the whole check took.
        repair: Does what is safe to do without asking, and says what it did; None when nothing is.
        repaired: What it did.
    """

    check: str
    status: Status
    detail: str
    evidence: Row = field(default_factory=dict[str, Any])
    hint: str | None = None
    seconds: float = 0.0
    repair: Callable[[], str] | None = field(default=None, repr=False, compare=False)
    repaired: str | None = None

    def row(self) -> Row:
        """Return the finding as it is printed."""
        return {
            "check": self.check,
            "status": self.status,
            "detail": self.detail,
            "evidence": self.evidence,
            "hint": self.hint,
            "seconds": round(self.seconds, 3),
            "fixable": self.repair is not None,
            "fixed": self.repaired,
        }


@dataclass(frozen=True)
class Limits:
    """From where on something is worth a warning (`_warn`) or is a fault (`_fail`).

    Times in seconds, sizes in bytes, shares between 0 and 1.
    """

    transaction_warn: float = 60.0
    transaction_fail: float = 900.0
    horizon_xids_warn: int = 1_000_000
    horizon_xids_fail: int = 50_000_000
    slot_wal_warn: int = 1 << 30
    dead_warn: int = 10_000
    dead_share_warn: float = 0.2
    dead_share_fail: float = 1.0
    index_size_least: int = 16 << 20
    index_entry_warn: float = 500.0
    vacuum_lag_warn: float = 2.0
    vacuum_lag_fail: float = 10.0
    wraparound_warn: int = 500_000_000
    wraparound_fail: int = 1_500_000_000
    notify_warn: float = 0.1
    notify_fail: float = 0.5
    skew_warn: float = 2.0
    skew_fail: float = 60.0
    connections_warn: float = 0.8
    connections_fail: float = 0.95
    stale_fail: float = 600.0
    due_warn: float = 60.0
    due_fail: float = 600.0
    disk_warn: float = 0.1
    disk_fail: float = 0.02
    disk_least: int = 200 << 20


LIMITS = Limits()


def grade(value: float, warn: float, fail: float) -> Status:
    """Return the status of a number of which more is worse."""
    return "fail" if value >= fail else "warn" if value >= warn else "ok"


def worst(*statuses: Status) -> Status:
    """Return the gravest of some statuses."""
    order: tuple[Status, ...] = ("fail", "warn", "skip", "ok")
    return next(status for status in order if status in statuses)


def duration(seconds: float) -> str:
    """Return a duration in words short enough for a sentence."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def size(number: float) -> str:
    """Return a size in words short enough for a sentence."""
    for unit in ("B", "kB", "MB"):
        if abs(number) < 1024:
            return f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:.1f} GB"


def psql(statement: str) -> str:
    """Return the command that runs a statement by hand."""
    return f'seedcore db psql --write -c "{statement}"'
