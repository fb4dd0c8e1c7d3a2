"""Snapshots: stored policies, found by version, made from folders, copied, exported, deleted."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from seedcore.db import set_actor
from seedcore.db.errors import translated
from seedcore.errors import CheckFailed, Conflict, NotFound, Unavailable, UsageError
from seedcore.pkg import store
from seedcore.pkg.archive import unpack
from seedcore.pkg.canonical import checksum
from seedcore.pkg.engines.loading import evaluator
from seedcore.pkg.folder import load_folder, load_tar
from seedcore.pkg.model import ArtifactType, Engine, Env, Policy, Snapshot
from seedcore.pkg.signature import sign
from seedcore.pkg.store import Row, fetch, fetch_one, queries

_MAX_VERSION_CHARS = 200
_USES = {
    "lanes": "lane",
    "rollouts": "rollout",
    "promotions": "promotion",
    "validation_runs": "validation run",
}


def read(source: Path) -> Policy:
    """Read and check a policy: a folder, or a tar of one.

    Raises:
        NotFound: There is nothing of that name.
        InvalidPolicy: What is wrong, each with file and line.
    """
    if not source.is_file():
        return load_folder(source)
    try:
        content = source.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{source} can't be read: {error.strerror}", code="pkg.unreadable"
        ) from None
    return load_tar(content)


def resolve(
    conn: psycopg.Connection[Any],
    version: str,
    env: str | None = None,
    *,
    prefer: str | None = None,
) -> Snapshot:
    """Return the snapshot of a version.

    Args:
        conn: A connection in any state.
        version: Its version; `VERSION@ENV` names the environment too.
        env: The environment. Default: the only one that has the version.
        prefer: The environment to take where several have it.

    Raises:
        NotFound: No environment, or not that one, has the version.
        UsageError: Several have it, and none is preferred.
    """
    name, at, last = version.rpartition("@")
    if at and name and last in list(Env) and env is None:
        version, env = name, last
    found = store.find(conn, version, env)
    if len(found) > 1 and prefer is not None:
        found = [one for one in found if one.env == prefer] or found
    if not found:
        place = f" in {env}" if env else ""
        raise NotFound(
            f"there is no snapshot {version}{place}",
            code="pkg.snapshot_not_found",
            hint="seedcore pkg snapshot list",
        )
    if len(found) > 1:
        names = " and ".join(one.env for one in found)
        raise UsageError(
            f"{names} have a snapshot {version} each; name one",
            code="pkg.ambiguous_version",
            hint=f"{version}@{found[0].env}, or --env {found[0].env}",
        )
    return found[0]


def create(
    conn: psycopg.Connection[Any],
    policy: Policy,
    version: str,
    *,
    actor: str,
    env: str | None = None,
    notes: str | None = None,
    key: bytes | None = None,
    dry_run: bool = False,
) -> Row:
    """Store a policy as a snapshot.

    Args:
        conn: A connection in autocommit.
        policy: As `read` returns it.
        version: Its version; the folder must name the same, or none.
        actor: Who is recorded.
        env: The environment; the folder must name the same, or none. Default: the folder's, else prod.
        notes: Free text.
        key: Sign the checksum with it.
        dry_run: Say what would be stored, and store nothing.

    Returns:
        id (None after a dry run), version, env, checksum, size_bytes, rules, subtasks, fixtures, engine.

    Raises:
        UsageError: The folder says another version or environment.
        Duplicate: The environment has that version.
        CheckFailed: Its Rego does not compile, or its pack is no module.
    """
    # A line break in a version would break the lines of everything that names it.
    is_name = 0 < len(version) <= _MAX_VERSION_CHARS and version.isprintable()
    if not is_name or version != version.strip():
        raise UsageError(
            f"a version is 1 to {_MAX_VERSION_CHARS} printable characters, without space around it",
            code="pkg.bad_version",
        )
    for what, given, said in (
        ("version", version, policy.version),
        ("environment", env, policy.env),
    ):
        if said is not None and given is not None and said != given:
            raise UsageError(
                f"policy.yaml says {what} {said}, not {given}",
                code="pkg.other_" + what,
                hint="change policy.yaml, or take that line out of it",
            )
    _compile(policy)
    where = Env(env) if env else policy.env or Env.PROD
    signature = sign(checksum(policy), key) if key is not None else None
    with translated(), conn.transaction(force_rollback=dry_run):
        set_actor(conn, actor)
        row = store.insert(
            conn, policy, version=version, env=where, actor=actor, signature=signature, notes=notes
        )
    return _stored(row, policy, dry_run=dry_run)


def copy(
    conn: psycopg.Connection[Any], source: Snapshot, to: Env, *, actor: str, dry_run: bool = False
) -> Row:
    """Store the same content under the same version in another environment.

    The copy has the checksum of its original; it is to be validated and promoted on its own.

    Raises:
        UsageError: It is of that environment.
        Duplicate: That environment has the version.
        CheckFailed: The original is corrupt.
    """
    if source.env is to:
        raise UsageError(f"snapshot {source.version} is of {to} already", code="pkg.same_env")
    with translated(), conn.transaction(force_rollback=dry_run):
        set_actor(conn, actor)
        policy = store.load(conn, source.id)
        row = store.insert(
            conn,
            policy,
            version=source.version,
            env=to,
            actor=actor,
            signature=source.signature,
            notes=source.notes,
        )
    return _stored(row, policy, dry_run=dry_run)


def listed(
    conn: psycopg.Connection[Any],
    *,
    env: str | None = None,
    active: bool = False,
    since: datetime | None = None,
    limit: int = 0,
) -> list[Row]:
    """Return snapshots, newest first.

    Args:
        conn: A connection in any state.
        env: Of this environment only.
        active: Active ones only.
        since: Stored since then only.
        limit: At most this many; 0 = all.
    """
    parameters = {"env": env, "active": active, "since": since, "limit": limit or None, "ids": None}
    return fetch(conn, queries.snapshots, parameters)


def show(conn: psycopg.Connection[Any], found: Snapshot) -> Row:
    """Return a snapshot's row with what it holds, and where it stands with its validation."""
    parameters = {"env": None, "active": False, "since": None, "limit": None, "ids": [found.id]}
    row = fetch(conn, queries.snapshots, parameters)[0]
    status = fetch_one(conn, queries.validation_status, {"id": found.id}) or {}
    return row | {"validated": status.get("ok"), "validation": status.get("msg")}


