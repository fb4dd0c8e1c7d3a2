"""Optional indexes, storage parameters and settings of the queue's tables, in named profiles."""

from __future__ import annotations

from seedcore.db.tuning.apply import Change, tune
from seedcore.db.tuning.profiles import PROFILES, Profile

__all__ = ["PROFILES", "Change", "Profile", "tune"]
