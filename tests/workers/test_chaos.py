"""Every fault for a moment, over real workers and a server of their own: `scripts/chaos --quick`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workers.conftest import ROOT

FAULTS = ["kill", "freeze", "crash", "terminate", "exhaust", "clock", "delay", "drop", "cut"]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_nothing_is_lost_and_no_late_result_accepted_under_any_fault(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, ROOT / "scripts" / "chaos", "--quick", "-o", "json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=230,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(ended.stdout)
    assert found["verdict"] == "sound"
    assert [outcome["fault"] for outcome in found["faults"]] == FAULTS
    # A zombie of the storm's own sends late results for certain; all of them were refused.
    assert found["faults"][1]["late_refused"] >= 1
    # Some work was cut off and done again, so there was something to get wrong.
    assert found["executions"] > found["tasks"] - found["statuses"]["cancelled"] > 0
