"""The columns of the graph commands."""

from __future__ import annotations

from seedcore_cli.humanize import moment
from seedcore_cli.output import Column


def _ratio(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


NODES = (
    Column("node_id", header="NODE", id=True, align="right"),
    Column("kind"),
    Column("ext_id", header="ID"),
    Column("title"),
    Column("embedded"),
    Column("snapshot_id", header="SNAPSHOT", wide=True),
    Column("created_at", wide=True, format=moment),
)
EDGES = (
    Column("src"),
    Column("edge_type", header="EDGE"),
    Column("dst"),
    Column("weight", align="right", format=_ratio),
    Column("src_node_id", wide=True),
    Column("dst_node_id", wide=True),
    Column("created_at", wide=True, format=moment),
)
SHOWN = (
    Column("node_id", header="NODE", id=True),
    Column("kind"),
    Column("ext_id", header="ID"),
    Column("title"),
    Column("embedded"),
    Column("snapshot_id", header="SNAPSHOT"),
    Column("created_at", format=moment),
)
AROUND = (
    Column("hops", align="right"),
    *NODES[:5],
)
STATS = (
    Column("kind", id=True),
    Column("nodes", align="right"),
    Column("edges", align="right"),
    Column("avg_degree", align="right", format=_ratio),
    Column("isolated", align="right"),
    Column("embedded_ratio", header="EMBEDDED", align="right", format=_ratio),
)
CHECKS = (
    Column("check", id=True),
    Column("ok", colors={"true": "green", "false": "red"}),
    Column("found", align="right"),
    Column("mended", align="right"),
    Column("detail"),
)
LINKED = (
    Column("src"),
    Column("edge_type", header="EDGE"),
    Column("dst"),
    Column("weight", align="right", format=_ratio),
    Column("outcome"),
)
ADDED = (
    Column("node_id", header="NODE", id=True),
    Column("kind"),
    Column("ext_id", header="ID"),
    Column("outcome"),
)
