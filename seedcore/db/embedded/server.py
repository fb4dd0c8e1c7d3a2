"""The embedded PostgreSQL server of one home folder: start on first use, status, stop, remove.

A running server holds the lock file `alive.lock`: the postmaster inherits the locked descriptor and
hands it on to its children, so the kernel answers "does anything of it still live?" without process
ids, which lie after a crash, a reboot or across containers.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from seedcore.db.embedded import binaries, configuration, initialise, locks, postmaster
from seedcore.db.embedded.identity import Identity, server_identity
from seedcore.db.embedded.initialise import DATABASE, ENVIRONMENT, ROLE, SUPERUSER
from seedcore.db.embedded.layout import (
    PORT,
    Layout,
    open_way,
    prepare_root,
    private_folder,
    write_private,
)
from seedcore.errors import ConfigError, LockBusy, Unavailable, WaitTimeout

State = Literal["absent", "stopped", "starting", "ready", "stopping", "leftover"]
"""`absent`: no data folder. `leftover`: the postmaster is gone, children of it still live."""

StopMode = Literal["smart", "fast", "immediate"]

_SIGNALS: dict[StopMode, signal.Signals] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}


@dataclass(frozen=True)
class Status:
    """What is known about the server without connecting to it."""

    state: State
    data_dir: Path
    pid: int | None = None
    started_at: datetime | None = None
    socket_dir: Path | None = None
    port: int | None = None
    major: int | None = None
    """Major version of the data folder."""

    @property
    def is_running(self) -> bool:
        """Whether it takes connections."""
        return self.state == "ready"

    @property
    def uptime_s(self) -> float | None:
        """Seconds since it started."""
        if self.started_at is None:
            return None
        return max(0.0, (datetime.now(UTC) - self.started_at).total_seconds())


class EmbeddedServer:
    """The server whose files are in `HOME/postgres`.

    Args:
        home: The home folder; see `seedcore.config.home`.
        unsafe: Trade durability for speed. Only for servers that are thrown away, such as a test's.
    """

    def __init__(self, home: Path, *, unsafe: bool = False) -> None:
        self.layout = Layout(home.expanduser().absolute())
        self._unsafe = unsafe

    @property
    def bin_dir(self) -> Path:
        """Folder of the client programs that belong to the server."""
        return binaries.installation() / "bin"

    def status(self) -> Status:
        """Return the server's state from two small files and a lock; nothing is started."""
        data = self.layout.data
        held = locks.is_held(self.layout.alive_lock)
        found = postmaster.read_pid_file(self.layout.pid_file)
        major = self._major()
        if major is None and not held:
            return Status("absent", data)
        # Without our lock it may still run: started by hand with pg_ctl, for a repair.
        alive = found is not None and (
            postmaster.is_alive(found.pid) if held else postmaster.is_postgres_of(found.pid, data)
        )
        if found is None or not alive:
            # Held without a pid file: it has just been launched and hasn't written it yet.
            leftover: State = "leftover" if found is not None else "starting"
            return Status(leftover if held else "stopped", data, major=major)
        states: dict[str, State] = {"ready": "ready", "standby": "ready", "stopping": "stopping"}
        return Status(
            states.get(found.state, "starting"),
            data,
            pid=found.pid,
            started_at=found.started_at,
            socket_dir=found.socket_dir,
            port=found.port,
            major=major,
        )

    def ensure_running(self, *, wait_s: float = 60.0) -> Status:
        """Return the status of a server that takes connections, starting it if needed.

        Several processes may call this at once: one of them starts the server, all return. The
        server belongs to none of them and stays until `stop`.

        Args:
            wait_s: How long to wait for it, in seconds; recovery after a crash may take a while,
                and goes on when this gives up.

        Raises:
            ConfigError: It can't run here: wrong version, folder of another user, no programs.
            Unavailable: It did not start, or isn't ready yet.
        """
        status = self.status()
        if status.is_running:
            return status
        end = time.monotonic() + wait_s
        prepare_root(self.layout)
        while True:
            try:
                with self.administration(timeout_s=min(0.5, max(0.0, end - time.monotonic()))):
                    return self._ensure_running(end)
            except LockBusy as error:
                status = self.status()
                if status.is_running:
                    return status
                if time.monotonic() >= end:
                    raise Unavailable(
                        f"the embedded server is not ready: {error.message}", code="db.starting"
                    ) from error

    @contextlib.contextmanager
    def administration(self, *, timeout_s: float = 60.0) -> Generator[None]:
        """Be the only one who starts, upgrades or removes the server.

        Raises:
            LockBusy: Another process does one of these.
        """
        what = "starting, upgrading or removing the embedded server"
        with locks.held(self.layout.admin_lock, timeout_s=timeout_s, what=what):
            yield

    def conninfo(self, database: str = DATABASE, *, superuser: bool = False) -> str:
        """Return the URL of a database of this server, with the password; starts nothing.

        Args:
            database: Name of the database.
            superuser: As the role `postgres` instead of `seedcore`.

        Raises:
            Unavailable: There is no server yet.
            ConfigError: The password file is gone or can't be read.
        """
        found = postmaster.read_pid_file(self.layout.pid_file)
        folder = (found.socket_dir if found else None) or self.layout.socket
        role = SUPERUSER if superuser else ROLE
        path = self.layout.superuser_password if superuser else self.layout.password
        try:
            password = path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            if self._major() is None:
                raise Unavailable(
                    f"there is no embedded server in {self.layout.home} yet",
                    code="db.not_initialised",
                    hint="seedcore db start",
                ) from None
            raise ConfigError(
                f"the password file {path} is missing", code="db.no_password"
            ) from None
        except PermissionError as error:
            raise ConfigError(
                f"the embedded server in {self.layout.root} belongs to another user: {error}",
                code="db.home_of_another_user",
                hint="set SEEDCORE_HOME to a folder of your own",
            ) from error
        host = quote(str(folder), safe="")
        return f"postgresql://{role}:{password}@/{quote(database, safe='')}?host={host}&port={PORT}"

    def stop(self, mode: StopMode = "fast", timeout_s: float = 30.0) -> bool:
        """Stop the server and wait until the last of its processes has ended.

        Args:
            mode: `smart` waits for the clients to leave, `fast` ends their sessions, `immediate`
                skips the last checkpoint, so that the next start recovers.
            timeout_s: How long to wait, in seconds.

        Returns:
            Whether anything ran.

        Raises:
            WaitTimeout: It still runs.
        """
        end = time.monotonic() + timeout_s
        status = self.status()
        if status.state in ("absent", "stopped"):
            return False
        while status.pid is None and status.state == "starting" and time.monotonic() < end:
            time.sleep(0.01)
            status = self.status()
        if status.state == "leftover":
            postmaster.end_leftovers(self.layout.data)
        elif status.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(status.pid, _SIGNALS[mode])
        pause = 0.005
        while self.status().state not in ("absent", "stopped"):
            if time.monotonic() >= end:
                raise WaitTimeout(
                    f"the embedded server (process {status.pid}) still runs after {timeout_s:g} s",
                    code="db.wait_timeout",
                    hint="clients are still connected; 'seedcore db stop --mode fast' ends their "
                    "sessions"
                    if mode == "smart"
                    else "seedcore db stop --mode immediate",
                )
            time.sleep(pause)
            pause = min(pause * 1.5, 0.1)
        return True

    def destroy(self) -> bool:
        """Stop the server and remove its data, its passwords, its logs.

        Returns:
            Whether there was anything to remove.
        """
        if not self.layout.root.exists():
            return False
        prepare_root(self.layout)
        with self.administration():
            existed = self._major() is not None
            try:
                self.stop("fast", 30.0)
            except WaitTimeout:
                self.stop("immediate", 30.0)
            if self.layout.socket.parent != self.layout.root:
                shutil.rmtree(self.layout.socket, ignore_errors=True)
            # Data first and in one step: an interruption must not leave half of it in place.
            if self.layout.data.exists():
                condemned = self.layout.root / "initialising-removed"
                self.layout.data.rename(condemned)
            shutil.rmtree(self.layout.root)
        return existed

    def log_files(self) -> list[Path]:
        """Return the log files, oldest first; the first is what the last start said."""
        files = sorted(self.layout.log.glob("*.log"), key=lambda p: p.stat().st_mtime)
        return [self.layout.start_log, *files] if self.layout.start_log.exists() else files

    def _major(self) -> int | None:
        try:
            return int((self.layout.data / "PG_VERSION").read_text().split(".")[0])
        except (FileNotFoundError, ValueError):
            return None

    def _ensure_running(self, end: float) -> Status:
        """Start under the administration lock, and wait until ready."""
        status = self.status()
        if status.is_running:  # someone else was quicker
            return status
        if status.state == "leftover":
            postmaster.end_leftovers(self.layout.data)
        if status.state == "stopping":
            self._await_end(end)
        if self.status().state in ("absent", "stopped", "leftover"):
            self._launch()
        return self._await_ready(end)

    def _launch(self) -> None:
        """Make the data folder if there is none, write the settings, start the postmaster."""
        layout = self.layout
        identity = server_identity(layout.data)
        open_way(layout, identity)
        major = self._major()
        if major not in (None, binaries.MAJOR):
            raise ConfigError(
                f"the data folder {layout.data} is of PostgreSQL {major}, and this program runs "
                f"PostgreSQL {binaries.MAJOR}",
                code="db.version_mismatch",
                hint="seedcore db upgrade"
                if major in binaries.shipped_majors()
                else f"dump it with PostgreSQL {major} and load it with 'seedcore db restore'",
                details={"found": major, "needed": binaries.MAJOR},
            )
        installation = binaries.reachable_installation(identity, layout.root)
        if major is None:
            if layout.data.exists() and any(layout.data.iterdir()):
                raise ConfigError(
                    f"{layout.data} is not empty and holds no PostgreSQL data",
                    code="db.bad_data_folder",
                    hint="move it away",
                )
            initialise.initialise(layout, installation, identity, unsafe=self._unsafe)
        private_folder(layout.log, identity)
        private_folder(layout.socket, identity)
        values = configuration.settings(layout.socket, layout.log, unsafe=self._unsafe)
        text = configuration.render(values, layout.local_conf)
        write_private(layout.conf, text, mode=0o644)
        alive = locks.take(layout.alive_lock, timeout_s=5.0)
        if alive is None:
            raise LockBusy("processes of an earlier embedded server still run")
        try:
            self._remove_stale_files()
            self._spawn(installation, identity, alive)
        finally:
            os.close(alive)  # from here on the postmaster's copy holds the lock

    def _remove_stale_files(self) -> None:
        """Remove what a killed server left behind.

        PostgreSQL takes a process id in such a file for a running server if any process of the same
        user has it now. We hold the lock that its processes would hold, so we know better.
        """
        found = postmaster.read_pid_file(self.layout.pid_file)
        if found is None:
            return
        if postmaster.is_postgres_of(found.pid, self.layout.data):
            raise Unavailable(
                f"a PostgreSQL server that seedcore did not start uses {self.layout.data} "
                f"(process {found.pid}) and is not ready",
                code="db.start_failed",
            )
        self.layout.pid_file.unlink(missing_ok=True)
        for folder in {found.socket_dir, self.layout.socket} - {None}:
            assert folder is not None  # noqa: S101 - for the type checker
            (folder / f".s.PGSQL.{found.port or PORT}.lock").unlink(missing_ok=True)

    def _spawn(self, installation: Path, identity: Identity, alive: int) -> None:
        """Start the postmaster in a session of its own, adopted by init.

        A terminal's Ctrl-C or its closing doesn't reach it, and no child is left for us to reap.
        """
        program = installation / "bin" / "postgres"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        log = os.open(self.layout.start_log, flags, 0o600)
        try:
            subprocess.run(
                ["/bin/sh", "-c", '"$@" &', "sh", str(program), "-D", str(self.layout.data)],
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
        except (OSError, subprocess.SubprocessError) as error:
            raise Unavailable(f"can't start {program}: {error}", code="db.start_failed") from error
        finally:
            os.close(log)

    def _await_ready(self, end: float) -> Status:
        pause = 0.005
        while True:
            status = self.status()
            if status.is_running:
                return status
            if status.state in ("absent", "stopped"):
                raise initialise.failure("the embedded server did not start", self._last_words())
            if time.monotonic() >= end:
                raise Unavailable(
                    "the embedded server is still starting; after a crash it first replays its log",
                    code="db.starting",
                    hint="seedcore db wait --for ready --timeout 10m",
                    details={"pid": status.pid},
                )
            time.sleep(pause)
            pause = min(pause * 1.5, 0.1)

    def _await_end(self, end: float) -> None:
        while self.status().state == "stopping" and time.monotonic() < end:
            time.sleep(0.02)

    def _last_words(self) -> str:
        """Return the ends of the start's log and of the server's newest one."""
        texts: list[str] = []
        for path in self.log_files()[:1] + self.log_files()[-1:]:
            with contextlib.suppress(OSError):
                texts.append(path.read_text(encoding="utf-8", errors="replace")[-4000:])
        return "\n".join(dict.fromkeys(texts))
