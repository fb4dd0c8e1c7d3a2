"""Numbers that are counted for every task, kept plainly and put into Prometheus' form when read.

The library's own counters and histograms take a lock and walk the buckets for each value. Here one
event loop counts and the same loop reads, so a list and a bisection do.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector


class Distribution(Collector):
    """A histogram.

    Args:
        name: Its name, with the unit.
        text: What it tells.
        labels: Names of its labels; none = one series, there from the start.
        buckets: Upper bounds, rising, without infinity.
        registry: Where it is read.
    """

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str] = (),
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name = name
        self._text = text
        self._labels = labels
        self._bounds = tuple(float(bound) for bound in buckets)
        self._shown = [*map(repr, self._bounds), "+Inf"]
        self._series: dict[tuple[str, ...], tuple[list[int], list[float]]] = {}
        if not labels:
            self._new(())
        registry.register(self)

    def observe(self, value: float, *labels: str) -> None:
        """Count one value in the series of these label values."""
        counts, total = self._series.get(labels) or self._new(labels)
        counts[bisect_left(self._bounds, value)] += 1
        total[0] += value

    def _new(self, labels: tuple[str, ...]) -> tuple[list[int], list[float]]:
        return self._series.setdefault(labels, ([0] * len(self._shown), [0.0]))

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Return every series, for Prometheus."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for labels, (counts, total) in self._series.items():
            reached, buckets = 0, list[tuple[str, float]]()
            for bound, count in zip(self._shown, counts, strict=True):
                reached += count
                buckets.append((bound, reached))
            family.add_metric(labels, buckets, sum_value=total[0])
        yield family


class Counts(Collector):
    """A counter with one label, whose values somebody else counts.

    Args:
        name: Its name, without `_total`.
        text: What it tells.
        label: Name of the label.
        counts: Label value → count; read, never written.
        registry: Where it is read.
    """

    def __init__(
        self,
        name: str,
        text: str,
        label: str,
        counts: Mapping[str, int],
        *,
        registry: CollectorRegistry,
    ) -> None:
        self._name = name
        self._text = text
        self._label = label
        self._counts = counts
        registry.register(self)

    def collect(self) -> Iterable[CounterMetricFamily]:
        """Return the counts, for Prometheus."""
        family = CounterMetricFamily(self._name, self._text, labels=[self._label])
        for value, count in self._counts.items():
            family.add_metric([value], count)
        yield family
