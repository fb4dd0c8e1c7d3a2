"""The file in which a running server describes itself, and the processes behind it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class PidFile:
    """The lines of `postmaster.pid` that matter to us; a starting server hasn't written all."""

    pid: int
    started_at: datetime | None = None
    port: int | None = None
    socket_dir: Path | None = None
    state: str = "starting"
    """`starting`, `ready`, `stopping` or `standby`."""


def read_pid_file(path: Path) -> PidFile | None:
    """Return what the file says, or None if it is missing or holds no process id."""
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return None
    lines = [line.strip() for line in lines] + [""] * 8
    try:
        pid = abs(int(lines[0]))  # negative: a stand-alone backend
    except ValueError:
        return None
    return PidFile(
        pid=pid,
        started_at=datetime.fromtimestamp(int(lines[2]), UTC) if lines[2].isdigit() else None,
        port=int(lines[3]) if lines[3].isdigit() else None,
        socket_dir=Path(lines[4]) if lines[4] else None,
        state=lines[7] or "starting",
    )


def is_alive(pid: int) -> bool:
    """Whether a process of that id lives, be it ours or not.

    A zombie counts as dead; in a container whose first process never reaps it stays for good.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        # The name, in parentheses, may hold anything; the state follows the last one.
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return not _PROC.exists()
    except (ProcessLookupError, PermissionError, IndexError):
        return True


def is_postgres_of(pid: int, data: Path) -> bool:
    """Whether that process is a PostgreSQL process working in this data folder.

    A process id alone proves nothing: after a crash or a reboot it may be somebody else's.
    """
    if not is_alive(pid):
        return False
    if not _PROC.exists():
        asked = subprocess.run(
            ["/bin/ps", "-o", "comm=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return "postgres" in asked.stdout
    try:
        if not (_PROC / str(pid) / "comm").read_text().startswith("postgres"):
            return False
        works_in = (_PROC / str(pid) / "cwd").stat()
        wanted = data.stat()
    except OSError:  # ended meanwhile, a zombie, or another user's
        return False
    return (works_in.st_dev, works_in.st_ino) == (wanted.st_dev, wanted.st_ino)


def processes_of(data: Path) -> Iterator[int]:
    """Yield the PostgreSQL processes that work in this data folder (needs /proc)."""
    if _PROC.exists():
        for entry in _PROC.iterdir():
            if entry.name.isdigit() and is_postgres_of(int(entry.name), data):
                yield int(entry.name)


def end_leftovers(data: Path, *, patience_s: float = 1.0) -> None:
    """End the children of a postmaster that is gone.

    Most notice within milliseconds and leave; one in the middle of a long computation doesn't, and
    no new server can start on the data before it has gone.

    Args:
        data: The data folder; its postmaster must be dead.
        patience_s: Time for leaving on their own, and again after SIGQUIT, in seconds.
    """
    for name in (None, signal.SIGQUIT, signal.SIGKILL):
        end = time.monotonic() + patience_s
        if name is not None:
            for pid in processes_of(data):
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, name)
        while any(True for _ in processes_of(data)):
            if time.monotonic() > end:
                break
            time.sleep(0.02)
        else:
            return
