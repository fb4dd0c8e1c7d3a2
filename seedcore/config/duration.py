"""Durations and sizes as people write them: `90s`, `5m`, `1h30m`, `64KiB`."""

from __future__ import annotations

import math
import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_BARE = re.compile(r"\d+(?:\.\d+)?|\.\d+")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)(i?)b?", re.IGNORECASE)
_LONGEST_S = 3650 * 86400.0


def duration(text: str) -> float:
    """Return seconds.

    Args:
        text: A number of seconds (`1.5`), or numbers with units `ms s m h d w` (`90s`, `1h30m`).

    Raises:
        ValueError: It is none of these, or longer than ten years.
    """
    word = text.strip().lower()
    if _BARE.fullmatch(word):
        seconds = float(word)
    else:
        parts = _PART.findall(word)
        if not parts or "".join(number + unit for number, unit in parts) != word:
            raise ValueError(f"{text!r} is not a duration; write 90s, 5m, 2h, 3d or 1.5 (seconds).")
        seconds = math.fsum(float(number) * _SECONDS[unit] for number, unit in parts)
    if seconds > _LONGEST_S:
        raise ValueError(f"{text!r} is longer than ten years.")
    return seconds


def size(text: str) -> int:
    """Return bytes.

    Args:
        text: A number of bytes, or one with `kB MB GB` (1000s) or `KiB MiB GiB` (1024s).

    Raises:
        ValueError: It is none of these.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size; write 1048576, 64KiB or 1MB.")
    number, prefix, binary = match.groups()
    if not prefix and "." in number:
        raise ValueError(f"{text!r} is not a whole number of bytes.")
    base = 1024 if binary else 1000
    return round(float(number) * base ** (" kmg".index(prefix.lower()) if prefix else 0))
