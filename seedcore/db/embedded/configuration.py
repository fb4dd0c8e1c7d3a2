"""The server's settings: a small machine that holds data worth keeping."""

from __future__ import annotations

import os
from pathlib import Path

from seedcore.db.embedded.layout import PORT

_MB = 1 << 20


def settings(socket: Path, log: Path, *, unsafe: bool, memory: int | None = None) -> dict[str, str]:
    """Return the settings of a start.

    Args:
        socket: Folder of the Unix socket.
        log: Folder of the log files.
        unsafe: Give up durability; only for servers that are thrown away.
        memory: Memory of the machine in bytes. Default: asked from the system.
    """
    if memory is None:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    values = {
        # Reached by its owner through a private folder, and by no network.
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": str(socket),
        "unix_socket_permissions": "0700",
        "password_encryption": "scram-sha-256",
        "max_connections": "300",
        # Modest shares: agents and encoders live on the same machine.
        "shared_buffers": _megabytes(memory // 16, 64, 512),
        "effective_cache_size": _megabytes(memory // 2, 256, 65536),
        "work_mem": "8MB",
        "maintenance_work_mem": _megabytes(memory // 16, 64, 1024),  # builds of vector indexes
        # A queue writes much and keeps little: fewer checkpoints, each page image compressed.
        "wal_compression": "on",
        "max_wal_size": "2GB",
        "min_wal_size": "80MB",
        "checkpoint_timeout": "15min",
        # A bulk load of tasks writes their params into a GIN index, in gulps of this size.
        "gin_pending_list_limit": "16MB",
        # Short statements by the thousand; compiling them costs more than running them.
        "jit": "off",
        "random_page_cost": "1.1",
        # Rows of a queue die young: look often, and before a fifth of the table is dead.
        "autovacuum_naptime": "15s",
        "autovacuum_vacuum_scale_factor": "0.05",
        "autovacuum_analyze_scale_factor": "0.05",
        "autovacuum_vacuum_cost_limit": "1000",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
        # A week of logs, each day's file overwritten a week later.
        "logging_collector": "on",
        "log_directory": str(log),
        "log_filename": "postgres-%a.log",
        "log_file_mode": "0600",
        "log_truncate_on_rotation": "on",
        "log_rotation_age": "1d",
        "log_rotation_size": "0",
        "log_line_prefix": "%m [%p] %q%a ",
        "log_checkpoints": "off",
        "log_lock_waits": "on",
    }
    if _is_small(Path("/dev/shm")):  # noqa: S108 - only its size is asked
        # Containers often have 64 MB there, and a parallel index build wants more.
        values["dynamic_shared_memory_type"] = "mmap"
    if unsafe:
        values |= {
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "wal_level": "minimal",
            "max_wal_senders": "0",
            "wal_compression": "off",
            "shared_buffers": "128MB",
            "log_lock_waits": "off",
        }
    return values


def render(values: dict[str, str], local_conf: Path) -> str:
    """Return the configuration file's text.

    Args:
        values: Name → value.
        local_conf: File of the operator's own settings, read last.
    """
    lines = [
        "# Written by seedcore at every start; changes are lost.",
        f"# Put your own settings into {local_conf.name} beside this file, then: seedcore db restart",
        *(f"{name} = {_quoted(name, value)}" for name, value in values.items()),
    ]
    if local_conf.exists():
        lines.append(f"include = {_quoted('', str(local_conf))}")
    return "\n".join(lines) + "\n"


def _quoted(name: str, value: str) -> str:
    if name == "unix_socket_directories":
        value = f'"{value}"'  # a list: a space or a comma would split an unquoted path
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _megabytes(size: int, least: int, most: int) -> str:
    return f"{max(least, min(size // _MB, most))}MB"


def _is_small(folder: Path) -> bool:
    try:
        found = os.statvfs(folder)
    except OSError:
        return True
    return found.f_blocks * found.f_frsize < 1024 * _MB
