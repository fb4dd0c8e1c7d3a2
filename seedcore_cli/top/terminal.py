"""The terminal while `top` has it: keys one by one, told of a new size, and given back however it ends."""

from __future__ import annotations

import os
import re
import select
import signal
import termios
import tty
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_NAMED: dict[bytes, str] = {
    b"\x1b[A": "up", b"\x1bOA": "up", b"k": "up",
    b"\x1b[B": "down", b"\x1bOB": "down", b"j": "down",
    b"\x1b[5~": "page up", b"\x1b[6~": "page down",
    b"\r": "enter", b"\n": "enter", b"\x1b": "escape", b"\x7f": "backspace", b"\x08": "backspace",
}  # fmt: skip
# An escape sequence, a character of UTF-8, or a byte that is neither.
_KEY = re.compile(
    rb"\x1b(?:\[[0-9;]*[~A-Za-z]|O[A-Za-z])|[\xc0-\xff][\x80-\xbf]+|[\x00-\xff]", re.DOTALL
)
_SUSPEND = 10
"""Place of Ctrl-Z's character among a terminal's special ones, where the platform does not name it."""


class Keyboard:
    """Keys of a terminal, and the wake-up when its size changes.

    Args:
        descriptor: The terminal's.
    """

    def __init__(self, descriptor: int) -> None:
        self._terminal = descriptor
        self._wake, self._waker = os.pipe()
        os.set_blocking(self._waker, False)

    def wait(self, timeout_s: float) -> list[tuple[str, str]]:
        """Return the keys pressed, each as its name and its text; nothing after that time or a resize.

        Raises:
            EOFError: The terminal is gone.
        """
        ready, _, _ = select.select([self._terminal, self._wake], [], [], max(timeout_s, 0.0))
        if self._wake in ready:
            os.read(self._wake, 1024)
        if self._terminal not in ready:
            return []
        try:
            pressed = os.read(self._terminal, 1024)
        except OSError as error:
            raise EOFError from error
        if not pressed:
            raise EOFError
        return list(_keys(pressed))

    def woken(self, number: int, frame: FrameType | None) -> None:
        """Handle SIGWINCH: the size is read when the next frame is drawn, which is now."""
        try:
            os.write(self._waker, b"w")
        except BlockingIOError:
            return  # woken already

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._wake)
        os.close(self._waker)


def _keys(pressed: bytes) -> Iterator[tuple[str, str]]:
    for found in _KEY.finditer(pressed):
        key = found[0]
        text = key.decode("utf-8", "replace")
        yield _NAMED.get(key, text), text if text.isprintable() else ""


@contextmanager
def keyboard(descriptor: int) -> Generator[Keyboard]:
    """Read keys as they are pressed, without showing them; the terminal is as before afterwards."""
    before: list[Any] = termios.tcgetattr(descriptor)
    keys = Keyboard(descriptor)
    handler = signal.signal(signal.SIGWINCH, keys.woken)
    try:
        tty.setcbreak(descriptor)
        # Stopped by Ctrl-Z, it would leave the shell a terminal that echoes nothing.
        now: list[Any] = termios.tcgetattr(descriptor)
        now[6][getattr(termios, "VSUSP", _SUSPEND)] = b"\0"
        termios.tcsetattr(descriptor, termios.TCSADRAIN, now)
        yield keys
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, handler)
        keys.close()
