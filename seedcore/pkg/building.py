"""Building many small objects that all stay, without looking through them again and again."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Generator[None]:
    """Keep the garbage collector still; what is built inside is no garbage.

    It looks through everything each time that the number of objects has grown by a quarter, which is more
    than half of the time that a policy of 10,000 rules takes to load.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
