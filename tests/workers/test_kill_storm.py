"""kill -9 again and again: the short form of `scripts/kill-storm`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.program import Program
from tests.workers.conftest import ROOT


@pytest.mark.slow
def test_every_task_completes_exactly_once_however_often_its_worker_is_killed(
    seedcore: Program, database_url: str
) -> None:
    ended = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "kill-storm"), "--tasks", "1500", "--kills", "5"],
        env=seedcore.environment({"SEEDCORE_DATABASE_URL": database_url}),
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "every task completed exactly once" in ended.stdout
    assert "5 kills" in ended.stdout
