"""The words of the graph: kinds of nodes, types of edges, and how people name a node."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from seedcore.db.id_prefix import LEAST_DIGITS, id_range
from seedcore.errors import UsageError


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of node.

    Attributes:
        name: The kind, such as `task`; `graph_node_map.node_type`.
        table: Where its entities live.
        key: The column that names one.
        is_uuid: Whether that is a UUID; otherwise text.
    """

    name: str
    table: str
    key: str
    is_uuid: bool

    @property
    def column(self) -> str:
        """The column of the node map that holds the entity's id."""
        return "ext_uuid" if self.is_uuid else "ext_text_id"


KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind("task", "tasks", "id", is_uuid=True),
        Kind("artifact", "artifact", "artifact_id", is_uuid=True),
        Kind("capability", "capability", "capability_id", is_uuid=True),
        Kind("memory_cell", "memory_cell", "memory_cell_id", is_uuid=True),
        Kind("fact", "facts", "id", is_uuid=True),
        Kind("instance", "registry_instance", "instance_id", is_uuid=True),
        Kind("agent", "agent_registry", "agent_id", is_uuid=False),
        Kind("organ", "organ_registry", "organ_id", is_uuid=False),
        Kind("model", "model", "model_name", is_uuid=False),
        Kind("policy", "policy", "policy_name", is_uuid=False),
        Kind("service", "service", "service_name", is_uuid=False),
        Kind("skill", "skill", "skill_name", is_uuid=False),
    )
}
"""The kinds that `graph_node_kinds()` knows; a test holds the two against each other."""


@dataclass(frozen=True, slots=True)
class EdgeType:
    """One type of edge.

    Attributes:
        name: `source kind__verb__target kind`, as `hgnn_edges` says it.
        table: Where its edges live.
        src: Column of the source's id.
        dst: Column of the target's id.
        has_weight: Whether its edges carry a weight of their own; others weigh 1.
    """

    name: str
    table: str
    src: str
    dst: str
    has_weight: bool = False

    @property
    def src_kind(self) -> str:
        """Kind of the source."""
        return self.name.split("__")[0]

    @property
    def verb(self) -> str:
        """What the source does to the target, such as `produces`."""
        return self.name.split("__")[1]

    @property
    def dst_kind(self) -> str:
        """Kind of the target."""
        return self.name.split("__")[2]


def _edges(*rows: tuple[str, str, str, str]) -> dict[str, EdgeType]:
    return {
        name: EdgeType(name, table, src, dst, has_weight=name == "agent__collab__agent")
        for name, table, src, dst in rows
    }


EDGE_TYPES: Final = _edges(
    ("task__depends_on__task", "task_depends_on_task", "src_task_id", "dst_task_id"),
    ("task__produces__artifact", "task_produces_artifact", "task_id", "artifact_id"),
    ("task__uses__capability", "task_uses_capability", "task_id", "capability_id"),
    ("task__reads__memory_cell", "task_reads_memory", "task_id", "memory_cell_id"),
    ("task__writes__memory_cell", "task_writes_memory", "task_id", "memory_cell_id"),
    ("task__executed_by__organ", "task_executed_by_organ", "task_id", "organ_id"),
    ("task__owned_by__agent", "task_owned_by_agent", "task_id", "agent_id"),
    ("organ__provides__capability", "organ_provides_capability", "organ_id", "capability_id"),
    ("agent__owns__memory_cell", "agent_owns_memory_cell", "agent_id", "memory_cell_id"),
    ("agent__member_of__organ", "agent_member_of_organ", "agent_id", "organ_id"),
    ("agent__collab__agent", "agent_collab_agent", "src_agent", "dst_agent"),
    ("organ__provides__skill", "organ_provides_skill", "organ_id", "skill_name"),
    ("organ__uses__service", "organ_uses_service", "organ_id", "service_name"),
    ("organ__governed_by__policy", "organ_governed_by_policy", "organ_id", "policy_name"),
    ("agent__uses__model", "agent_uses_model", "agent_id", "model_name"),
    ("task__reads__fact", "task_reads_fact", "task_id", "fact_id"),
    ("task__produces__fact", "task_produces_fact", "task_id", "fact_id"),
)
"""The 17 types of `hgnn_edges`, in its order; a test holds the two against each other."""

