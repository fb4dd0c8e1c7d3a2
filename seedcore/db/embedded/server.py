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
import time
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from seedcore.db.embedded import binaries, locks, postmaster
from seedcore.db.embedded.faults import explained
from seedcore.db.embedded.initialise import SUPERUSER, failure
from seedcore.db.embedded.launch import Launched, launch
from seedcore.db.embedded.layout import PORT, Layout, prepare_root
from seedcore.db.embedded.provision import DATABASE, ROLE, provision
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
        major: Major version of PostgreSQL to run.
    """

    def __init__(self, home: Path, *, unsafe: bool = False, major: int = binaries.MAJOR) -> None:
        self.layout = Layout(home.expanduser().absolute())
        self._unsafe = unsafe
        self._major = major

    @property
    def bin_dir(self) -> Path:
        """Folder of the client programs that belong to the server."""
        return binaries.installation(self._major) / "bin"

    def status(self) -> Status:
        """Return the server's state from two small files and a lock; nothing is started.

        Raises:
            ConfigError: The files can't be used, because they belong to another user or the like.
        """
        with explained(self.layout):
            return self._status()

    def _status(self) -> Status:
        data = self.layout.data
        held = locks.is_held(self.layout.alive_lock)
        found = postmaster.read_pid_file(self.layout.pid_file)
        major = self.layout.major()
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
        if status.is_running and self.layout.password.exists():
            return status
        end = time.monotonic() + wait_s
        while True:
            prepare_root(self.layout)  # each time: another process may be removing it
            try:
                with (
                    explained(self.layout),
                    self.administration(timeout_s=max(0.0, end - time.monotonic())),
                ):
                    return self._start(end)
            except LockBusy as error:
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
        role = SUPERUSER if superuser else ROLE
        path = self.layout.superuser_password if superuser else self.layout.password
        try:
            with explained(self.layout):
                found = postmaster.read_pid_file(self.layout.pid_file)
                password = path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            if self.layout.major() is None:
                raise Unavailable(
                    f"there is no embedded server in {self.layout.home} yet",
                    code="db.not_initialised",
                    hint="seedcore db start",
                ) from None
            raise ConfigError(
                f"the password file {path} is missing", code="db.no_password"
            ) from None
        folder = (found.socket_dir if found else None) or self.layout.socket
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
        if status.pid is not None and postmaster.is_postgres_of(status.pid, self.layout.data):
            with contextlib.suppress(ProcessLookupError):
                os.kill(status.pid, _SIGNALS[mode])
        elif status.state != "starting":
            postmaster.end_leftovers(self.layout.data)
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
        with explained(self.layout), self.administration():
            existed = self.layout.major() is not None
            try:
                self.stop("fast", 30.0)
            except WaitTimeout:
                self.stop("immediate", 30.0)
            if self.layout.socket.parent != self.layout.root:
                shutil.rmtree(self.layout.socket, ignore_errors=True)
            # Data first and in one step: an interruption must not leave half of it in place.
            if self.layout.data.exists():
                condemned = self.layout.root / "removing-data"
                self.layout.data.rename(condemned)
            shutil.rmtree(self.layout.root)
        return existed

    def _start(self, end: float) -> Status:
        """Bring the server up, whatever state it is in; the caller holds the administration lock."""
        launched: Launched | None = None
        pause = 0.005
        while True:
            status = self.status()
            if status.is_running:
                if not self.layout.password.exists():
                    provision(self.layout, self.conninfo("postgres", superuser=True))
                return status
            if status.state in ("absent", "stopped"):
                if launched is not None:
                    raise failure("the embedded server did not start", launched.last_words())
                launched = launch(self.layout, major=self._major, unsafe=self._unsafe)
            elif status.state == "leftover":
                postmaster.end_leftovers(self.layout.data)
            if time.monotonic() >= end:
                raise Unavailable(
                    f"the embedded server is not ready yet ({status.state}); after a crash it "
                    "first replays its log",
                    code="db.starting",
                    hint="seedcore db wait --for ready --timeout 10m",
                    details={"pid": status.pid},
                )
            time.sleep(pause)
            pause = min(pause * 1.5, 0.1)
