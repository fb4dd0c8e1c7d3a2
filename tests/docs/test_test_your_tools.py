"""Follow docs/how-to/test-your-tools.md: its files, run as a user's own suite."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import seedcore.testing

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "test-your-tools.md"
BLOCK = re.compile(r"^```python file=(\S+)( append)?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_the_suite_on_the_page_passes(
    server_url: str, template_database: str, tmp_path: Path
) -> None:
    for name, append, body in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        with (tmp_path / name).open("a" if append else "w", encoding="utf-8") as file:
            file.write(f"\n\n{body}" if append else body)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:asyncio",
            "-W",
            "error",
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "SEEDCORE_TEST_DATABASE_URL": server_url,
            "SEEDCORE_TEST_TEMPLATE": template_database,
            "HOME": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=55,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert re.search(r"^5 passed", done.stdout, re.MULTILINE)


def test_every_helper_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in seedcore.testing.__all__ if f"`{name}" not in text] == []
