"""Canaries as bars that move: `seedcore pkg canary status --watch`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from typing import Any

from seedcore.errors import WaitTimeout
from seedcore_cli.commands.pkg.columns import CANARIES, number
from seedcore_cli.humanize import seconds
from seedcore_cli.options import Cli
from seedcore_cli.screen import Screen

Row = dict[str, Any]

_INTERVAL_S = 1.0
_WIDTH = 40
_OVER = ("Succeeded", "Aborted")
_WORDS = {True: "ok", False: "missed", None: "open"}
_COLORS: dict[str | bool | None, int] = {
    "Succeeded": 32, "Promoting": 32, "Progressing": 32, "Waiting": 36, "Paused": 33, "Degraded": 31,
    "Aborted": 31, True: 32, False: 31, None: 36,
}  # fmt: skip


def follow(cli: Cli, read: Callable[[], list[Row]]) -> list[Row]:
    """Show canaries until none is under way, and return how they are then.

    Raises:
        WaitTimeout: The time of --timeout has passed.
    """
    end = None if cli.timeout_s is None else time.monotonic() + cli.timeout_s
    last: list[Row] = []

    def looks() -> Generator[list[Row]]:
        nonlocal last
        while True:
            last = read()
            yield last
            if all(row["phase"] in _OVER for row in last):
                return
            if end is not None and time.monotonic() >= end:
                raise WaitTimeout("a canary is still under way", code="pkg.wait_timeout")
            time.sleep(_INTERVAL_S if end is None else min(_INTERVAL_S, end - time.monotonic()))

    if cli.format in ("table", "wide") and sys.stdout.isatty():
        screen = Screen(sys.stdout)
        for rows in looks():
            with screen.frame() as frame:
                for line in picture(rows, color=cli.colored):
                    frame.write(line + "\n")
    else:
        cli.printer.stream(_changes(looks()), CANARIES)
    return last


def picture(rows: list[Row], *, color: bool = False) -> list[str]:
    """Draw canaries: a bar for the share of each lane with its steps as marks, a line for each gate.

    Args:
        rows: As `seedcore.pkg.canary.status` returns them.
        color: Whether words are coloured.
    """

    def paint(word: str, code: str | bool | None) -> str:
        return f"\x1b[{_COLORS[code]}m{word}\x1b[0m" if color else word

    lines: list[str] = []
    for row in rows:
        if lines:
            lines.append("")
        ends = f"{row['stable'] or 'nothing'} -> {row['version']}"
        lines.append(
            f"{row['target']} in {row['region']}  {ends}  {paint(row['phase'], row['phase'])}"
        )
        lines.append(f"  {_bar(row['percent'] or 0, row['percents'])} {row['percent'] or 0:3d} %")
        step = f"step {row['step']} of {row['steps']}"
        if row["wait_s"] and row["phase"] not in _OVER:
            step += f", for another {seconds(row['wait_s'])}"
        if row["fails"]:
            step += f", missed {row['fails']} of {row['max_fail']}"
        lines.append(f"  {step}{', automatic' if row['automatic'] else ''}")
        for gate in row["gates"] or ():
            sign = gate.get("operator") or "of"
            text = f"{gate['gate']:<17} {number(gate['value']):>8} {sign} {gate['threshold']:g}"
            samples = f"  {gate['samples']} evaluations" if "samples" in gate else ""
            lines.append(
                f"    {_gauge(gate)} {text}  {paint(_WORDS[gate['passed']], gate['passed'])}{samples}"
            )
        if row["message"]:
            lines.append(f"  {row['message']}")
    return lines or ["no canary is under way"]


def _bar(percent: int, steps: list[int] | None) -> str:
    """Draw a share, with a mark where each step ends."""
    cells = ["█" if place < percent * _WIDTH // 100 else "░" for place in range(_WIDTH)]
    for step in steps or ():
        if step > percent:
            cells[max(step * _WIDTH // 100 - 1, 0)] = "▏"
    if percent and cells[0] != "█":
        cells[0] = "▌"
    return "".join(cells)


def _gauge(gate: Row) -> str:
    """Draw how much of its threshold a value has used up; full is at the threshold or past it."""
    value, threshold = gate["value"], gate["threshold"]
    if value is None:
        return "·" * 10
    share = value / threshold if threshold else (0.0 if value == 0 else 1.0)
    full = round(max(0.0, min(share, 1.0)) * 10)
    return "■" * full + "□" * (10 - full)


def _changes(looks: Generator[list[Row]]) -> Generator[Row]:
    """Yield each canary as it is, and again whenever its step, its phase or a gate has changed."""
    before: dict[int, Any] = {}
    for rows in looks:
        for row in rows:
            gates = [(gate["gate"], gate["passed"]) for gate in row["gates"] or ()]
            now = (row["phase"], row["percent"], row["fails"], row["message"], gates)
            if before.get(row["plan"]) != now:
                before[row["plan"]] = now
                yield row
