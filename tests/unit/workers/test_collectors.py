"""What is counted plainly reads as if the library had counted it."""

from __future__ import annotations

from collections import Counter

import prometheus_client as library
from hypothesis import given, strategies as st

from workers.collectors import Counts, Distribution

BOUNDS = (0.001, 0.5, 1, 60)


@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from(["a", "b"]))))
def test_a_distribution_reads_like_the_library_s_histogram(values: list[tuple[float, str]]) -> None:
    ours, theirs = (library.CollectorRegistry(auto_describe=True) for _ in range(2))
    plain = Distribution("s_seconds", "T", buckets=BOUNDS, registry=ours)
    split = Distribution("d_seconds", "T", ("kind",), buckets=BOUNDS, registry=ours)
    library.disable_created_metrics()
    reference = library.Histogram("s_seconds", "T", buckets=BOUNDS, registry=theirs)
    parts = library.Histogram("d_seconds", "T", ("kind",), buckets=BOUNDS, registry=theirs)
    for value, kind in values:
        plain.observe(value)
        split.observe(value, kind)
        reference.observe(value)
        parts.labels(kind).observe(value)
    assert library.generate_latest(ours) == library.generate_latest(theirs)


def test_counts_are_those_of_the_moment() -> None:
    registry = library.CollectorRegistry()
    calls: Counter[str] = Counter()
    Counts("x_calls", "T", "outcome", calls, registry=registry)
    assert registry.get_sample_value("x_calls_total", {"outcome": "ok"}) is None
    calls["ok"] += 2
    assert registry.get_sample_value("x_calls_total", {"outcome": "ok"}) == 2
