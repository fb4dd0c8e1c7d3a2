"""The columns of the embed commands."""

from __future__ import annotations

from typing import Any

from seedcore_cli.humanize import moment, seconds
from seedcore_cli.output import Column


def _similarity(value: Any) -> str:
    return f"{value:.4f}"


def _beginning(value: Any) -> str:
    text = " ".join(str(value or "").split())
    return text if len(text) <= 80 else text[:79] + "…"


def _vector(value: Any) -> str:
    shown = " ".join(f"{x:.4f}" for x in value[:6])
    return f"{shown} … ({len(value)})"


def _megabytes(value: Any) -> str:
    return "-" if value is None else f"{value / 1e6:.1f} MB"


_STATE = Column(
    "state",
    colors={
        "serving": "green", "preparing": "yellow", "valid": "green", "invalid": "red",
        "missing": "yellow",
    },
)  # fmt: skip

RUN = (
    Column("kind", id=True),
    Column("encoder"),
    Column("embedded", align="right"),
    Column("unchanged", align="right"),
    Column("skipped", align="right"),
    Column("failed", align="right"),
    Column("seconds", align="right", format=seconds),
)

ENQUEUED = (Column("kind", id=True), Column("pending", align="right"), Column("task_id"))

ENQUEUED_NODES = (
    Column("kind", id=True),
    Column("pending", align="right"),
    Column("task_ids", header="TASKS", format=lambda ids: str(len(ids))),
)

STATUS = (
    Column("kind", id=True),
    Column("dim", align="right"),
    Column("total", align="right"),
    Column("missing", align="right"),
    Column("stale", align="right"),
    Column("encoder"),
    _STATE,
    Column("last_at", format=moment),
)

HITS = (
    Column("id", id=True),
    Column("kind"),
    Column("similarity", align="right", format=_similarity),
    Column("text", format=_beginning),
    Column("label", wide=True),
    Column("node_id", wide=True, align="right"),
)

PLAN = (
    Column("encoder", id=True),
    Column("mode"),
    Column("method"),
    Column("why"),
    Column("candidates"),
    Column("ef_search"),
    Column("encode_s"),
    Column("search_s"),
    Column("hits", format=lambda hits: str(len(hits))),
)

VECTOR = (
    Column("encoder", id=True),
    Column("mode"),
    Column("dim"),
    Column("native_dim"),
    Column("vector", format=_vector),
)

ENCODERS = (
    Column("model", id=True),
    Column("kind"),
    Column("dim", align="right"),
    Column("native_dim", align="right"),
    _STATE,
    Column("vectors", align="right"),
    Column("weights_bytes", header="WEIGHTS", align="right", format=_megabytes),
    Column("digest", wide=True),
    Column("encoder_id", wide=True, align="right"),
    Column("created_at", format=moment, wide=True),
)

REMOVED = (Column("model", id=True), Column("vectors", align="right"))

PROBE = (Column("url", id=True), Column("ready"), Column("models"))

FIT = (
    Column("model", id=True),
    _STATE,
    Column("new"),
    Column("texts", align="right"),
    Column("terms", align="right"),
    Column("native_dim", align="right"),
    Column("bytes", header="WEIGHTS", format=_megabytes),
    Column("seconds", format=seconds),
)

INDEXES = (
    Column("name", id=True),
    _STATE,
    Column("rows", align="right"),
    Column("size_bytes", header="SIZE", align="right", format=_megabytes),
    Column("m", align="right"),
    Column("ef_construction", align="right"),
    Column("table", wide=True),
)

CHANGED = (
    Column("name", id=True),
    Column("before"),
    Column("action"),
    Column("seconds", format=seconds),
)

CHECK = (
    Column("encoder", id=True),
    Column("label"),
    Column("sample", align="right"),
    Column("k", align="right"),
    Column("ef_search", align="right"),
    Column("recall", align="right"),
    Column("p50_ms", align="right"),
    Column("p95_ms", align="right"),
    Column("exact_p50_ms", align="right"),
)
