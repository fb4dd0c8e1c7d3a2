"""The words of policy: what a snapshot consists of, as the tables of 013 and 014 hold it.

A `Policy` is the content of one snapshot, whether it was read from a folder or from the database; the
`Snapshot` is its row. Both are immutable, so that evaluators may keep them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NewType
from uuid import UUID

SnapshotId = NewType("SnapshotId", int)

SCHEMA_VERSION = "1"
DEFAULT_ENTRYPOINT = "data.pkg"
DEFAULT_PRIORITY = 100
MAX_PATTERN_CHARS = 256
"""Longest regular expression of a condition."""

INPUT_FIELDS = ("tags", "signals", "context", "facts", "memory")
"""What an input consists of; the path of a VALUE condition begins with one of them."""

_NONE: Mapping[str, Any] = MappingProxyType({})


class Env(StrEnum):
    """An environment; each has at most one active snapshot."""

    PROD = "prod"
    STAGING = "staging"
    DEV = "dev"


class Engine(StrEnum):
    """What evaluates a rule."""

    NATIVE = "native"
    REGO = "rego"
    WASM = "wasm"


class ConditionType(StrEnum):
    """Where a condition looks."""

    TAG = "TAG"
    SIGNAL = "SIGNAL"
    VALUE = "VALUE"
    FACT = "FACT"


class Operator(StrEnum):
    """How a condition compares."""

    EQ = "="
    NE = "!="
    GE = ">="
    LE = "<="
    GT = ">"
    LT = "<"
    EXISTS = "EXISTS"
    IN = "IN"
    MATCHES = "MATCHES"


ORDERING = frozenset({Operator.GE, Operator.LE, Operator.GT, Operator.LT})

OPERATORS: Mapping[ConditionType, frozenset[Operator]] = MappingProxyType(
    {
        ConditionType.TAG: frozenset({Operator.EXISTS, Operator.EQ, Operator.NE, Operator.IN}),
        ConditionType.SIGNAL: frozenset(Operator) - {Operator.MATCHES},
        ConditionType.VALUE: frozenset(Operator),
        ConditionType.FACT: frozenset({Operator.EXISTS, Operator.EQ, Operator.NE}),
    }
)
"""Which operators a type takes. Of TAG and FACT, EXISTS and = mean present, != means absent."""


class Relation(StrEnum):
    """How an emitted subtask stands to the others of its rule."""

    EMITS = "EMITS"
    """Alone: no edge."""
    ORDERS = "ORDERS"
    """After the emission before it."""
    GATE = "GATE"
    """Behind its `gate_source`, by default the rule's first emission."""


