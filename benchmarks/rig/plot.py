"""Draw a results file; runs in an environment of its own that has matplotlib and not us.

Arguments: results.json, the folder for the images.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "seedcore"

from matplotlib import pyplot  # noqa: E402 - after the choice of the back end

OURS, BARE, PEER = "#1f6f8b", "#99a8b2", "#d9a441"


def colour(name: str) -> str:
    """Ours, bare PostgreSQL, or a peer."""
    return OURS if name.startswith("SeedCore") else BARE if name.startswith("bare") else PEER


def bars(results: list[dict[str, Any]], key: str, title: str, path: Path, *, log: bool) -> None:
    """Draw one figure of every contender."""
    shown = [(r["contender"], r["medians"][key]) for r in results if key in r["medians"]]
    if not shown:
        return
    shown.sort(key=lambda pair: pair[1])
    figure, axes = pyplot.subplots(figsize=(8, 0.6 + 0.32 * len(shown)))
    names = [name for name, _ in shown]
    drawn = axes.barh(names, [value for _, value in shown], color=[colour(n) for n in names])
    axes.bar_label(
        drawn, fmt=lambda rate: f"{rate:,.{0 if rate >= 100 else 1}f}", padding=3, fontsize=8
    )
    axes.set_title(title, fontsize=10, loc="left")
    axes.tick_params(labelsize=8)
    if log:
        axes.set_xscale("log")
    axes.margins(x=0.12)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def slices(results: list[dict[str, Any]], path: Path) -> None:
    """Draw the rate over a drain while a snapshot is held."""
    figure, axes = pyplot.subplots(figsize=(8, 3.5))
    for result in results:
        medians = result["medians"]
        rates = [medians[f"slice_{n}_per_s"] for n in range(1, 11) if f"slice_{n}_per_s" in medians]
        if rates:
            axes.plot(
                range(1, len(rates) + 1),
                [r / rates[0] for r in rates],
                marker="o",
                label=result["contender"],
            )
    axes.set_ylim(bottom=0)
    axes.set_xlabel("tenth of the drain", fontsize=8)
    axes.set_title(
        "Rate while a snapshot is held, by that of the first tenth", fontsize=10, loc="left"
    )
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main() -> None:
    """Draw everything that the file has."""
    found = json.loads(Path(sys.argv[1]).read_text())
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)

    def of(scenario: str) -> list[dict[str, Any]]:
        return [r for r in found["results"] if r["scenario"] == scenario]

    bars(
        of("drain"),
        "per_s",
        "Draining no-op tasks, per second (log)",
        folder / "drain.svg",
        log=True,
    )
    bars(
        of("submit"),
        "single_per_s",
        "Submitting one by one, per second",
        folder / "submit-single.svg",
        log=False,
    )
    bars(
        of("submit"),
        "batch_per_s",
        "Submitting in batches of 1,000, per second",
        folder / "submit-batch.svg",
        log=False,
    )
    bars(
        of("pickup"),
        "p50_ms",
        "Pickup from an idle queue, p50 in ms (log)",
        folder / "pickup.svg",
        log=True,
    )
    if of("snapshot"):
        slices(of("snapshot"), folder / "snapshot.svg")


if __name__ == "__main__":
    main()
