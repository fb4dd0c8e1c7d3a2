"""The drawing of the life cycle shows the moves that the program knows, and no others."""

from __future__ import annotations

import re
from pathlib import Path

from seedcore.task.model import NEXT, TaskStatus

PAGE = Path(__file__).parents[2] / "docs/concepts/task-life-cycle.md"


def test_the_drawing_is_the_life_cycle() -> None:
    drawn = re.findall(r"^    (\w+) --> (\w+):", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == {(str(old), str(new)) for old in TaskStatus for new in NEXT[old]}
