"""Draw a neighbourhood: Graphviz, Mermaid, or a picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seedcore.db.rows import Row
from seedcore.errors import Unavailable, UsageError
from seedcore.graph.reading import Neighbourhood

PICTURES = (".svg", ".png", ".pdf")
_MOST_TITLE = 40
_MOST_DRAWN = 200
"""Nodes that a picture can hold and still be read."""

_COLORS = {
    "task": "#4c72b0", "agent": "#dd8452", "organ": "#55a868", "fact": "#c44e52",
    "artifact": "#8172b3", "capability": "#937860", "memory_cell": "#da8bc3", "skill": "#8c8c8c",
    "model": "#ccb974", "service": "#64b5cd", "policy": "#b0b0b0", "instance": "#7f9f7f",
}  # fmt: skip


def dot(around: Neighbourhood) -> Iterator[str]:
    """Yield the lines of a Graphviz document."""
    yield "digraph seedcore {"
    yield "  rankdir=LR;"
    yield '  node [shape=box, style="rounded,filled", fillcolor=white];'
    for row in around.nodes:
        strong = ", penwidth=2" if row["hops"] == 0 else ""
        yield f'  n{row["node_id"]} [label="{_dot_text(_label(row))}", color="{_color(row)}"{strong}];'
    for row in around.edges:
        yield (
            f'  n{row["src_node_id"]} -> n{row["dst_node_id"]} [label="{_dot_text(_verb(row))}"];'
        )
    yield "}"


def mermaid(around: Neighbourhood) -> Iterator[str]:
    """Yield the lines of a Mermaid flowchart."""
    yield "flowchart LR"
    for row in around.nodes:
        yield f'  n{row["node_id"]}["{_mermaid_text(_label(row))}"]'
    for row in around.edges:
        yield f"  n{row['src_node_id']} -- {_verb(row)} --> n{row['dst_node_id']}"
    for row in around.nodes:
        width = 3 if row["hops"] == 0 else 1
        yield f"  style n{row['node_id']} stroke:{_color(row)},stroke-width:{width}px"


def picture(around: Neighbourhood, path: Path) -> None:
    """Render a picture: where it began in the middle, each hop on a circle of its own.

    Raises:
        UsageError: The file's name has another ending, it can't be written, or there is too much.
        Unavailable: matplotlib is not installed.
    """
    if path.suffix.lower() not in PICTURES:
        raise UsageError(
            f"{path} is no name of a picture", hint=f"one that ends in {', '.join(PICTURES)}"
        )
    if len(around.nodes) > _MOST_DRAWN:
        raise UsageError(
            f"{len(around.nodes)} nodes are too many for a picture, which holds {_MOST_DRAWN}",
            code="graph.too_large",
            hint="fewer --hops, a smaller --limit, or -o dot",
        )
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise Unavailable(
            "drawing a picture needs matplotlib, which is not installed",
            code="extra.missing",
            hint="pip install 'seedcore[export]'",
        ) from None

    places = _places(around.nodes)
    size = 6 + 0.35 * math.sqrt(len(around.nodes)) * max(row["hops"] for row in around.nodes)
    figure: Any = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.margins(0.15)
    for row in around.edges:
        (x1, y1), (x2, y2) = places[row["src_node_id"]], places[row["dst_node_id"]]
        axes.annotate(
            "", xy=(x2, y2), xytext=(x1, y1),
            arrowprops={"arrowstyle": "->", "color": "#999999", "shrinkA": 12, "shrinkB": 12},
        )  # fmt: skip
        axes.text((x1 + x2) / 2, (y1 + y2) / 2, _verb(row), fontsize=6, ha="center", color="#777777",
                  parse_math=False)  # fmt: skip
    for row in around.nodes:
        x, y = places[row["node_id"]]
        axes.plot([x], [y], "o", markersize=14 if row["hops"] == 0 else 9, color=_color(row))
        axes.text(x, y - 0.12, _label(row), fontsize=7, ha="center", va="top", parse_math=False)
    try:
        # Without a date in it, the same neighbourhood gives the same file.
        stamp = {"Date": None} if path.suffix.lower() == ".svg" else {}
        figure.savefig(path, metadata=stamp)
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror}") from error


def _places(nodes: list[Row]) -> dict[int, tuple[float, float]]:
    places: dict[int, tuple[float, float]] = {}
    for hop in sorted({row["hops"] for row in nodes}):
        ring = [row["node_id"] for row in nodes if row["hops"] == hop]
        if hop == 0 and len(ring) == 1:
            places[ring[0]] = (0.0, 0.0)
            continue
        radius = hop if hop else 0.4
        for nth, node_id in enumerate(ring):
            # Half a step off per ring, so that rings don't line up.
            angle = 2 * math.pi * (nth + 0.5 * (hop % 2)) / len(ring)
            places[node_id] = (radius * math.cos(angle), radius * math.sin(angle))
    return places


def _label(row: Row) -> str:
    title = " ".join(str(row["title"] or row["ext_id"]).split())
    if len(title) > _MOST_TITLE:
        title = title[: _MOST_TITLE - 1] + "…"
    return f"{row['kind']}: {title}"


def _verb(row: Row) -> str:
    return str(row["edge_type"]).split("__")[1]


def _color(row: Row) -> str:
    return _COLORS.get(row["kind"], "#000000")


def _dot_text(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _mermaid_text(text: str) -> str:
    """Write what Mermaid would read as syntax by its character's number."""
    return "".join(c if c.isalnum() or c in " .,:/-_@…" else f"#{ord(c)};" for c in text)
