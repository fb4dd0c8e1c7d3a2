"""How much of the machine others used while something was measured."""

from __future__ import annotations

import os
import time
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_CORES = os.cpu_count() or 1
LIMIT = 0.1
"""A round is noisy when others had more than this share of all cores."""


class CpuMeter:
    """Adds up processor time of the whole machine, of us and of the server, between two moments.

    Args:
        postmaster: Process id of the server.
    """

    def __init__(self, postmaster: int) -> None:
        self._postmaster = postmaster
        self._busy, self._own = _busy(), self._ours()
        self._began = time.perf_counter()

    def foreign(self) -> float:
        """Return the share of all cores that others had since the meter was made, from 0 to 1."""
        seconds = max(time.perf_counter() - self._began, 1e-6)
        foreign = (_busy() - self._busy) - (self._ours() - self._own)
        return max(0.0, foreign) / (seconds * _CORES)

    def _ours(self) -> float:
        """Seconds of this process, its children and the server's, ended ones included."""
        parents: dict[int, int] = {}
        spent: dict[int, float] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (fields := _stat(entry)):
                pid = int(entry.name)
                parents[pid] = int(fields[1])
                # User and system time, its own and that of children that it has waited for.
                spent[pid] = sum(int(n) for n in fields[11:15]) / _TICK
        roots = {os.getpid(), self._postmaster}
        return sum(s for pid, s in spent.items() if _descends(pid, roots, parents))


def cpu_s(pid: int) -> float:
    """Return the processor seconds that a process has used itself."""
    fields = _stat(Path("/proc") / str(pid))
    return sum(int(n) for n in fields[11:13]) / _TICK if fields else 0.0


def rss_bytes(pid: int) -> int:
    """Return the resident size of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _busy() -> float:
    """Seconds that all cores together spent on anything but waiting."""
    user, nice, system, _, _, irq, soft, steal, *_ = (
        int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + soft + steal) / _TICK


def _stat(entry: Path) -> list[str]:
    """Fields of /proc/PID/stat after the name, which may hold anything."""
    try:
        return entry.joinpath("stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _descends(pid: int, roots: set[int], parents: dict[int, int]) -> bool:
    while pid > 1:
        if pid in roots:
            return True
        pid = parents.get(pid, 0)
    return False
