"""A machine whose clock is wrong: on PYTHONPATH, every program started there reads WRONG_CLOCK_S more."""

from __future__ import annotations

import datetime
import os
import time
from typing import Any, Self

_SHIFT_S = float(os.environ.get("WRONG_CLOCK_S", "0"))
_true_time, _true_ns, _true_gettime = time.time, time.time_ns, time.clock_gettime
_True = datetime.datetime


def _gettime(clock: int) -> float:
    return _true_gettime(clock) + (_SHIFT_S if clock == time.CLOCK_REALTIME else 0.0)


class _Kind(type):
    """Takes every true datetime for one of ours, as the library's C parts make true ones."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _True)

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, _True)


class _Shifted(_True, metaclass=_Kind):
    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return _True(*args, **kwargs)

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Self:
        shifted: Any = _True.fromtimestamp(_true_time() + _SHIFT_S, tz)
        return shifted


if _SHIFT_S:
    time.time = lambda: _true_time() + _SHIFT_S
    time.time_ns = lambda: _true_ns() + int(_SHIFT_S * 1e9)
    time.clock_gettime = _gettime
    datetime.datetime = _Shifted  # type: ignore[misc]  # what every module imports from here on
