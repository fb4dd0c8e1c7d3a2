"""Tables of the graph: nodes, what they stand for, the edges between them, and their vectors."""

from __future__ import annotations

from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import BYTEA, JSONB, UUID
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import TypeEngine, UserDefinedType

from seedcore.db.metadata.base import column, metadata, scoped, time


class Vector(UserDefinedType[Any]):
    """pgvector's type, for comparing tables; values never pass through here.

    Args:
        dim: How many numbers; None = any.
    """

    cache_ok = True

    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim

    def get_col_spec(self, **_: Any) -> str:
        """Return the type's name as DDL has it."""
        return "VECTOR" if self.dim is None else f"VECTOR({self.dim})"


class HalfVector(Vector):
    """pgvector's type of half the precision, which indexes are on."""

    def get_col_spec(self, **_: Any) -> str:
        """Return the type's name as DDL has it."""
        return "HALFVEC" if self.dim is None else f"HALFVEC({self.dim})"


# How reflection finds the type; the table's own annotation knows only SQLAlchemy's types.
cast("dict[str, Any]", ischema_names)["vector"] = Vector

_KINDS: dict[str, tuple[str, str, type[TypeEngine[Any]]]] = {
    "task": ("tasks", "id", UUID),
    "artifact": ("artifact", "artifact_id", UUID),
    "capability": ("capability", "capability_id", UUID),
    "memory_cell": ("memory_cell", "memory_cell_id", UUID),
    "fact": ("facts", "id", UUID),
    "agent": ("agent_registry", "agent_id", sa.Text),
    "organ": ("organ_registry", "organ_id", sa.Text),
    "model": ("model", "model_name", sa.Text),
    "policy": ("policy", "policy_name", sa.Text),
    "service": ("service", "service_name", sa.Text),
    "skill": ("skill", "skill_name", sa.Text),
}

graph_node_map = sa.Table(
    "graph_node_map",
    metadata,
    sa.Column("node_id", sa.BigInteger, primary_key=True),
    column("node_type", sa.Text()),
    column("ext_table", sa.Text()),
    column("ext_uuid", UUID(), null=True),
    column("ext_text_id", sa.Text(), null=True),
    column("created_at", time),
    column("updated_at", time),
    scoped("graph_node_map"),
    sa.Index("idx_graph_node_map_snapshot_id", "snapshot_id", "node_type"),
    sa.UniqueConstraint("ext_uuid", "ext_table", "node_type", name="uq_graph_node_map_uuid"),
    sa.UniqueConstraint("ext_text_id", "ext_table", "node_type", name="uq_graph_node_map_text"),
)

agent_registry = sa.Table(
    "agent_registry",
    metadata,
    sa.Column("agent_id", sa.Text, primary_key=True),
    column("display_name", sa.Text(), null=True),
    column("props", JSONB()),
    column("created_at", time),
    column("updated_at", time),
)

organ_registry = sa.Table(
    "organ_registry",
    metadata,
    sa.Column("organ_id", sa.Text, primary_key=True),
    sa.Column("agent_id", sa.Text, sa.ForeignKey(agent_registry.c.agent_id, ondelete="SET NULL")),
    column("kind", sa.Text(), null=True),
    column("props", JSONB()),
    column("created_at", time),
    column("updated_at", time),
    sa.Index("ix_organ_registry_agent_id", "agent_id"),
)

artifact = sa.Table(
    "artifact",
    metadata,
    sa.Column("artifact_id", UUID, primary_key=True),
    column("uri", sa.Text()),
    column("kind", sa.Text(), null=True),
    column("props", JSONB()),
    column("created_at", time),
    column("updated_at", time),
    sa.Index("ix_artifact_uri", "uri"),
)

capability = sa.Table(
    "capability",
    metadata,
    sa.Column("capability_id", UUID, primary_key=True),
    column("name", sa.Text()),
    column("props", JSONB()),
    column("created_at", time),
    column("updated_at", time),
    sa.UniqueConstraint("name", name="uq_capability_name"),
)

memory_cell = sa.Table(
    "memory_cell",
    metadata,
    sa.Column("memory_cell_id", UUID, primary_key=True),
    column("scope", sa.Text()),
    column("mkey", sa.Text()),
    column("version", sa.Integer()),
    column("props", JSONB()),
    column("created_at", time),
    column("updated_at", time),
    sa.UniqueConstraint("scope", "mkey", "version", name="uq_memory_cell"),
)


def _dimension(name: str) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        sa.Column(f"{name}_name", sa.Text, primary_key=True),
        column("meta", JSONB()),
        column("created_at", time),
        column("updated_at", time),
    )


model = _dimension("model")
policy = _dimension("policy")
service = _dimension("service")
skill = _dimension("skill")


def _end(kind: str, name: str, *, ondelete: str = "CASCADE") -> sa.Column[Any]:
    table, key, type_ = _KINDS[kind]
    return sa.Column(
        name, type_(), sa.ForeignKey(f"{table}.{key}", ondelete=ondelete), nullable=False
    )


def _edge(
    name: str, src: tuple[str, str], dst: tuple[str, str], *, keep_dst: bool = False
) -> sa.Table:
    """Describe an edge table that has a number of its own (008, 011)."""
    return sa.Table(
        name,
        metadata,
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        _end(*src),
        _end(*dst, ondelete="RESTRICT" if keep_dst else "CASCADE"),
        column("created_at", time),
        sa.UniqueConstraint(src[1], dst[1], name=f"uq_{name}"),
        sa.Index(f"idx_{name}_rev", dst[1], src[1]),
    )


