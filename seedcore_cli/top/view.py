"""A frame as lines of text: pure, so that a window of any size can be tested."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from seedcore_cli.encode import cell
from seedcore_cli.humanize import seconds

if TYPE_CHECKING:
    from seedcore.task.frame import Frame

Row = Mapping[str, Any]
Mode = Literal["list", "inspect", "filter", "confirm"]

KEYS = "up/down select  enter inspect  c cancel  r retry  p pause  / filter  q quit"
_STATES = ("created", "queued", "due", "running", "retry", "failed")
_LEAST = 3
_WORKERS = 4


@dataclass(frozen=True)
class Item:
    """What can be selected: a lane, a running task or a failed one.

    Args:
        kind: `lane`, `running` or `failed`.
        key: The lane's name or the task's id.
        row: The frame's row.
    """

    kind: Literal["lane", "running", "failed"]
    key: str
    row: Row


@dataclass
class Look:
    """What the viewer has chosen, apart from the data.

    Args:
        target: Which database, for the first line.
        interval: Seconds between frames.
        mode: What the keys are for.
        filter: Only tasks whose type begins so.
        selected: Key of the selected item; None = none yet.
        question: What is to be confirmed.
        message: What became of the last key.
        lost: Why there is no database; None while there is one.
        detail: Lines of the inspected task.
        offset: First line of them that is shown.
        plain: Printed once: no keys, no selection, no limit of height.
    """

    target: str = ""
    interval: float = 2.0
    mode: Mode = "list"
    filter: str = ""
    selected: str | None = None
    question: str = ""
    message: str = ""
    lost: str | None = None
    detail: list[str] = field(default_factory=list[str])
    offset: int = 0
    plain: bool = False


def items(frame: Frame, look: Look) -> list[Item]:
    """Return what can be selected, in the order of the screen."""
    return [
        *(Item("lane", str(row["lane"]), row) for row in frame.lanes),
        *(Item("running", str(row["id"]), row) for row in _filtered(frame.running, look)),
        *(Item("failed", str(row["id"]), row) for row in _filtered(frame.failures, look)),
    ]


def lines(frame: Frame | None, look: Look, width: int, height: int) -> list[Text]:
    """Return exactly `height` lines of at most `width` cells; plainly, as many as there are.

    Args:
        frame: What to show; None before the first.
        look: What the viewer has chosen.
        width: Cells of the window.
        height: Lines of the window.
    """
    head = [_title(frame, look)]
    foot = [] if look.plain else [_foot(look)]
    room = max(height - len(head) - len(foot), 0)
    if look.mode == "inspect":
        body = [Text(cell(line)) for line in look.detail[look.offset : look.offset + room]]
    elif frame is None:
        body = [Text("no frame yet", style="dim")]
    else:
        body = _body(frame, look, None if look.plain else room)
    if look.plain:
        shown = head + body
    else:
        body = body[:room] + [Text("")] * (room - len(body))
        shown = (
            (head + body + foot)[-height:] if height < len(head) + len(foot) else head + body + foot
        )
    for line in shown:
        line.truncate(width, overflow="crop")
    return shown


def _title(frame: Frame | None, look: Look) -> Text:
    at = time.strftime("%H:%M:%S", time.gmtime(frame.at)) + " UTC" if frame else ""
    line = Text("seedcore top", style="bold")
    line.append(f"  {at}", style="")
    if look.lost is not None:
        line.append(f"  database lost, retrying: {cell(look.lost)}", style="bold red")
    if look.filter:
        line.append(f"  type {cell(look.filter)}*", style="cyan")
    line.append(f"  {cell(look.target)}", style="")
    return line


def _foot(look: Look) -> Text:
    if look.mode == "confirm":
        return Text(f"{look.question} [y/N]", style="bold yellow")
    if look.mode == "filter":
        return Text(f"type begins with: {look.filter}_   (enter keep, esc all)", style="cyan")
    if look.mode == "inspect":
        return Text("up/down scroll  c cancel  r retry  esc back  q quit", style="reverse")
    return Text(cell(look.message), style="yellow") if look.message else Text(KEYS, style="reverse")


def _body(frame: Frame, look: Look, room: int | None) -> list[Text]:
    running, failures = _filtered(frame.running, look), _filtered(frame.failures, look)
    top = [*_lanes(frame, look), _rates(frame)]
    if room is None:
        shares = len(running), len(frame.workers), len(failures)
    else:
        # A heading each, and what is left for their rows: running first, failures next.
        left = max(room - len(top) - 3, 0)
        workers = min(len(frame.workers), _WORKERS, max(left - 2 * _LEAST, 0))
        left -= workers
        failed = min(len(failures), max(left - len(running), left // 2))
        shares = min(len(running), left - failed), workers, failed
    body = top
    body += _table("RUNNING", running, shares[0], _RUNNING, look)
    body += _table("WORKERS", frame.workers, shares[1], _WORKER, look)
    body += _table("FAILED", failures, shares[2], _FAILED, look)
    return body


def _lanes(frame: Frame, look: Look) -> list[Text]:
    header = f"{'LANE':8}{'STATE':8}" + "".join(f"{name.upper():>8}" for name in _STATES)
    found = [Text(header + f"{'OLDEST':>8}{'IDLE':>6}", style="bold")]
    for row in frame.lanes:
        line = Text(f"{cell(row['lane']):8}")
        line.append(
            f"{'paused' if row['paused'] else 'open':8}",
            style="yellow" if row["paused"] else "green",
        )
        for name in _STATES:
            shown = _count(row, name)
            line.append(f"{shown:>8}", style="red" if name == "failed" and row[name] else "")
        line.append(f"{_age(row['oldest_due_s']):>8}{row['waiting']:>6}")
        if row["paused"]:
            line.append(
                f"  by {cell(row['changed_by'])}: {cell(row['reason'] or 'no reason')}", style="dim"
            )
        found.append(_marked(line, str(row["lane"]), look))
    return found


def _count(row: Row, name: str) -> str:
    if name not in row["capped"]:
        return str(row[name])
    estimate = row["estimates"].get(name)
    if estimate is None:
        return f"{row[name]}+"
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if estimate >= size * 10:
            return f"~{estimate / size:.0f}{unit}"
    return f"~{estimate}"


def _rates(frame: Frame) -> Text:
    line = Text("rate/s", style="bold")
    for name, value in frame.rates.items():
        shown = "-" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"
        line.append(f"  {name} {shown}", style="")
    wait, longest = frame.waits["p50_s"], frame.waits["max_s"]
    if wait is not None:
        line.append(f"   waited {_age(wait)}, most {_age(longest)}", style="")
    return line


Columns = Sequence[tuple[str, int, Callable[[Row], str]]]


def _progress(row: Row) -> str:
    told = row.get("progress")
    if not told:
        return ""
    done, total, message = told["done"], told["total"], told["message"]
    if done is not None and total:
        shown = f"{done / total:4.0%}"
    else:
        shown = "" if done is None else f"{done:g}"
    return f"{shown} {message or ''}".strip() + "  "


# A negative width is right-aligned, and the last column takes what is left.
_RUNNING: Columns = (
    ("TASK", 37, lambda r: str(r["id"])),
    ("TYPE", 11, lambda r: r["type"]),
    ("TRY", -3, lambda r: str(r["attempt"])),
    ("FOR", -6, lambda r: _age(r["run_s"])),
    ("BEAT", -6, lambda r: _age(r["lease_age_s"])),
    ("  OWNER", 0, lambda r: f"  {_progress(r)}{r['owner']}"),
)
_WORKER: Columns = (
    ("WORKER", 37, lambda r: r["owner"]),
    ("RUNNING", -11, lambda r: str(r["running"])),
    ("BEAT", -9, lambda r: _age(r["beat_s"])),
    ("LEASE", -8, lambda r: _age(r["lease_left_s"])),
    ("  IDLE", 0, lambda r: f"  {_age(r['idle_s'])}"),
)
_FAILED: Columns = (
    ("TASK", 37, lambda r: str(r["id"])),
    ("TYPE", 11, lambda r: r["type"]),
    ("TRY", -3, lambda r: str(r["attempt"])),
    ("AGO", -6, lambda r: _age(r["ago_s"])),
    ("  ERROR", 0, lambda r: f"  {r['error'] or ''}"),
)


def _table(title: str, rows: Sequence[Row], count: int, columns: Columns, look: Look) -> list[Text]:
    """Write a heading and as many rows as there is room for, around the selected one."""
    chosen = next((i for i, r in enumerate(rows) if str(r.get("id")) == look.selected), 0)
    first = max(0, min(chosen - count + 1, len(rows) - count)) if chosen >= count else 0
    more = f" ({len(rows)})" if len(rows) > count else ""
    heads = [(title + more if i == 0 else name) for i, (name, _, _) in enumerate(columns)]
    found = [
        Text("".join(_fitted(h, c[1]) for h, c in zip(heads, columns, strict=True)), style="bold")
    ]
    for row in rows[first : first + count]:
        line = Text("".join(_fitted(cell(get(row)), width) for _, width, get in columns))
        found.append(_marked(line, str(row.get("id", "")), look))
    return found


def _fitted(text: str, width: int) -> str:
    if width == 0:
        return text
    size = abs(width)
    if width < 0:
        return " " * max(size - cell_len(text), 0) + text
    return set_cell_size(text, size - 1) + " "


def _marked(line: Text, key: str, look: Look) -> Text:
    if not look.plain and key and key == look.selected:
        line.stylize("reverse")
    return line


def _filtered(rows: Sequence[Row], look: Look) -> list[Row]:
    return [row for row in rows if str(row["type"]).startswith(look.filter)]


def _age(value: float | None) -> str:
    return "-" if value is None else seconds(max(value, 0.0))
