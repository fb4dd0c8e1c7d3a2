"""Bring a data folder to the major version of PostgreSQL that this program runs."""

from __future__ import annotations

import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from seedcore.db.embedded import binaries, locks
from seedcore.db.embedded.identity import Identity, server_identity
from seedcore.db.embedded.initialise import (
    SUPERUSER,
    failure,
    include_settings,
    new_cluster,
    run_as,
)
from seedcore.db.embedded.launch import write_settings
from seedcore.db.embedded.layout import Layout, open_way, prepare_root, private_folder
from seedcore.db.embedded.server import EmbeddedServer
from seedcore.errors import ConfigError, Conflict, LockBusy, NotFound, Unavailable


@dataclass(frozen=True)
class Upgrade:
    """What an upgrade did."""

    before: int
    after: int
    seconds: float
    kept: Path | None
    """The old data folder; None when there was nothing to do."""


def upgrade(server: EmbeddedServer, *, major: int = binaries.MAJOR) -> Upgrade:
    """Upgrade the data folder with pg_upgrade; the old one is kept beside it.

    The files are copied, so that as much free space is needed as the database takes, and the old
    folder stays as it was. Clients must be gone: a running server is stopped.

    Args:
        server: The server whose data it is.
        major: The version to go to.

    Raises:
        NotFound: There is no data folder.
        Conflict: Its version can't be upgraded by the programs that are here.
        Unavailable: pg_upgrade failed; nothing has changed.
    """
    layout = server.layout
    began = time.monotonic()
    if not layout.root.exists():
        raise NotFound(f"there is no embedded server in {layout.home}", code="db.not_initialised")
    prepare_root(layout)
    with server.administration():
        before = layout.major()
        if before is None:
            raise NotFound(f"there is no data folder {layout.data}", code="db.not_initialised")
        if before == major:
            return Upgrade(before, major, 0.0, None)
        if before > major or before not in binaries.shipped_majors():
            raise Conflict(
                f"data of PostgreSQL {before} can't be upgraded to {major} here",
                code="db.version_mismatch",
                hint=f"dump it with PostgreSQL {before} and load it with 'seedcore db restore'",
            )
        server.stop("fast", 60.0)
        # pg_upgrade and the servers that it starts hold it too, should we be killed.
        alive = locks.take(layout.alive_lock, timeout_s=5.0)
        if alive is None:
            raise LockBusy("processes of an earlier embedded server still run")
        staging = layout.root / f"upgrading-{os.getpid()}"
        try:
            identity = server_identity(layout.data)
            open_way(layout, identity)
            kept = _free_name(layout, before)
            staging.mkdir(mode=0o700)
            identity.own(staging)
            new = _upgraded_copy(layout, identity, staging, before, major, alive)
            include_settings(new, layout)
            # A crash between these two is recognised at the next start; see launch.py.
            layout.data.rename(kept)
            new.rename(layout.data)
        finally:
            os.close(alive)
            shutil.rmtree(staging, ignore_errors=True)
    return Upgrade(before, major, time.monotonic() - began, kept)


def _upgraded_copy(
    layout: Layout, identity: Identity, staging: Path, before: int, major: int, alive: int
) -> Path:
    """Make a cluster of the new version beside the old one and copy everything into it."""
    old = binaries.reachable_installation(identity, layout.root, before)
    new = binaries.reachable_installation(identity, layout.root, major)
    password = layout.superuser_password.read_text(encoding="utf-8").strip()
    cluster = staging / "data"
    new_cluster(
        cluster,
        new,
        identity,
        password=password,
        major=major,
        options=_as_before(old, layout.data, identity),
    )
    private_folder(layout.socket, identity)
    write_settings(layout)  # the old server reads them; they may be gone after a restored backup
    command: list[Path | str] = [
        new / "bin" / "pg_upgrade",
        *("--old-bindir", old / "bin", "--new-bindir", new / "bin"),
        *("--old-datadir", layout.data, "--new-datadir", cluster),
        *("--socketdir", layout.socket, "--username", SUPERUSER),
    ]
    try:
        run_as(
            identity,
            command,
            "pg_upgrade",
            inherit=(alive,),
            cwd=staging,
            environment={"PGPASSWORD": password},
        )
    except Unavailable as error:
        # It only names its log files, which go away with the folder.
        logs = sorted(staging.glob("data/pg_upgrade_output.d/*/log/*"))
        said = "\n".join(path.read_text(errors="replace") for path in logs)
        raise failure("pg_upgrade failed", said or str(error)) from error
    return cluster


def _as_before(old: Path, data: Path, identity: Identity) -> tuple[str, ...]:
    """Return the options of initdb that must be the same in both clusters."""
    told = run_as(identity, [old / "bin" / "pg_controldata", data], "pg_controldata")
    options: list[str] = []
    if _value(told, "Data page checksum version") == "0":
        options.append("--no-data-checksums")
    size = int(_value(told, "Bytes per WAL segment")) >> 20
    return (*options, f"--wal-segsize={size}")


def _value(told: str, name: str) -> str:
    found = re.search(rf"^{name}:\s*(\S+)", told, re.MULTILINE)
    if found is None:
        raise ConfigError(f"pg_controldata does not tell the {name.lower()}", code="db.bad_data")
    return found[1]


def _free_name(layout: Layout, major: int) -> Path:
    """Return a name for the old folder that is not taken yet."""
    number = 0
    while True:
        suffix = f"-{number}" if number else ""
        path = layout.root / f"data.{major}{suffix}.old"
        if not path.exists():
            return path
        number += 1
