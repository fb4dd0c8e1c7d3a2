"""Whom the embedded server runs as: PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from seedcore.errors import ConfigError

SYSTEM_USER = "seedcore"
"""Account that a server started by root runs as; created when missing."""


_NO_LOGIN = ("--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin")


class SwitchUser(TypedDict, total=False):
    """The arguments of `subprocess` that change the user."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Identity:
    """A user of the operating system."""

    name: str
    uid: int
    gid: int

    @property
    def is_caller(self) -> bool:
        """Whether the server runs as the very user who calls."""
        return self.uid == os.geteuid()

    def switch(self) -> SwitchUser:
        """Return the arguments for `subprocess` that make a child run as this user."""
        if self.is_caller:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Give a file or folder that we made to this user."""
        if not self.is_caller:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def can_execute(self, program: Path) -> bool:
        """Whether this user can run the program, which also takes every folder above it."""
        return self._check(program) is None

    def first_closed(self, folder: Path) -> Path | None:
        """Return the topmost folder on the way that this user can't pass, or None."""
        return self._check(*reversed(folder.parents), folder)

    def _check(self, *paths: Path) -> Path | None:
        if self.is_caller:
            return next((p for p in paths if not os.access(p, os.X_OK)), None)
        # Only the kernel knows (ACLs, namespaces, network file systems), so ask it as that user.
        script = 'for path; do test -x "$path" || { printf %s "$path"; exit 1; }; done'
        try:
            done = subprocess.run(
                ["/bin/sh", "-c", script, "sh", *map(str, paths)],
                capture_output=True,
                cwd="/",
                check=False,
                **self.switch(),
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise ConfigError(
                f"can't run a process as user {self.name}: {error}",
                code="db.no_server_user",
                hint="run seedcore as an ordinary user, or set SEEDCORE_DATABASE_URL",
            ) from error
        return None if done.returncode == 0 else Path(os.fsdecode(done.stdout))


def server_identity(data: Path) -> Identity:
    """Return whom the server on this data folder runs as.

    An ordinary user runs it as themselves. Root runs it as the owner of the data folder, and for a
    new one as the system user `seedcore`, which is created, or as `nobody` where that fails.

    Raises:
        ConfigError: There is no unprivileged user to switch to.
    """
    euid = os.geteuid()
    if euid != 0:
        return Identity(_user_name(euid), euid, os.getegid())
    try:
        found = data.stat()
    except FileNotFoundError:
        return _unprivileged()
    if found.st_uid == 0:
        raise ConfigError(
            f"the data folder {data} belongs to root, and PostgreSQL does not run as root",
            code="db.data_owned_by_root",
            hint=f"chown -R {SYSTEM_USER}: {data}",
        )
    return Identity(_user_name(found.st_uid), found.st_uid, found.st_gid)


def _unprivileged() -> Identity:
    created = False
    while True:
        names: Iterable[str] = (SYSTEM_USER, "nobody") if created else (SYSTEM_USER,)
        for name in names:
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return Identity(name, entry.pw_uid, entry.pw_gid)
        if created:
            raise ConfigError(
                f"PostgreSQL does not run as root, and there is no user {SYSTEM_USER} or nobody",
                code="db.no_server_user",
                hint=f"useradd --system --user-group --shell /usr/sbin/nologin {SYSTEM_USER}",
            )
        _create_system_user()
        created = True


def _create_system_user() -> None:
    """Create the account, or leave it: a read-only /etc or a missing useradd is no failure."""
    search = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    program = shutil.which("useradd", path=search)
    if program is None:
        return
    subprocess.run(
        [program, "--system", "--user-group", *_NO_LOGIN, SYSTEM_USER],
        capture_output=True,
        check=False,
    )


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
