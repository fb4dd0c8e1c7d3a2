"""File locks: they end with the process that holds them, however it ends."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from seedcore.errors import LockBusy

_BUSY = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}


def is_held(path: Path) -> bool:
    """Whether some process holds the lock file exclusively."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try(handle, fcntl.LOCK_SH)
    finally:
        os.close(handle)


def take(path: Path, *, timeout_s: float) -> int | None:
    """Take a lock exclusively and return its file descriptor, or None when time is up.

    The lock lasts until every copy of the descriptor is closed, also those that child processes
    inherited.

    Args:
        path: The lock file; made with mode 0600 when missing.
        timeout_s: How long to try, in seconds.
    """
    end = time.monotonic() + timeout_s
    pause = 0.005
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        # Whoever removes the folder removes the file under us: then the lock is worth nothing.
        if _try(handle, fcntl.LOCK_EX) and _is_still(handle, path):
            return handle
        os.close(handle)
        if time.monotonic() >= end:
            return None
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


@contextmanager
def held(path: Path, *, timeout_s: float, what: str) -> Generator[None]:
    """Hold a lock during a block; the holder's process id is in the file.

    Args:
        path: The lock file.
        timeout_s: How long to wait for another holder, in seconds.
        what: What the holder is doing, for the error's sentence.

    Raises:
        LockBusy: Another process still holds it when time is up.
    """
    handle = take(path, timeout_s=timeout_s)
    if handle is None:
        with suppress(OSError, ValueError):
            holder = int(path.read_text())
            raise LockBusy(f"process {holder} is {what}", details={"pid": holder})
        raise LockBusy(f"another process is {what}")
    try:
        os.truncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _try(handle: int, mode: int) -> bool:
    try:
        fcntl.flock(handle, mode | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _BUSY:
            return False
        raise
    return True


def _is_still(handle: int, path: Path) -> bool:
    try:
        named = path.stat()
    except FileNotFoundError:
        return False
    opened = os.fstat(handle)
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)
