"""What lies where in the home folder, and who may enter it.

HOME/postgres/
    data/                 the database cluster; 0700, belongs to the server's user
    log/                  the server's log, one file per day of the week; 0700, the server's user
    socket/               the Unix socket; 0700, the server's user
    server.conf           settings that this program writes at every start
    local.conf            settings of the operator's own, read last; never written by us
    password              of the role `seedcore`, which everyday commands use; 0600
    superuser.password    of the role `postgres`, for upgrades and repairs; 0600
    admin.lock            held while someone starts, upgrades or removes the server
    alive.lock            held by the server's processes for as long as one of them lives
    start.log             what the server said before its own log was open
    VERSION-pgMAJOR/      copy of the programs, only where the server's user can't reach the wheel's
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from seedcore.db.embedded.identity import Identity
from seedcore.errors import ConfigError

PORT = 5432
"""Only part of the socket's name: the server listens on no network port."""

# sockaddr_un holds 108 bytes on Linux and 104 on macOS and the BSDs, with the closing zero.
_SOCKET_PATH_MAX = 103


@dataclass(frozen=True)
class Layout:
    """The paths below one home folder."""

    home: Path

    def __post_init__(self) -> None:
        """Refuse what can't be written into a configuration file.

        Raises:
            ConfigError: The path holds a line break.
        """
        if "\n" in str(self.home):
            raise ConfigError("the home folder's path holds a line break", code="db.bad_home")

    @property
    def root(self) -> Path:
        """Folder of everything that belongs to the embedded server."""
        return self.home / "postgres"

    @property
    def data(self) -> Path:
        """The database cluster."""
        return self.root / "data"

    def major(self) -> int | None:
        """Return the major version of the data folder, or None if there is no data yet."""
        try:
            return int((self.data / "PG_VERSION").read_text(encoding="utf-8").split(".")[0])
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None

    def log_files(self) -> list[Path]:
        """Return the log files: what the last start said, then the server's own, oldest first."""
        files = sorted(self.log.glob("*.log"), key=lambda p: p.stat().st_mtime)
        return [self.start_log, *files] if self.start_log.exists() else files

    @property
    def pid_file(self) -> Path:
        """Where a running server describes itself."""
        return self.data / "postmaster.pid"

    @property
    def log(self) -> Path:
        """Folder of the server's log files."""
        return self.root / "log"

    @property
    def start_log(self) -> Path:
        """What the last start said."""
        return self.root / "start.log"

    @property
    def conf(self) -> Path:
        """Our settings."""
        return self.root / "server.conf"

    @property
    def local_conf(self) -> Path:
        """The operator's settings."""
        return self.root / "local.conf"

    @property
    def password(self) -> Path:
        """Password of the everyday role."""
        return self.root / "password"

    @property
    def superuser_password(self) -> Path:
        """Password of the superuser."""
        return self.root / "superuser.password"

    @property
    def admin_lock(self) -> Path:
        """Lock of whoever changes the server's state."""
        return self.root / "admin.lock"

    @property
    def alive_lock(self) -> Path:
        """Lock that the server's processes hold."""
        return self.root / "alive.lock"

    @property
    def socket(self) -> Path:
        """Folder of the Unix socket: ours, or a short private one if the path is too long.

        The short one is below the temporary folder and not in $XDG_RUNTIME_DIR, which is removed
        when its user logs out, while the server stays.
        """
        wanted = self.root / "socket"
        name = os.fsencode(wanted / f".s.PGSQL.{PORT}")
        # Clients read a comma as the end of a host name, PostgreSQL a quote as a quoted path.
        if len(name) <= _SOCKET_PATH_MAX and not {b",", b'"'} & {bytes([b]) for b in name}:
            return wanted
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        parent = Path(tempfile.gettempdir())
        if len(os.fsencode(parent)) > _SOCKET_PATH_MAX - 50:
            parent = Path("/tmp")  # noqa: S108 - made private, and its owner is checked
        return parent / f"seedcore-{digest}"


def prepare_root(layout: Layout) -> None:
    """Make the folder of the server, and check that it is the caller's.

    Raises:
        ConfigError: It belongs to someone else, or can't be made.
    """
    try:
        # Never "if it is missing": several commands may make it at once.
        layout.home.mkdir(parents=True, mode=0o755 if os.geteuid() == 0 else 0o700, exist_ok=True)
        layout.root.mkdir(mode=0o755 if os.geteuid() == 0 else 0o700, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"can't make the home folder {layout.root}: {error.strerror}",
            code="db.home_unusable",
            hint="set SEEDCORE_HOME to a folder of your own, or SEEDCORE_DATABASE_URL to a server",
        ) from error
    owner = layout.root.stat().st_uid
    if owner != os.geteuid():
        raise ConfigError(
            f"the embedded server in {layout.root} belongs to another user (uid {owner})",
            code="db.home_of_another_user",
            hint="run seedcore as that user, or set SEEDCORE_HOME to a folder of your own",
        )


def open_way(layout: Layout, identity: Identity) -> None:
    """Let the server's user pass through our own folders, and check the ones above them.

    Only the home folder and what is in it are ours to open, and only for the server's group;
    folders above are never changed.

    Raises:
        ConfigError: A folder above the home can't be passed by the server's user.
    """
    if identity.is_caller:
        return
    closed = identity.first_closed(layout.home.resolve().parent)
    if closed is not None:
        raise ConfigError(
            f"the server runs as user {identity.name}, who can't pass {closed} to reach "
            f"{layout.home}",
            code="db.home_unreachable",
            hint=f"set SEEDCORE_HOME elsewhere (root's default is /var/lib/seedcore), or allow it: "
            f"chmod o+x {closed}",
        )
    for folder in (layout.home, layout.root):
        if identity.first_closed(folder.resolve()) is not None:
            mode = stat.S_IMODE(folder.stat().st_mode)
            # Somebody's whole home directory isn't ours either, even when named as SeedCore's.
            if folder.stat().st_uid != os.geteuid() or folder.resolve() == Path.home().resolve():
                raise ConfigError(
                    f"user {identity.name} can't pass {folder}, which is not ours to open",
                    code="db.home_unreachable",
                    hint=f"chmod o+x {folder}",
                )
            os.chown(folder, -1, identity.gid)
            folder.chmod(mode | stat.S_IXGRP)


def private_folder(path: Path, identity: Identity) -> None:
    """Make a folder that only the server's user can enter, or check that it is one.

    Raises:
        ConfigError: Something else is at that path.
    """
    try:
        path.mkdir(mode=0o700)
        identity.own(path)
    except FileExistsError:
        pass
    found = path.lstat()  # not stat: a symbolic link is not a folder of ours
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != identity.uid:
        raise ConfigError(
            f"{path} is not a folder of user {identity.name}",
            code="db.foreign_folder",
            hint=f"look at it and remove it: ls -ld {path}",
        )
    if stat.S_IMODE(found.st_mode) != 0o700:
        path.chmod(0o700)


def write_private(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a file of ours in one step, so that a reader sees the old or the new, never half.

    Args:
        path: The file.
        text: Its content.
        mode: Its permissions from the first byte on.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
