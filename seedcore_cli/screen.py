"""A part of the terminal that is drawn again and again in place."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from typing import TextIO

_UP = "\x1b[{}A"
_CLEAR_BELOW = "\r\x1b[J"


class Frame(io.StringIO):
    """Takes one picture; says that it is a terminal, as what it is drawn on is one."""

    def isatty(self) -> bool:
        """Tell that people look at it."""
        return True


class Screen:
    """Draws pictures over each other, below what is on the terminal already.

    Args:
        stream: The terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines = 0

    @contextmanager
    def frame(self) -> Generator[Frame]:
        """Take the next picture, and show it at the end. A terminal that can't move gets it below."""
        frame = Frame()
        yield frame
        lines = frame.getvalue().splitlines()
        # What has scrolled out of the window can't be reached again.
        lines = lines[: max(shutil.get_terminal_size().lines - 1, 1)]
        back = ""
        if self._lines and os.environ.get("TERM", "dumb") != "dumb":
            back = _UP.format(self._lines) + _CLEAR_BELOW
        self._stream.write(back + "".join(f"{line}\n" for line in lines))
        self._stream.flush()
        self._lines = len(lines)
