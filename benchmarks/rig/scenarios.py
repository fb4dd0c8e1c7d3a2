"""All scenarios, and how they are run: interleaved rounds, noisy ones measured again."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg

from benchmarks.rig import alone, beside
from benchmarks.rig.contenders import Entry, Figures, Roster
from benchmarks.rig.machine import Machine
from benchmarks.rig.noise import LIMIT
from benchmarks.rig.sizes import Sizes

Scenario = Callable[[Machine, Sizes, Roster], list[Entry]]

SCENARIOS: dict[str, Scenario] = {
    "submit": beside.submit,
    "drain": beside.drain,
    "pickup": beside.pickup,
    "snapshot": alone.snapshot,
    "big": alone.big,
    "submitters": alone.submitters,
    "idle": alone.idle,
    "memory": alone.memory,
    "wal": alone.wal,
}


@dataclass
class Sample:
    """One measurement."""

    round: int
    figures: Figures
    foreign: float
    is_noisy: bool


@dataclass
class Result:
    """What was found about one contender in one scenario.

    Attributes:
        scenario: Name of the scenario.
        contender: Name of the contender.
        samples: Every measurement, noisy ones included.
        error: Why there is none, or none any more.
    """

    scenario: str
    contender: str
    samples: list[Sample] = field(default_factory=list[Sample])
    error: str | None = None

    @property
    def quiet(self) -> list[Sample]:
        """The measurements that count."""
        return [sample for sample in self.samples if not sample.is_noisy]

    @property
    def is_noisy(self) -> bool:
        """Whether there was no quiet round, so that the figures are of noisy ones."""
        return bool(self.samples) and not self.quiet

    def medians(self) -> Figures:
        """Return the median of each figure."""
        counted = self.quiet or self.samples
        names = counted[0].figures if counted else {}
        return {
            name: statistics.median(sample.figures[name] for sample in counted) for name in names
        }

    def document(self) -> dict[str, Any]:
        """Return it for the JSON file."""
        return {**asdict(self), "medians": self.medians(), "is_noisy": self.is_noisy}


def run(
    name: str, machine: Machine, sizes: Sizes, roster: Roster, say: Callable[[str], None]
) -> list[Result]:
    """Run a scenario: each contender once a round, in turn, until each has its quiet rounds.

    A noisy round is kept, marked, and repeated; after twice the rounds what there is has to do. A run of one
    round repeats nothing.
    """
    entries = SCENARIOS[name](machine, sizes, roster)
    results = {entry.name: Result(name, entry.name) for entry in entries}
    for number in range(1, 2 * sizes.rounds + 1):
        for entry in entries:
            result = results[entry.name]
            wanted = 1 if entry.once else sizes.rounds
            tries = wanted if sizes.rounds == 1 else 2 * wanted
            if result.error or len(result.quiet) >= wanted or len(result.samples) >= tries:
                continue
            _measure(entry, result, number, machine)
            say(_told(result))
    return list(results.values())


def _measure(entry: Entry, result: Result, number: int, machine: Machine) -> None:
    meter = machine.meter()
    try:
        figures = entry.run()
    except (RuntimeError, OSError, psycopg.Error) as error:
        result.error = " ".join(str(error).split())
        return
    foreign = meter.foreign()
    result.samples.append(Sample(number, figures, round(foreign, 3), foreign > LIMIT))


def _told(result: Result) -> str:
    if result.error:
        return f"{result.scenario:10} {result.contender}: skipped, {result.error}"
    last = result.samples[-1]
    figures = ", ".join(f"{name} {value:,.4g}" for name, value in last.figures.items())
    noise = f"  (others had {last.foreign:.0%} of the machine)" if last.is_noisy else ""
    return f"{result.scenario:10} {result.contender}: {figures}{noise}"
