"""Start the postmaster: check the ground, write the settings, clear what a killed server left."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from seedcore.db.embedded import binaries, configuration, locks, postmaster
from seedcore.db.embedded.identity import Identity, server_identity
from seedcore.db.embedded.initialise import ENVIRONMENT, failure, initialise
from seedcore.db.embedded.layout import PORT, Layout, open_way, private_folder, write_private
from seedcore.errors import ConfigError, LockBusy, Unavailable


@dataclass(frozen=True)
class Launched:
    """A start that was begun; what the server says from then on can be asked for."""

    layout: Layout
    sizes: dict[Path, int] = field(default_factory=dict)
    """How long each log file was before."""

    def last_words(self) -> str:
        """Return what has been logged since the start."""
        texts: list[str] = []
        for path in self.layout.log_files():
            try:
                with path.open("rb") as file:
                    file.seek(self.sizes.get(path, 0))
                    texts.append(file.read(1 << 20).decode("utf-8", errors="replace"))
            except OSError:
                continue  # removed meanwhile; the others still tell
        return "\n".join(texts)


def launch(layout: Layout, *, major: int, unsafe: bool) -> Launched:
    """Begin to start the server, after making its data folder if there is none.

    The caller holds the administration lock, and nothing of an earlier server lives.

    Args:
        layout: Where things lie.
        major: Major version of PostgreSQL to run.
        unsafe: Give up durability.

    Raises:
        ConfigError: It can't run here.
        Unavailable: A program failed, or the disk is full.
    """
    try:
        return _launch(layout, major, unsafe)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise Unavailable(
            f"the embedded server can't be started: {error}",
            code="db.disk_full" if full else "db.start_failed",
            hint=f"free some space on the disk of {layout.root}, then retry" if full else None,
        ) from error


def _launch(layout: Layout, major: int, unsafe: bool) -> Launched:
    _refuse_other_data(layout, major)
    identity = server_identity(layout.data)
    open_way(layout, identity)
    alive = locks.take(layout.alive_lock, timeout_s=5.0)
    if alive is None:
        raise LockBusy("processes of an earlier embedded server still run")
    try:
        _remove_unfinished(layout)
        installation = binaries.reachable_installation(identity, layout.root, major)
        if layout.major() is None:
            # initdb gets the lock too: it outlives a caller that is killed, and nobody may start
            # before it has ended.
            initialise(layout, installation, identity, major=major, unsafe=unsafe, inherit=(alive,))
        private_folder(layout.log, identity)
        private_folder(layout.socket, identity)
        write_settings(layout, unsafe=unsafe)
        _remove_stale_files(layout)
        sizes = {path: path.stat().st_size for path in layout.log.glob("*.log")}
        _spawn(layout, installation, identity, alive)
    finally:
        os.close(alive)  # from here on the postmaster's copy holds the lock
    return Launched(layout, sizes)


def _remove_unfinished(layout: Layout) -> None:
    """Remove what was being made or removed when somebody was killed."""
    for kind in ("initialising", "upgrading", "copying", "removing"):
        for leftover in layout.root.glob(f"{kind}-*"):
            shutil.rmtree(leftover, ignore_errors=True)


def write_settings(layout: Layout, *, unsafe: bool = False) -> None:
    """Write the settings of the next start."""
    values = configuration.settings(layout.socket, layout.log, unsafe=unsafe)
    write_private(layout.conf, configuration.render(values, layout.local_conf), mode=0o644)


def _refuse_other_data(layout: Layout, major: int) -> None:
    """Refuse a data folder that this start must not touch, with what to do about it."""
    found = layout.major()
    if found == major:
        return
    if found is not None:
        raise ConfigError(
            f"the data folder {layout.data} is of PostgreSQL {found}, and this program runs "
            f"PostgreSQL {major}",
            code="db.version_mismatch",
            hint="seedcore db upgrade"
            if found in binaries.shipped_majors() and found < major
            else f"dump it with PostgreSQL {found} and load it with 'seedcore db restore'",
            details={"found": found, "needed": major},
        )
    if layout.data.is_symlink() or (layout.data.exists() and any(layout.data.iterdir())):
        raise ConfigError(
            f"{layout.data} is there and holds no PostgreSQL data",
            code="db.bad_data_folder",
            hint="move it away; to keep the data elsewhere set SEEDCORE_HOME",
        )
    kept = sorted(layout.root.glob("data.*.old"))
    if kept:
        # Making an empty database now would look like the loss of everything.
        raise ConfigError(
            f"{layout.data} is missing, but {kept[-1].name} is there: an upgrade was interrupted",
            code="db.interrupted_upgrade",
            hint=f"mv {kept[-1]} {layout.data} && seedcore db upgrade",
        )


def _remove_stale_files(layout: Layout) -> None:
    """Remove what a killed server left behind.

    PostgreSQL takes a process id in such a file for a running server if any process of the same
    user has it now. We hold the lock that its processes would hold, so we know better.
    """
    found = postmaster.read_pid_file(layout.pid_file)
    sockets = {layout.socket / f".s.PGSQL.{PORT}.lock"}
    user: int | None = None
    if found is not None:
        sockets.add((found.socket_dir or layout.socket) / f".s.PGSQL.{found.port or PORT}.lock")
        user = found.pid if postmaster.is_postgres_of(found.pid, layout.data) else None
    elif any(path.exists() for path in sockets):
        # The file is empty (the disk was full) or somebody removed it, so it names nobody.
        user = next(postmaster.processes_of(layout.data), None)
    if user is not None:
        raise Unavailable(
            f"a PostgreSQL server that seedcore did not start uses {layout.data} "
            f"(process {user}) and is not ready",
            code="db.start_failed",
        )
    for path in {layout.pid_file, *sockets}:
        path.unlink(missing_ok=True)


def _spawn(layout: Layout, installation: Path, identity: Identity, alive: int) -> None:
    """Start the postmaster in a session of its own, adopted by init.

    A terminal's Ctrl-C or its closing doesn't reach it, and no child is left for us to reap.
    """
    program = installation / "bin" / "postgres"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    log = os.open(layout.start_log, flags, 0o600)
    try:
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", str(program), "-D", str(layout.data)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=ENVIRONMENT,
            umask=0o077,
            start_new_session=True,
            pass_fds=(alive,),
            check=True,
            **identity.switch(),
        )
    except subprocess.SubprocessError as error:
        raise failure(f"can't start {program}", str(error)) from error
    finally:
        os.close(log)
