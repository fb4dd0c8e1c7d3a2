"""What this machine has to do with it: configuration, permissions of our files, disk."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from seedcore.config import Loaded, Settings, contradictions, home
from seedcore.db.connection import is_embedded
from seedcore.db.embedded import EmbeddedServer
from seedcore.doctor.finding import LIMITS, Finding, Limits, size

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def config(loaded: Loaded) -> Iterator[Finding]:
    """Yield what is wrong with the settings, each by itself and together.

    Args:
        loaded: Settings read without being strict.
    """
    problems = [*loaded.problems, *contradictions(loaded)]
    for problem in problems:
        yield Finding(
            "config",
            "fail" if problem.fatal else "warn",
            f"{problem.place}: {problem.message}",
            {"place": problem.place},
            hint=problem.hint or "seedcore config check",
        )
    if not problems:
        files = [str(source.path) for source in loaded.files]
        yield Finding("config", "ok", "the configuration is valid", {"files": files})


def permissions(settings: Settings, environ: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """Yield files that others can read or folders that others can write, and should not.

    Args:
        settings: They name the home folder and the password file.
        environ: Environment. Default: the process's.
    """
    environ = os.environ if environ is None else environ
    wrong = False
    for path, mask, why in _secrets(settings, environ):
        try:
            found = path.stat()
        except OSError as error:
            # Not there, or not for us to see: then it is not ours to judge either.
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                wrong = True
                yield Finding(
                    "permissions", "skip", f"can't look at {path}: {error.strerror}", hint=None
                )
            continue
        mode = stat.S_IMODE(found.st_mode)
        if not mode & mask:
            continue
        wrong = True
        tight = mode & ~mask
        yield Finding(
            "permissions",
            "fail" if stat.S_ISREG(found.st_mode) else "warn",
            f"{path} is open to others (mode {mode:04o}): {why}",
            {"path": str(path), "mode": f"{mode:04o}", "owner": found.st_uid},
            hint=f"chmod {tight:o} {path}",
            repair=_chmod(path, tight) if found.st_uid == os.geteuid() else None,
        )
    folder = home(settings)
    if folder.exists() and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        wrong = True
        yield Finding(
            "permissions",
            "fail",
            f"this user can't use the home folder {folder}",
            {"path": str(folder), "user": os.geteuid()},
            hint="run as its owner, or set SEEDCORE_HOME to a folder of your own",
        )
    if not wrong:
        yield Finding("permissions", "ok", f"what is secret in {folder} is private")


def _secrets(settings: Settings, environ: Mapping[str, str]) -> Iterator[tuple[Path, int, str]]:
    """Yield each path with the bits that it must not have, and why."""
    folder = home(settings)
    writable = stat.S_IWGRP | stat.S_IWOTH
    layout = EmbeddedServer(folder).layout
    yield folder, writable, "who can write there can replace the sockets and keys in it"
    yield layout.root, writable, "who can write there can replace the database"
    for file in (layout.password, layout.superuser_password):
        yield file, _OTHERS, "it holds a password"
    yield layout.socket, _OTHERS, "who can enter it can try passwords"
    run = folder / "run"
    yield run, writable, "who can write there can pose as a worker"
    for socket in sorted(run.glob("*.sock")) if os.access(run, os.R_OK | os.X_OK) else ():
        yield socket, _OTHERS, "health sockets are for their user"
    if settings.password_file and not settings.origins.get("password_file", "").startswith(
        "systemd:"
    ):
        yield Path(settings.password_file).expanduser(), _OTHERS, "it holds a password"
    given = environ.get("PGPASSFILE")
    passfile = Path(given) if given else Path(environ.get("HOME") or "~").expanduser() / ".pgpass"
    yield passfile, _OTHERS, "libpq ignores a password file that others can read"


def _chmod(path: Path, mode: int) -> Callable[[], str]:
    def repair() -> str:
        path.chmod(mode)
        return f"chmod {mode:o} {path}"

    return repair


def disk(settings: Settings, limits: Limits = LIMITS) -> Iterator[Finding]:
    """Yield how much room the embedded server's disk has.

    Args:
        settings: They say whether the database is the embedded one, and where.
        limits: From where on it matters.
    """
    if not is_embedded(settings):
        yield Finding(
            "disk",
            "skip",
            "the disk of a server elsewhere can't be seen from here",
            hint="on its machine: df -h",
        )
        return
    folder = home(settings)
    at = next(
        (p for p in (folder / "postgres" / "data", folder, *folder.parents) if _is_there(p)), folder
    )
    usage = shutil.disk_usage(at)
    share = usage.free / max(usage.total, 1)
    status = "ok"
    if share < limits.disk_fail or usage.free < limits.disk_least:
        status = "fail"
    elif share < limits.disk_warn:
        status = "warn"
    yield Finding(
        "disk",
        status,
        f"{size(usage.free)} of {size(usage.total)} are free below {folder} ({share:.0%})",
        {"path": str(at), "free_bytes": usage.free, "total_bytes": usage.total},
        hint=None
        if status == "ok"
        else "seedcore task prune --older-than 7d; or move SEEDCORE_HOME to a larger disk",
    )


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False