DEPENDS_ON: Final = "task__depends_on__task"

MOST_NODE_ID: Final = 2**63 - 1
_NUMBER = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True)
class NodeRef:
    """How somebody names a node: by its number, or by the kind and id of its entity.

    Attributes:
        node_id: The number; None where the entity is named.
        kind: Kind of the entity.
        ext_id: Its id, or the first digits of one that is a UUID.
    """

    node_id: int | None = None
    kind: Kind | None = None
    ext_id: str | None = None


def parse_ref(text: str) -> NodeRef:
    """Read `42`, `agent:writer` or `task:0197f3a2`.

    Raises:
        UsageError: It is neither, the kind is unknown, or the id is not of that kind.
    """
    word = text.strip()
    if _NUMBER.fullmatch(word):
        if int(word) > MOST_NODE_ID:
            raise UsageError(f'"{word}" is too large for a node\'s number', code="graph.bad_id")
        return NodeRef(node_id=int(word))
    name, colon, ext_id = word.partition(":")
    if not colon or not ext_id:
        raise UsageError(
            f'"{word}" names no node',
            code="graph.bad_id",
            hint="give its number, or kind:id such as agent:writer: seedcore graph nodes",
        )
    kind = kind_of(name)
    if kind.is_uuid:
        check_digits(kind, ext_id)
    return NodeRef(kind=kind, ext_id=ext_id)


def kind_of(name: str) -> Kind:
    """Return the kind of that name.

    Raises:
        UsageError: There is none.
    """
    found = KINDS.get(name.strip().lower().replace("-", "_"))
    if found is None:
        raise UsageError(
            f'there is no kind of node "{name}"',
            code="graph.unknown_node_type",
            hint=f"known are {', '.join(KINDS)}",
        )
    return found


def check_digits(kind: Kind, ext_id: str) -> None:
    """Refuse what can't be the id of a kind, or is too short to name one.

    Raises:
        UsageError: It is no UUID and no beginning of one.
    """
    if id_range(ext_id) is None:
        raise UsageError(
            f'"{ext_id}" is not the id of a {kind.name}, which is a UUID', code="graph.bad_id"
        )
    if len(ext_id.replace("-", "")) < LEAST_DIGITS:
        raise UsageError(
            f'"{ext_id}" is too short; give at least {LEAST_DIGITS} digits of the id',
            code="graph.bad_id",
        )


def as_uuid(text: object) -> UUID | None:
    """Return a value as UUID, or None where it is none; only the usual spellings count."""
    if isinstance(text, UUID):
        return text
    if not isinstance(text, str):
        return None
    try:
        return UUID(text)
    except ValueError:
        return None


def edge_type(relation: str) -> EdgeType:
    """Return the type of edge of that full name.

    Raises:
        UsageError: There is none.
    """
    found = EDGE_TYPES.get(relation.strip().lower())
    if found is None:
        raise _unknown(relation)
    return found


def edge_types(relation: str) -> list[EdgeType]:
    """Return the types that a full name, or a verb such as `produces`, names.

    Raises:
        UsageError: There is none.
    """
    word = relation.strip().lower()
    found = [one for one in EDGE_TYPES.values() if word in (one.name, one.verb)]
    if not found:
        raise _unknown(relation)
    return found


def edge_type_between(src: Kind, relation: str, dst: Kind) -> EdgeType:
    """Return the type of edge that a name or verb means between two kinds.

    Raises:
        UsageError: There is no such relation, or it does not lead from the one kind to the other.
    """
    named = edge_types(relation)
    for one in named:
        if (one.src_kind, one.dst_kind) == (src.name, dst.name):
            return one
    ways = " or ".join(f"from {one.src_kind} to {one.dst_kind}" for one in named)
    raise UsageError(
        f"{relation} leads {ways}, not from {src.name} to {dst.name}", code="graph.wrong_kind"
    )


def _unknown(relation: str) -> UsageError:
    words = [*EDGE_TYPES, *{one.verb for one in EDGE_TYPES.values()}]
    near = difflib.get_close_matches(relation, words, n=1, cutoff=0.6)
    meant = f"; did you mean {near[0]}?" if near else ""
    return UsageError(
        f'there is no relation "{relation}"{meant}',
        code="graph.unknown_relation",
        hint=f"known are {', '.join(EDGE_TYPES)}",
    )
