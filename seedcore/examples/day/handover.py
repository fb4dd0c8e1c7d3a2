"""The hand-over at the end of a shift, written when everything that it speaks of is done."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from seedcore.agent import tool

_LONG_OPEN_MINUTES = 60


class Entry(TypedDict):
    """A line of the shift's log."""

    at: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
    category: str
    room: str | None
    text: str
    open_minutes: Annotated[int, Field(ge=0)] | None


class Report(TypedDict):
    """The hand-over."""

    title: str
    markdown: str
    entries: int
    open: int
    overdue: list[str]


@tool("shift.report", timeout_s=20, handles=["handover"])
def report(shift: str, entries: list[Entry], next_shift: str = "the next shift") -> Report:
    """Write the hand-over of a shift.

    Args:
        shift: The shift, for the title.
        entries: What happened; `open_minutes` is null for what is done.
        next_shift: Who reads it.
    """
    entries = sorted(entries, key=lambda entry: entry["at"])
    pending = [entry for entry in entries if entry["open_minutes"] is not None]
    overdue = [entry for entry in pending if (entry["open_minutes"] or 0) >= _LONG_OPEN_MINUTES]
    counts = Counter(entry["category"] for entry in entries)
    rooms = Counter(entry["room"] for entry in entries if entry["room"])
    lines = [f"# Hand-over: {shift}", "", f"{len(entries)} entries, {len(pending)} still open.", ""]
    lines += [
        f"- {category}: {count}"
        for category, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    repeated = sorted(room for room, count in rooms.items() if count > 1)
    if repeated:
        lines += ["", f"Rooms with more than one entry: {', '.join(repeated)}."]
    if pending:
        lines += ["", f"## Open, for {next_shift}", ""]
        lines += [_line(entry) for entry in pending]
    return {
        "title": f"Hand-over: {shift}",
        "markdown": "\n".join(lines) + "\n",
        "entries": len(entries),
        "open": len(pending),
        "overdue": [entry["text"] for entry in overdue],
    }


def _line(entry: Entry) -> str:
    where = f"{entry['room']}: " if entry["room"] else ""
    late = " **overdue**" if (entry["open_minutes"] or 0) >= _LONG_OPEN_MINUTES else ""
    return f"- {entry['at']} {where}{entry['text']} ({entry['open_minutes']} min){late}"