def rules(policy: Policy) -> list[Row]:
    """Return the rules of a policy as rows, in the order in which they are tried."""
    return [
        {
            "rule": rule.name,
            "priority": rule.priority,
            "engine": rule.engine.value,
            "disabled": rule.disabled,
            "denies": rule.denies,
            "conditions": [str(condition) for condition in rule.conditions],
            "emissions": [f"{e.relation} {e.subtask}" for e in rule.emissions],
        }
        for rule in policy.rules
    ]


def source_tar(conn: psycopg.Connection[Any], found: Snapshot) -> bytes:
    """Return the folder that a snapshot was made from, packed, byte for byte.

    Raises:
        NotFound: It was not made from a folder.
        CheckFailed: What is stored is corrupt.
    """
    store.load(conn, found.id)  # a sound file beside rules that were changed would hide that
    return store.load_artifact(conn, found.id, ArtifactType.SOURCE_TAR).content


def source_files(conn: psycopg.Connection[Any], found: Snapshot) -> dict[str, bytes]:
    """Return the files of the folder that a snapshot was made from, by path; errors as `source_tar`."""
    return unpack(source_tar(conn, found))


def delete(
    conn: psycopg.Connection[Any], found: Snapshot, *, actor: str, dry_run: bool = False
) -> Row:
    """Delete a snapshot that nothing uses and nothing audits.

    Raises:
        Conflict: It is active, or something refers to it; the message says what.
    """
    label = f"snapshot {found.version} ({found.env})"
    with translated(), conn.transaction(force_rollback=dry_run):
        set_actor(conn, actor)
        row = fetch_one(conn, queries.lock_snapshot, {"id": found.id})
        if row is None:
            raise NotFound(f"there is no {label}", code="pkg.snapshot_not_found")
        if row["is_active"]:
            raise Conflict(
                f"{label} is active",
                code="pkg.snapshot_active",
                hint=f"promote another one first: seedcore pkg history --env {found.env}",
            )
        uses = _uses(fetch(conn, queries.uses, {"id": found.id})[0])
        if uses:
            raise Conflict(
                f"{label} is kept: {uses} refer to it",
                code="pkg.snapshot_in_use",
                hint="what was promoted, rolled out, validated or used stays for the record",
            )
        # What began to refer to it meanwhile has its key refused, or refuses this.
        fetch(conn, queries.delete_snapshot, {"id": found.id})
    return {
        "id": found.id,
        "version": found.version,
        "env": found.env.value,
        "deleted": not dry_run,
    }


def verify(conn: psycopg.Connection[Any], *, env: str | None = None) -> list[Row]:
    """Read every snapshot and compare it with what was stored; one at a time is in memory.

    Returns:
        Rows of version, env, active, ok, message.
    """
    rows: list[Row] = []
    for row in listed(conn, env=env):
        faults = [f["msg"] for f in fetch(conn, queries.integrity, {"id": row["id"]})]
        try:
            store.load(conn, row["id"])
        except CheckFailed as error:
            faults.insert(0, error.message)
        kept = {key: row[key] for key in ("version", "env", "active")}
        rows.append(kept | {"ok": not faults, "message": "; ".join(faults)})
    return rows


def expect_checksum(found: str, expected: str) -> None:
    """Make sure that a content is the one that somebody else wrote down.

    Raises:
        CheckFailed: It has another checksum.
    """
    if found != expected.strip().lower():
        raise CheckFailed(
            f"the policy has the checksum {found}, not {expected}", code="pkg.checksum_mismatch"
        )


def _compile(policy: Policy) -> None:
    """Load what is foreign once, for its errors; without its library the validation will find them."""
    if policy.engine is not Engine.NATIVE:
        with suppress(Unavailable):
            evaluator(policy).close()


def _stored(row: Snapshot, policy: Policy, *, dry_run: bool) -> Row:
    return {
        "id": None if dry_run else row.id,
        "version": row.version,
        "env": row.env.value,
        "checksum": row.checksum,
        "size_bytes": row.size_bytes,
        "engine": policy.engine.value,
        "rules": len(policy.rules),
        "subtasks": len(policy.subtasks),
        "fixtures": len(policy.fixtures),
    }


def _uses(row: Row) -> str:
    """Write what refers to a snapshot, such as `2 promotions, tasks`."""
    counted = [
        f"{row[key]} {word}{'s' * (row[key] > 1)}" for key, word in _USES.items() if row[key]
    ]
    return ", ".join([*counted, *(key for key in ("evaluations", "tasks", "facts") if row[key])])
