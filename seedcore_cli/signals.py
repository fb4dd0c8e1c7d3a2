"""Signals of a one-shot command: each becomes an exception, so that `with` and `finally` clean up.

They derive from KeyboardInterrupt because the database driver cancels its running statement on
exactly that before it lets it through.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM (or SIGHUP, when the terminal went away) arrived."""


class TimedOut(KeyboardInterrupt):
    """The time of `--timeout` has passed."""


def raise_on_termination() -> None:
    """Let SIGTERM and SIGHUP unwind the program instead of killing it where it stands.

    A signal that the caller ignores (nohup) stays ignored. Daemons install their own handlers later.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _terminate)


def start_timer(seconds: float) -> None:
    """Raise TimedOut in the main thread after that many seconds."""
    signal.signal(signal.SIGALRM, _time_out)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))


def stop_timer() -> None:
    """Forget the timer; harmless when there is none."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(number)


def _time_out(number: int, frame: FrameType | None) -> None:
    raise TimedOut(number)
