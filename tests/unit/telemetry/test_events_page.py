"""Every event in the code is explained on its page, and the page explains nothing that is gone."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
IN_CODE = re.compile(r"""["']event["']: ["']([a-z_.]+)["']|\bevent=["']([a-z_.]+)["']""")
ON_PAGE = re.compile(r"^\| `([a-z_.]+)` \|", re.MULTILINE)


def test_the_page_and_the_code_know_the_same_events() -> None:
    used: set[str] = set()
    for package in ("seedcore", "seedcore_cli", "workers"):
        for path in (ROOT / package).rglob("*.py"):
            for found in IN_CODE.finditer(path.read_text(encoding="utf-8")):
                used.add(found[1] or found[2])
    page = (ROOT / "docs" / "reference" / "events.md").read_text(encoding="utf-8")
    explained = ON_PAGE.findall(page)

    assert used == set(explained)
    assert len(explained) == len(set(explained))