class ArtifactType(StrEnum):
    """A file that a snapshot carries."""

    SOURCE_TAR = "source_tar"
    """The folder, byte for byte."""
    REGO_BUNDLE = "rego_bundle"
    """A compiled bundle (`policy.rbb` of the folder)."""
    WASM_PACK = "wasm_pack"
    """A module of OPA's ABI (`policy.wasm` of the folder)."""


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a policy's folder.

    Attributes:
        path: File, relative to the folder, with forward slashes.
        line: Counted from 1; None = the file as a whole.
    """

    path: str
    line: int | None = None

    def __str__(self) -> str:
        """Write it as compilers do."""
        return self.path if self.line is None else f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class SubtaskType:
    """What rules can emit: a capability and its defaults.

    Attributes:
        name: Unique in the snapshot.
        default_params: What the params of an emission are merged into; None = nothing.
        id: Row of `pkg_subtask_types`, when stored.
        where: Place in the folder, when read from one.
    """

    name: str
    default_params: Mapping[str, Any] | None = None
    id: UUID | None = field(default=None, compare=False)
    where: Where | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that must hold for a rule to fire.

    Attributes:
        type: Where it looks.
        key: A tag, the name of a signal, a dotted path into the input, or the subject of a fact. Of a
            TAG with IN it is only a label: the tags stand in the value.
        operator: How it compares; see `OPERATORS`.
        value: What it compares with, as text: a number as JSON, true or false, a time as ISO 8601, a
            list (IN) as a JSON array. None where the operator takes nothing.
        predicate: Of a fact.
        object: Of a fact, any JSON; None = whatever it is.
        position: Place among the rule's conditions, from 0.
        where: Place in the folder, when read from one.
    """

    type: ConditionType
    key: str
    operator: Operator = Operator.EXISTS
    value: str | None = None
    predicate: str | None = None
    object: Any = None
    position: int = 0
    where: Where | None = field(default=None, compare=False)

    @property
    def items(self) -> tuple[str, ...]:
        """What an IN lists, each as text: a JSON array, or words between commas."""
        text = (self.value or "").strip()
        if not text.startswith("["):
            return tuple(word.strip() for word in text.split(",") if word.strip())
        return tuple(plain_text(item) for item in json.loads(text))

    def __str__(self) -> str:
        """Write it on one line, for messages."""
        parts = [self.type.value, self.key, self.operator.value]
        if self.value is not None:
            parts.append(self.value)
        if self.predicate is not None:
            parts.append(self.predicate)
        if self.object is not None:
            parts.append(json.dumps(self.object, ensure_ascii=False))
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Emission:
    """A subtask that a rule asks for when it fires.

    Attributes:
        subtask: Name of its type.
        relation: How it stands to the rule's other emissions.
        params: Merged over the type's defaults; None = nothing. `gate_source` is not among them.
        gate_source: Of a GATE: the subtask of the same rule that must end well first. None = the
            rule's first emission. The table has no column for it: it is stored in params.
        position: Place among the rule's emissions, from 0.
        where: Place in the folder, when read from one.
    """

    subtask: str
    relation: Relation = Relation.EMITS
    params: Mapping[str, Any] | None = None
    gate_source: str | None = None
    position: int = 0
    where: Where | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a policy does when certain things hold.

    Attributes:
        name: Unique in the snapshot.
        priority: Rules are tried from the highest down, equal ones by name.
        engine: What evaluates it.
        source: Its text: of a native rule canonical JSON, of a Rego rule the module.
        conditions: All must hold; none = always. Empty unless native.
        emissions: In their order. Empty unless native.
        metadata: Free, but for `deny`.
        disabled: Kept, and not tried.
        compiled: What an engine made of the source, when stored.
        id: Row of `pkg_policy_rules`, when stored.
        where: Place in the folder, when read from one.
    """

    name: str
    priority: int = DEFAULT_PRIORITY
    engine: Engine = Engine.NATIVE
    source: str = ""
    conditions: tuple[Condition, ...] = ()
    emissions: tuple[Emission, ...] = ()
    metadata: Mapping[str, Any] | None = None
    disabled: bool = False
    compiled: str | None = None
    id: UUID | None = field(default=None, compare=False)
    where: Where | None = field(default=None, compare=False)

    @property
    def denies(self) -> bool:
        """Whether the decision is denied when it fires (`deny: true` of a rule file, in metadata)."""
        return bool((self.metadata or _NONE).get("deny"))


@dataclass(frozen=True, slots=True)
class Fixture:
    """An input, and what the policy must decide on it.

    Attributes:
        name: Unique in the snapshot.
        input: tags, signals, context, facts, memory.
        expect: Any of subtasks (names, or objects with name and params), ordered, edges, rules, denied.
        where: Place in the folder, when read from one.
    """

    name: str
    input: Mapping[str, Any]
    expect: Mapping[str, Any]
    where: Where | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of a snapshot: its bytes and their sha256 in hex digits."""

    type: ArtifactType
    content: bytes = field(repr=False)
    sha256: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A row of `pkg_snapshots`: one version of the policy in one environment."""

    id: SnapshotId
    version: str
    env: Env
    checksum: str
    entrypoint: str = DEFAULT_ENTRYPOINT
    schema_version: str = SCHEMA_VERSION
    size_bytes: int | None = None
    signature: str | None = None
    is_active: bool = False
    notes: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """The content of one snapshot, of a folder or stored.

    Attributes:
        subtasks: By name.
        rules: By priority from the highest down, then by name.
        fixtures: By name.
        artifacts: At most one of each type.
        entrypoint: What the Rego and WASM engines evaluate.
        schema_version: Of this layout.
        version: What the folder calls itself, or the stored version.
        env: The environment that the folder names, or the stored one.
        snapshot: The row, when stored.
    """

    subtasks: tuple[SubtaskType, ...] = ()
    rules: tuple[Rule, ...] = ()
    fixtures: tuple[Fixture, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    entrypoint: str = DEFAULT_ENTRYPOINT
    schema_version: str = SCHEMA_VERSION
    version: str | None = None
    env: Env | None = None
    snapshot: Snapshot | None = field(default=None, compare=False)

    @property
    def engine(self) -> Engine:
        """What evaluates it; a policy is of one engine.

        WASM when it carries a pack, Rego when it carries a bundle or has Rego rules, else native.
        """
        if self.artifact(ArtifactType.WASM_PACK):
            return Engine.WASM
        if self.artifact(ArtifactType.REGO_BUNDLE):
            return Engine.REGO
        return self.rules[0].engine if self.rules else Engine.NATIVE

    def artifact(self, type_: ArtifactType) -> Artifact | None:
        """Return the artifact of a type, or None."""
        return next((a for a in self.artifacts if a.type is type_), None)

    def subtask(self, name: str) -> SubtaskType | None:
        """Return the subtask type of a name, or None."""
        return next((s for s in self.subtasks if s.name == name), None)


def plain_text(value: object) -> str:
    """Return a scalar as the tables hold it: text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
