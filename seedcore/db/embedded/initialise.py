"""Make a new data folder: in place complete, or not at all."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

from seedcore.db.embedded.binaries import MAJOR
from seedcore.db.embedded.identity import Identity
from seedcore.db.embedded.layout import Layout, write_private
from seedcore.errors import Unavailable

SUPERUSER = "postgres"
"""Role of upgrades and repairs."""

_PREFIX = re.compile(r"^\d{4}-\d\d-\d\d [\d:.]+ \S+ \[\d+\] ")
_TELLING = re.compile(r"FATAL|PANIC|error:")
_NOISE = re.compile(
    r"LOG: (starting|listening on|redirecting|ending log|database system (was|is) shut|checkpoint)|HINT: Future"
)

ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C"}
"""What the server's processes see: none of the caller's PG* variables, locale or secrets."""


def initialise(
    layout: Layout,
    installation: Path,
    identity: Identity,
    *,
    major: int = MAJOR,
    unsafe: bool = False,
    inherit: tuple[int, ...] = (),
) -> None:
    """Make the data folder; `provision` adds the role and the database once the server runs.

    Everything happens in a folder beside it that is renamed at the end, so an interruption at any
    moment leaves no half data folder. The caller holds the administration lock.

    Args:
        layout: Where things lie.
        installation: Folder with the programs that `identity` can reach.
        identity: Whom the server runs as.
        major: Major version of the programs.
        unsafe: Skip the flush to disk.
        inherit: Descriptors of locks that initdb holds on to, should the caller be killed.

    Raises:
        Unavailable: initdb failed; the message holds what it said.
    """
    staging = Path(tempfile.mkdtemp(prefix="initialising-", dir=layout.root))
    try:
        identity.own(staging)
        password = secrets.token_hex(24)
        cluster = staging / "data"
        new_cluster(
            cluster,
            installation,
            identity,
            password=password,
            major=major,
            unsafe=unsafe,
            inherit=inherit,
        )
        include_settings(cluster, layout)
        write_private(layout.superuser_password, password)
        cluster.rename(layout.data)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def new_cluster(
    cluster: Path,
    installation: Path,
    identity: Identity,
    *,
    password: str,
    major: int = MAJOR,
    unsafe: bool = False,
    inherit: tuple[int, ...] = (),
    options: tuple[str, ...] = (),
) -> None:
    """Run initdb.

    Args:
        cluster: The folder to make; its parent belongs to `identity`.
        installation: Folder with the programs.
        identity: Whom the cluster belongs to.
        password: Of the superuser.
        major: Major version of the programs.
        unsafe: Skip the flush to disk.
        inherit: Descriptors of locks that initdb holds on to.
        options: More arguments of initdb.

    Raises:
        Unavailable: It failed.
    """
    password_file = cluster.parent / "password"
    write_private(password_file, password)
    identity.own(password_file)
    locale = ["--locale=C"]  # never the caller's: a server moves between machines
    if major >= 17:
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    command = [
        installation / "bin" / "initdb",
        f"--pgdata={cluster}",
        f"--username={SUPERUSER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        *locale,
        "--no-instructions",
        *(["--no-sync"] if unsafe else []),
        *options,
    ]
    run_as(identity, command, "initdb", inherit=inherit)


def include_settings(cluster: Path, layout: Layout) -> None:
    """Let the cluster, once it is in its place, read the settings that we write beside it."""
    with (cluster / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write(f"\ninclude '../{layout.conf.name}'\n")


def run_as(
    identity: Identity,
    command: list[Path | str],
    what: str,
    *,
    inherit: tuple[int, ...] = (),
    cwd: Path | None = None,
    environment: dict[str, str] | None = None,
) -> str:
    """Run a server program as the server's user and return what it printed.

    Args:
        identity: The user.
        command: Program and arguments; no secrets, every user can see them.
        what: Its name in the error.
        inherit: Descriptors that it gets.
        cwd: Where it runs. Default: `/`, which every user can enter.
        environment: More variables.

    Raises:
        Unavailable: It could not be run, or ended with another code than 0.
    """
    try:
        done = subprocess.run(
            [os.fspath(part) for part in command],
            stdin=subprocess.DEVNULL,
            pass_fds=inherit,
            capture_output=True,
            text=True,
            errors="replace",
            cwd=cwd or "/",
            env=ENVIRONMENT | (environment or {}),
            umask=0o077,
            check=False,
            **identity.switch(),
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"can't run {what} as user {identity.name}: {error}") from error
    if done.returncode != 0:
        raise failure(f"{what} failed", done.stderr or done.stdout)
    return done.stdout


def failure(sentence: str, output: str) -> Unavailable:
    """Return the error for a server program that gave up.

    Args:
        sentence: What failed.
        output: What it printed; the lines that matter go into the message.
    """
    lines = [_PREFIX.sub("", " ".join(line.split())) for line in output.splitlines()]
    lines = [line for line in lines if line and not _NOISE.match(line)]
    last = max((i for i, line in enumerate(lines) if _TELLING.search(line)), default=len(lines) - 1)
    # The line before may hold the reason: "invalid value for ..." comes as a plain LOG.
    tail = "; ".join(lines[max(0, last - 1) : last + 2])
    full = "No space left on device" in output or "File too large" in output
    hint = "free some space on that disk, then retry" if full else "see 'seedcore db logs'"
    if "could not look up effective user ID" in output:
        hint = "PostgreSQL needs a user with a name: add this one to /etc/passwd, or use another server"
    return Unavailable(
        f"{sentence}: {tail}" if tail else sentence,
        code="db.disk_full" if full else "db.start_failed",
        hint=hint,
        details={"output": lines[-20:]},
    )
