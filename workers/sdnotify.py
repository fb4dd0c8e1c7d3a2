"""Tell a supervisor (systemd, or our own) how a daemon is doing: the sd_notify protocol.

A datagram of `NAME=value` lines to the socket in `NOTIFY_SOCKET`. Without that variable nothing
happens, so a daemon says the same things wherever it runs.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class Notifier:
    """Speaks to the socket that the environment names.

    Args:
        environ: Where `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` are looked up.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._watchdog_s = _watchdog_interval(environ)

    @property
    def watchdog_s(self) -> float | None:
        """Seconds without a sign of life after which we get killed; None = no watchdog."""
        return self._watchdog_s

    def send(self, *, status: str | None = None, **states: str | int) -> bool:
        """Send states in one datagram.

        Args:
            status: One line for `systemctl status`.
            states: READY=1, STOPPING=1, WATCHDOG=1, EXTEND_TIMEOUT_USEC=…

        Returns:
            False when nobody listens. That is no error: the daemon works all the same.
        """
        if not self._address:
            return False
        lines = [f"{name}={value}" for name, value in states.items()]
        if status is not None:
            lines.append(f"STATUS={status}")
        # A leading @ stands for the NUL of Linux's abstract socket names.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(lines).encode(), address)
        except OSError:
            return False
        return True

    def ready(self, status: str) -> None:
        """Say that start-up is done."""
        self.send(status=status, READY=1)

    def stopping(self, status: str) -> None:
        """Say that the end has begun."""
        self.send(status=status, STOPPING=1)

    def alive(self) -> None:
        """Answer the watchdog; only to be called after real progress."""
        self.send(WATCHDOG=1)

    def stalled(self) -> None:
        """Ask the watchdog to act at once."""
        self.send(WATCHDOG="trigger")

    def more_time(self, seconds: float) -> None:
        """Ask for so much time from now, while stopping takes long but goes on."""
        self.send(EXTEND_TIMEOUT_USEC=int(seconds * 1_000_000))


def _watchdog_interval(environ: Mapping[str, str]) -> float | None:
    try:
        microseconds = int(environ.get("WATCHDOG_USEC", "0"))
        addressee = int(environ.get("WATCHDOG_PID", "0"))
    except ValueError:
        return None
    if microseconds <= 0 or addressee not in (0, os.getpid()):
        return None
    return microseconds / 1_000_000
