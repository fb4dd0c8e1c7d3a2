"""The benchmark's report: every scenario has a table, marks are judged, markers are filled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import retrieval
from benchmarks.rig import report
from benchmarks.rig.scenarios import SCENARIOS, Result, Sample

ROOT = Path(__file__).parents[2]


def _document(*results: Result) -> dict[str, Any]:
    return {
        "at": "2026-01-02T03:04:05+00:00",
        "command": "benchmarks/queue.py",
        "minutes": 3.0,
        "sizes": {"rounds": 3},
        "machine": {
            "cores": 2,
            "processor": "x",
            "python": "3.11",
            "postgresql": {"server_version": "18", "fsync": "on"},
        },
        "skipped": {"pg-boss": "Node is not installed"},
        "results": [result.document() for result in results],
    }


def _drained(name: str, *rates: tuple[float, bool]) -> Result:
    samples = [Sample(n, {"per_s": rate}, 0.5, noisy) for n, (rate, noisy) in enumerate(rates)]
    return Result("drain", name, samples)


def test_every_scenario_has_a_title_and_columns() -> None:
    assert set(SCENARIOS) == set(report.TITLES) == set(report.COLUMNS)


def test_noisy_rounds_do_not_count_and_marks_are_judged() -> None:
    ours = _drained("SeedCore", (3000, False), (1, True), (3100, False), (3200, False))
    peer = _drained("PgQueuer asyncpg", (1000, False))
    loud = _drained("Chancy", (7, True))
    text = report.markdown(_document(ours, peer, loud))
    assert "| SeedCore | 3,100 | 3 |" in text
    assert "| Chancy | 7 | 1, all noisy |" in text
    assert "| 1 | drain, default ≥ 2 times PgQueuer asyncpg | 3.10 | reached |" in text
    assert "- pg-boss: Node is not installed" in text


def test_what_failed_is_named() -> None:
    broken = Result("wal", "throughput profile", error="no such command")
    text = report.markdown(_document(broken))
    assert "- throughput profile in wal per task: no such command" in text


def test_text_goes_between_the_markers_of_the_page() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    changed = report.put_between(report.put_between(page, "results", "new"), "plots", "![x](x.svg)")
    assert "<!-- results: begin -->\n\nnew\n\n<!-- results: end -->" in changed
    with pytest.raises(ValueError, match="no markers"):
        report.put_between("nothing", "results", "new")


def test_ranks_are_judged_as_the_literature_does() -> None:
    relevant = {"a": 1.0, "b": 1.0, "c": 1.0}
    # (1 + 1 / log2 4) / (1 + 1 / log2 3 + 1 / log2 4)
    assert retrieval.ndcg(["a", "x", "b"], relevant) == pytest.approx(1.5 / (1.5 + 0.6309298))
    assert retrieval.ndcg(["a", "b", "c"], relevant) == 1
    assert retrieval.recall(["x", "a", "b"], relevant, 2) == pytest.approx(1 / 3)
    assert retrieval.interval([0.5] * 10, rounds=40) == (0.5, 0.5)
