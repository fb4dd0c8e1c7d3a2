"""Moves the clock of one Python process; on PYTHONPATH only for a worker whose clock is to be wrong.

Python imports this before anything else. The offset in seconds is CHAOS_CLOCK_S. Intervals (the
monotonic clock) stay right, as they do on a machine whose date was set wrongly.
"""

from __future__ import annotations

import datetime
import os
import time

OFFSET_S = float(os.environ.get("CHAOS_CLOCK_S", "0"))

_real_time, _real_time_ns, _real_datetime = time.time, time.time_ns, datetime.datetime
_shift = datetime.timedelta(seconds=OFFSET_S)


class _LooksReal(type):
    """A value made before the change is still a datetime."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _real_datetime)


class _Shifted(datetime.datetime, metaclass=_LooksReal):
    """`datetime.datetime` with a wrong idea of now."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return _real_datetime.now(tz) + _shift

    @classmethod
    def utcnow(cls) -> datetime.datetime:
        return _real_datetime.now(datetime.UTC).replace(tzinfo=None) + _shift


if OFFSET_S:
    time.time = lambda: _real_time() + OFFSET_S
    time.time_ns = lambda: _real_time_ns() + int(OFFSET_S * 1_000_000_000)
    _Shifted.__name__ = _Shifted.__qualname__ = "datetime"
    _Shifted.__module__ = "datetime"
    datetime.datetime = _Shifted  # type: ignore[misc]  # replacing it is what this file is for
