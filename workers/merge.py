"""One page of metrics from several processes: what counts is added, what states is kept once."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.parser import text_string_to_metric_families

_STATES = ("_info", "_timestamp_seconds", "_age_seconds")
"""Endings of metrics of which the greatest is meant, not the sum."""

Key = tuple[str, tuple[tuple[str, str], ...]]


class Page:
    """Families in the order of their first appearance, with summed samples."""

    def __init__(self) -> None:
        self._families: dict[str, tuple[str, str]] = {}
        self._samples: dict[str, dict[Key, float]] = {}

    def add(self, text: str, *, only_counts: bool = False) -> None:
        """Add one process' page.

        Args:
            text: In Prometheus' text format.
            only_counts: Leave gauges out: the process is gone, what it counted is not.
        """
        for family in text_string_to_metric_families(text):
            if only_counts and family.type not in ("counter", "histogram"):
                continue
            self._families.setdefault(family.name, (family.type, family.documentation))
            samples = self._samples.setdefault(family.name, {})
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                value = float(sample.value)
                if family.name.endswith(_STATES):
                    samples[key] = max(samples.get(key, value), value)
                else:
                    samples[key] = samples.get(key, 0.0) + value

    def render(self) -> str:
        """Return the page in Prometheus' text format."""
        lines: list[str] = []
        for name, (kind, text) in self._families.items():
            # The parser takes the ending of counters away.
            shown = f"{name}_total" if kind == "counter" else name
            lines += [f"# HELP {shown} {_escaped(text)}", f"# TYPE {shown} {kind}"]
            for (sample, labels), value in self._samples[name].items():
                pairs = ",".join(f'{label}="{_quoted(given)}"' for label, given in labels)
                lines.append(f"{sample}{{{pairs}}} {value!r}" if pairs else f"{sample} {value!r}")
        return "\n".join(lines) + "\n"


def total(pages: Iterable[str], ended: Iterable[str] = ()) -> str:
    """Return the page that stands for all.

    Args:
        pages: Of running processes.
        ended: Last pages of processes that are gone.
    """
    page = Page()
    for text in pages:
        page.add(text)
    for text in ended:
        page.add(text, only_counts=True)
    return page.render()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')