def _pair(name: str, src: tuple[str, str], dst: tuple[str, str], *more: sa.Column[Any]) -> sa.Table:
    """Describe an edge table whose pair is its key (009)."""
    return sa.Table(
        name,
        metadata,
        _end(*src),
        _end(*dst),
        *more,
        column("created_at", time),
        sa.PrimaryKeyConstraint(src[1], dst[1]),
        sa.Index(f"idx_{name}_rev", dst[1], src[1]),
    )


_task, _agent, _organ = ("task", "task_id"), ("agent", "agent_id"), ("organ", "organ_id")
_capability, _memory_cell = ("capability", "capability_id"), ("memory_cell", "memory_cell_id")

# task_depends_on_task belongs to the queue and is described with it.
task_produces_artifact = _edge("task_produces_artifact", _task, ("artifact", "artifact_id"))
task_uses_capability = _edge("task_uses_capability", _task, _capability, keep_dst=True)
task_reads_memory = _edge("task_reads_memory", _task, _memory_cell, keep_dst=True)
task_writes_memory = _edge("task_writes_memory", _task, _memory_cell, keep_dst=True)
task_executed_by_organ = _edge("task_executed_by_organ", _task, _organ)
task_owned_by_agent = _edge("task_owned_by_agent", _task, _agent)
organ_provides_capability = _edge("organ_provides_capability", _organ, _capability)
agent_owns_memory_cell = _edge("agent_owns_memory_cell", _agent, _memory_cell)
task_reads_fact = _edge("task_reads_fact", _task, ("fact", "fact_id"))
task_produces_fact = _edge("task_produces_fact", _task, ("fact", "fact_id"))

agent_member_of_organ = _pair("agent_member_of_organ", _agent, _organ)
agent_collab_agent = _pair(
    "agent_collab_agent",
    ("agent", "src_agent"),
    ("agent", "dst_agent"),
    column("weight", sa.REAL()),
    column("bond_kind", sa.Text()),
    column("meta", JSONB()),
)
organ_provides_skill = _pair("organ_provides_skill", _organ, ("skill", "skill_name"))
organ_uses_service = _pair("organ_uses_service", _organ, ("service", "service_name"))
organ_governed_by_policy = _pair("organ_governed_by_policy", _organ, ("policy", "policy_name"))
agent_uses_model = _pair("agent_uses_model", _agent, ("model", "model_name"))

encoder = sa.Table(
    "encoder",
    metadata,
    sa.Column("encoder_id", sa.Integer, sa.Identity(start=101), primary_key=True),
    column("name", sa.Text()),
    column("version", sa.Integer()),
    sa.Column(
        "model",
        sa.Text,
        sa.Computed(
            "CASE WHEN version = 0 THEN name ELSE name || '-v' || version::text END", persisted=True
        ),
        nullable=False,
    ),
    column("kind", sa.Text()),
    column("dim", sa.Integer()),
    column("native_dim", sa.Integer()),
    column("digest", sa.Text(), null=True),
    column("weights", BYTEA(), null=True),
    column("state", sa.Text()),
    column("created_at", time),
    column("updated_at", time),
    sa.UniqueConstraint("model", "dim", name="uq_encoder_model"),
)


def _embeddings(dim: int) -> sa.Table:
    name = f"graph_embeddings_{dim}"
    return sa.Table(
        name,
        metadata,
        sa.Column(
            "node_id",
            sa.BigInteger,
            sa.ForeignKey(graph_node_map.c.node_id, ondelete="CASCADE"),
            nullable=False,
        ),
        column("label", sa.Text()),
        sa.Column(
            "encoder_id",
            sa.Integer,
            sa.ForeignKey(encoder.c.encoder_id, ondelete="RESTRICT"),
            nullable=False,
        ),
        column("props", JSONB(), null=True),
        column("emb", Vector(dim)),
        column("content_sha256", sa.Text(), null=True),
        column("created_at", time),
        column("updated_at", time),
        scoped(name),
        sa.Index(f"idx_{name}_snapshot_id", "snapshot_id", "label"),
        sa.PrimaryKeyConstraint("node_id", "label", "encoder_id"),
        sa.Index(f"idx_{name}_label", "label", "node_id"),
        sa.Index(f"idx_{name}_encoder", "encoder_id"),
    )


def hnsw(name: str, on: Any, operators: str, where: str | None = None) -> None:
    """Describe a vector index of the usual size."""
    sa.Index(
        name,
        on,
        postgresql_using="hnsw",
        postgresql_ops={getattr(on, "key", None) or "emb": operators},
        postgresql_with={"m": 16, "ef_construction": 64},
        postgresql_where=None if where is None else sa.text(where),
    )


graph_embeddings_128 = _embeddings(128)
graph_embeddings_1024 = _embeddings(1024)
hnsw("idx_graph_embeddings_128_emb", graph_embeddings_128.c.emb, "vector_cosine_ops")
_half = sa.cast(graph_embeddings_1024.c.emb, HalfVector(1024))
for _name, _where in (("task", "="), ("world", "<>")):
    hnsw(
        f"idx_graph_embeddings_1024_{_name}_emb",
        _half,
        "halfvec_cosine_ops",
        f"label {_where} 'task.primary'",
    )
