"""The one form in which times are written into logs and results."""

from __future__ import annotations

import time
from functools import lru_cache


@lru_cache(maxsize=8)
def _second(whole: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))


def timestamp(seconds: float) -> str:
    """Write a Unix time as ISO-8601 in UTC with milliseconds and Z."""
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"{_second(whole)}.{thousandths:03d}Z"
