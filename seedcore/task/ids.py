"""Ids that the client makes: UUIDv7, so that the rows of one file keep its order and lie together."""

from __future__ import annotations

import secrets
import threading
import time

_LOW_BITS = 62
_VARIANT = 0b10 << _LOW_BITS


class _Clock:
    """The latest id: its millisecond, its upper digits, and the number that counts on below them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.moment = 0
        self.upper = ""
        self.low = 0


_clock = _Clock()


def new_id() -> str:
    """Return a new UUIDv7 as text, greater than every one this process made before."""
    clock = _clock
    moment = time.time_ns() // 1_000_000
    with clock.lock:
        if moment > clock.moment:
            stamp = f"{moment:012x}"
            clock.moment = moment
            clock.upper = f"{stamp[:8]}-{stamp[8:]}-7{secrets.randbits(12):03x}-"
            # Half of the numbers stay above it, more than a millisecond (or a clock that was set back
            # for a week) can use up.
            clock.low = _VARIANT | secrets.randbits(_LOW_BITS - 1)
        else:
            clock.low += 1
        digits = f"{clock.low:016x}"
        return f"{clock.upper}{digits[:4]}-{digits[4:]}"
