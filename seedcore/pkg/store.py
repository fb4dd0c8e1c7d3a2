"""Policies in the database: write one in bulk, read one back, and verify what was read."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, LiteralString, TypeVar
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import tuple_row

from seedcore.db.errors import translated
from seedcore.db.rows import Row, fetch, fetch_one
from seedcore.db.sql import Queries
from seedcore.errors import CheckFailed, Duplicate, NotFound
from seedcore.pkg import signature as signatures
from seedcore.pkg.building import collector_paused
from seedcore.pkg.canonical import checksum, emission_params, rule_hash
from seedcore.pkg.model import (
    DEFAULT_ENTRYPOINT,
    SCHEMA_VERSION,
    Artifact,
    ArtifactType,
    Condition,
    ConditionType,
    Emission,
    Engine,
    Env,
    Fixture,
    Operator,
    Policy,
    Relation,
    Rule,
    Snapshot,
    SnapshotId,
    SubtaskType,
)

__all__ = [
    "Row", "fetch", "fetch_one", "find", "get", "insert", "load", "load_artifact", "load_signed", "queries", "snapshot",
]  # fmt: skip

queries = Queries("seedcore.pkg")

_Made = TypeVar("_Made")
_TYPES = {type_.value: type_ for type_ in ConditionType}
_OPERATORS = {operator.value: operator for operator in Operator}
_RELATIONS = {relation.value: relation for relation in Relation}
_ENGINES = {engine.value: engine for engine in Engine}
_GATE_SOURCE = "gate_source"


def find(conn: psycopg.Connection[Any], version: str, env: str | None = None) -> list[Snapshot]:
    """Return the snapshots of a version: of one environment, or of all that have it."""
    rows = fetch(conn, queries.find_snapshots, {"version": version, "env": env})
    return [snapshot(row) for row in rows]


def get(conn: psycopg.Connection[Any], snapshot_id: int) -> Snapshot:
    """Return a snapshot.

    Raises:
        NotFound: There is none of that id.
    """
    row = fetch_one(conn, queries.get_snapshot, {"id": snapshot_id})
    if row is None:
        raise NotFound(f"there is no snapshot {snapshot_id}", code="pkg.snapshot_not_found")
    return snapshot(row)


def snapshot(row: Mapping[str, Any]) -> Snapshot:
    """Make a `Snapshot` of a row."""
    return Snapshot(
        id=SnapshotId(row["id"]),
        version=row["version"],
        env=Env(row["env"]),
        checksum=row["checksum"],
        entrypoint=row["entrypoint"] or DEFAULT_ENTRYPOINT,
        schema_version=row["schema_version"] or SCHEMA_VERSION,
        size_bytes=row["size_bytes"],
        signature=row["signature"],
        is_active=row["is_active"],
        notes=row["notes"],
        created_at=row["created_at"],
    )


def insert(
    conn: psycopg.Connection[Any],
    policy: Policy,
    *,
    version: str,
    env: Env,
    actor: str,
    signature: str | None = None,
    notes: str | None = None,
) -> Snapshot:
    """Store a policy as a new snapshot; the caller's transaction makes it whole.

    Args:
        conn: A connection inside a transaction.
        policy: What to store; checked before.
        version: Its version, new in the environment.
        env: The environment.
        actor: Who is recorded with the artifacts.
        signature: Over the checksum, if there is one.
        notes: Free text.

    Raises:
        Duplicate: The environment has that version.
    """
    digest = checksum(policy)
    size = sum(len(artifact.content) for artifact in policy.artifacts)
    parameters = {
        "version": version,
        "env": env.value,
        "entrypoint": policy.entrypoint,
        "schema_version": policy.schema_version,
        "checksum": digest,
        "size_bytes": size,
        "signature": signature,
        "notes": notes,
    }
    duplicate = Duplicate(
        f"{env} has a version {version} already",
        code="pkg.version_exists",
        hint=f"seedcore pkg snapshot show {version} --env {env}",
    )
    with translated(uq_pkg_snapshots_version_env=lambda _: duplicate):
        row = (
            conn.cursor(row_factory=tuple_row)
            .execute(queries.insert_snapshot, parameters)
            .fetchone()
        )
    assert row is not None  # noqa: S101 # RETURNING of one inserted row
    snapshot_id: int = row[0]
    _insert_content(conn, snapshot_id, policy)
    for artifact in policy.artifacts:
        values = {
            "id": snapshot_id,
            "type": artifact.type.value,
            "content": artifact.content,
            "sha256": artifact.sha256,
            "actor": actor,
        }
        with translated():
            conn.execute(queries.insert_artifact, values)
    return Snapshot(
        id=SnapshotId(snapshot_id),
        version=version,
        env=env,
        checksum=digest,
        entrypoint=policy.entrypoint,
        schema_version=policy.schema_version,
        size_bytes=size,
        signature=signature,
        notes=notes,
        created_at=row[1],
    )


def _insert_content(conn: psycopg.Connection[Any], snapshot_id: int, policy: Policy) -> None:
    subtasks = {subtask.name: uuid4() for subtask in policy.subtasks}
    rules = [(uuid4(), rule) for rule in policy.rules]
    _copy(
        conn,
        queries.copy_subtasks,
        ((subtasks[s.name], snapshot_id, s.name, _json(s.default_params)) for s in policy.subtasks),
    )
    _copy(
        conn,
        queries.copy_rules,
        (
            (
                id_, snapshot_id, rule.name, rule.priority, rule.source, rule.compiled,
                rule.engine.value, rule_hash(rule), _json(rule.metadata), rule.disabled,
            )
            for id_, rule in rules
        ),
    )  # fmt: skip
    _copy(
        conn,
        queries.copy_conditions,
        (
            (
                id_, c.type.value, c.key, c.operator.value, c.value, c.predicate, _json(c.object),
                position,
            )
            for id_, rule in rules
            for position, c in enumerate(rule.conditions)
        ),
    )  # fmt: skip
    _copy(
        conn,
        queries.copy_emissions,
        (
            (id_, subtasks[e.subtask], e.relation.value, _json(emission_params(e)), position)
            for id_, rule in rules
            for position, e in enumerate(rule.emissions)
        ),
    )
    _copy(
        conn,
        queries.copy_fixtures,
        ((snapshot_id, f.name, _json(f.input), _json(f.expect)) for f in policy.fixtures),
    )


def load(conn: psycopg.Connection[Any], snapshot_id: int, *, verify: bool = True) -> Policy:
    """Read a snapshot.

    Args:
        conn: A connection in any state.
        snapshot_id: Which.
        verify: Compare the checksum and the artifacts' hashes with what is stored.

    Raises:
        NotFound: There is none of that id.
        CheckFailed: What is stored is not what was stored: somebody changed it behind our back.
    """
    with collector_paused():
        policy = _read(conn, get(conn, snapshot_id))
        if verify and policy.snapshot is not None:
            _verify(policy, policy.snapshot)
    return policy


def load_signed(conn: psycopg.Connection[Any], snapshot_id: int, key: bytes | None) -> Policy:
    """Read a snapshot that is about to act: verified, and signed where a key is given.

    Raises:
        NotFound: There is none of that id.
        CheckFailed: What is stored is not what was stored, or it lacks the signature.
    """
    if key is not None:
        signatures.check(get(conn, snapshot_id), key)
    return load(conn, snapshot_id)


def _read(conn: psycopg.Connection[Any], row: Snapshot) -> Policy:
    snapshot_id = row.id
    subtasks = tuple(
        SubtaskType(name, params, id_)
        for id_, name, params in _tuples(conn, queries.load_subtasks, snapshot_id)
    )
    names = {subtask.id: subtask.name for subtask in subtasks}
    # Rules are much alike: equal conditions, and equal emissions, are one object each. What is made of
    # them, here for the checksum and in an engine, is then made once too.
    conditions = _by_rule(_tuples(conn, queries.load_conditions, snapshot_id), _condition)

    def emission(type_: UUID, relation: str, text: str | None, place: int) -> Emission:
        # One of another snapshot is no name of ours: the checksum will tell.
        return _emission(names.get(type_, str(type_)), relation, text, place)

    emissions = _by_rule(_tuples(conn, queries.load_emissions, snapshot_id), emission)
    rules = tuple(
        Rule(
            name=name,
            priority=priority,
            engine=_ENGINES[engine],
            source=source,
            conditions=tuple(conditions.get(id_, ())),
            emissions=tuple(emissions.get(id_, ())),
            metadata=metadata,
            disabled=disabled,
            compiled=compiled,
            id=UUID(id_),
        )
        for id_, name, priority, engine, source, compiled, metadata, disabled in _tuples(
            conn, queries.load_rules, snapshot_id
        )
    )
    return Policy(
        subtasks=subtasks,
        rules=rules,
        fixtures=tuple(
            Fixture(name, given, expect)
            for name, given, expect in _tuples(conn, queries.load_fixtures, snapshot_id)
        ),
        artifacts=tuple(
            Artifact(ArtifactType(type_), content, sha256)
            for type_, content, sha256 in _tuples(conn, queries.load_artifacts, snapshot_id)
        ),
        entrypoint=row.entrypoint,
        schema_version=row.schema_version,
        version=row.version,
        env=row.env,
        snapshot=row,
    )


def _by_rule(rows: Iterable[tuple[Any, ...]], make: Callable[..., _Made]) -> dict[str, list[_Made]]:
    """Return what rows of (rule, …) stand for, by rule and in their order; equal ones are one object."""
    made: dict[tuple[Any, ...], _Made] = {}
    found: defaultdict[str, list[_Made]] = defaultdict(list)
    for rule_id, *rest in rows:
        key = tuple(rest)
        one = made.get(key)
        if one is None:
            one = made[key] = make(*key)
        found[rule_id].append(one)
    return found


def _condition(
    type_: str, key: str, operator: str, value: str | None, predicate: str | None,
    object_: str | None, place: int,
) -> Condition:  # fmt: skip
    wanted = None if object_ is None else json.loads(object_)
    return Condition(_TYPES[type_], key, _OPERATORS[operator], value, predicate, wanted, place)


def _emission(name: str, relation: str, text: str | None, place: int) -> Emission:
    params = None if text is None else json.loads(text)
    source = None
    if params is not None and _GATE_SOURCE in params:
        source = params.pop(_GATE_SOURCE)
        params = params or None
    return Emission(name, _RELATIONS[relation], params, source, place)


def load_artifact(conn: psycopg.Connection[Any], snapshot_id: int, type_: ArtifactType) -> Artifact:
    """Read one file of a snapshot and verify its hash.

    Raises:
        NotFound: The snapshot carries none of that type.
        CheckFailed: Its bytes are not those that were stored.
    """
    for name, content, sha256 in _tuples(conn, queries.load_artifacts, snapshot_id):
        if name == type_.value:
            artifact = Artifact(type_, content, sha256)
            _verify_artifact(artifact, str(snapshot_id))
            return artifact
    raise NotFound(
        f"snapshot {get(conn, snapshot_id).version} carries no {type_}", code="pkg.no_artifact"
    )


def _verify(policy: Policy, row: Snapshot) -> None:
    label = f"{row.version} ({row.env})"
    for artifact in policy.artifacts:
        _verify_artifact(artifact, label)
    found = checksum(policy)
    if found != row.checksum:
        raise CheckFailed(
            f"snapshot {label} was changed after it was stored: its checksum is {found[:12]}…, "
            f"stored as {row.checksum[:12]}…",
            code="pkg.checksum_mismatch",
            hint="store it anew under another version with seedcore pkg snapshot create",
        )


def _verify_artifact(artifact: Artifact, label: str) -> None:
    if hashlib.sha256(artifact.content).hexdigest() != artifact.sha256:
        raise CheckFailed(
            f"the {artifact.type} of snapshot {label} is corrupt: its hash is not the stored one",
            code="pkg.artifact_corrupt",
        )


def _tuples(
    conn: psycopg.Connection[Any], statement: LiteralString, snapshot_id: int
) -> list[tuple[Any, ...]]:
    with translated(), conn.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(statement, {"id": snapshot_id}).fetchall()


def _copy(
    conn: psycopg.Connection[Any], statement: LiteralString, rows: Iterable[tuple[Any, ...]]
) -> None:
    with translated(), conn.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, allow_nan=False)
