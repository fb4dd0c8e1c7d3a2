"""Which policy a command means: a folder, a version, or what an environment serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

from seedcore.db.rows import fetch_one
from seedcore.errors import NotFound, UsageError
from seedcore.pkg import snapshots, store
from seedcore.pkg.documents import Unreadable, read_document
from seedcore.pkg.entries import Reader
from seedcore.pkg.fault import Fault, InvalidPolicy
from seedcore.pkg.model import Fixture, Policy, Snapshot
from seedcore.pkg.validation import queries


def snapshot_of(
    conn: psycopg.Connection[Any], version: str | None, *, env: str | None = None, prefer: str
) -> Snapshot:
    """Return the snapshot that is meant.

    Args:
        conn: A connection.
        version: Its version; None = what the environment serves.
        env: The environment; None = the only one that has the version.
        prefer: The environment to take where several have it, and whose active snapshot is meant.

    Raises:
        NotFound: There is none, or none is active.
    """
    if version is not None:
        return snapshots.resolve(conn, version, env, prefer=prefer)
    row = fetch_one(conn, queries.active, {"env": env or prefer})
    if row is None or row["id"] is None:
        raise NotFound(
            f"no snapshot of {env or prefer} is active",
            code="pkg.no_active_snapshot",
            hint="name a version, or --from DIR",
        )
    return store.get(conn, row["id"])


def load(conn: psycopg.Connection[Any], snapshot: Snapshot) -> Policy:
    """Return what a snapshot holds, verified.

    Raises:
        CheckFailed: Its content is not what was stored.
    """
    return store.load(conn, snapshot.id)


def policy_of(
    conn: psycopg.Connection[Any], version: str | None, *, env: str | None = None, prefer: str
) -> Policy:
    """Return a stored policy, verified; arguments and errors as of `snapshot_of` and `load`."""
    return load(conn, snapshot_of(conn, version, env=env, prefer=prefer))


def folder(path: Path) -> Policy:
    """Return the policy of a folder, or of a tar of one.

    Raises:
        NotFound: There is nothing of that name.
        InvalidPolicy: What is wrong, each with file and line.
    """
    return snapshots.read(path)


def fixtures_of(path: Path) -> tuple[Fixture, ...]:
    """Return the fixtures of a folder of YAML files; rules and subtasks are not looked for.

    Raises:
        NotFound: There is no such folder, or no fixture in it.
        InvalidPolicy: What is wrong with them, each with file and line.
    """
    if not path.is_dir():
        raise NotFound(f"there is no folder {path}", code="pkg.no_folder")
    faults: list[Fault] = []
    reader = Reader(faults)
    found: list[Fixture] = []
    for file in sorted(path.glob("*.yaml")):
        try:
            found += reader.fixtures(read_document(file.name, file.read_bytes()), file.stem)
        except Unreadable as error:
            faults.append(error.fault)
    if faults:
        raise InvalidPolicy(faults)
    if not found:
        raise NotFound(f"{path} has no fixture: no *.yaml with one", code="pkg.no_fixtures")
    return tuple(sorted(found, key=lambda fixture: fixture.name))


def only_one(version: str | None, source: Path | None) -> None:
    """Make sure that a command names one policy.

    Raises:
        UsageError: It names two.
    """
    if version is not None and source is not None:
        raise UsageError(
            f"{version} and --from {source} are two policies; name one", code="pkg.two_policies"
        )
