#!/usr/bin/env python3
"""Measure the queue beside its peers and beside bare PostgreSQL.

    benchmarks/queue.py [--quick] [--only drain,submit] [--peers pgqueuer,graphile] [--big] [-o DIR]
    benchmarks/queue.py --write-docs DIR       put the results of an earlier run into docs/performance.md

Everything runs on one throw-away PostgreSQL, durable, on disk, each measurement in a fresh database. Each
peer is installed from its registry into an environment of its own below the cache folder; one that can't be
is named in the table with the reason. Contenders take turns, round by round. A round during which others
had more than a tenth of the machine is kept but doesn't count, and is repeated.

It writes DIR/results.json, DIR/results.md and, as SVG, DIR/*.svg (matplotlib has its own environment too).
A whole run takes about two hours; --quick takes under five minutes and says little about rates.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Not this file's folder: its name would hide the standard library's `queue`.
sys.path[0] = str(ROOT)

import argparse  # noqa: E402
import dataclasses  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import shutil  # noqa: E402
import signal  # noqa: E402
import subprocess  # noqa: E402
import time  # noqa: E402
from datetime import UTC, datetime  # noqa: E402
from typing import Any  # noqa: E402

PYTHON = ROOT / ".venv" / "bin" / "python"

try:
    from benchmarks.rig.contenders import Roster
except ModuleNotFoundError:
    if Path(sys.prefix) == PYTHON.parent.parent or not PYTHON.exists():
        raise
    os.execv(PYTHON, [str(PYTHON), __file__, *sys.argv[1:]])

from benchmarks.rig import report  # noqa: E402
from benchmarks.rig.machine import machine, python_peer  # noqa: E402
from benchmarks.rig.scenarios import SCENARIOS, run  # noqa: E402
from benchmarks.rig.sizes import BIG, FULL, QUICK, TINY, Sizes  # noqa: E402

PAGE = ROOT / "docs" / "performance.md"
IMAGES = ROOT / "docs" / "images"


def main() -> int:
    """Measure, or write down what was measured."""
    asked = arguments()
    if asked.write_docs:
        return write_docs(asked.write_docs)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        return measure(asked)
    except KeyboardInterrupt:
        say("interrupted; what is there is in " + str(asked.output))
        return 130


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="under five minutes")
    parser.add_argument("--tiny", action="store_true", help="only try whether everything works")
    parser.add_argument("--only", default="", help=f"some of {', '.join(SCENARIOS)}")
    parser.add_argument("--peers", default="all", help="names begin so; 'none' for none [all]")
    parser.add_argument("--rounds", type=int, help="instead of 5")
    parser.add_argument("--big", action="store_true", help="big tables of 10,000,000 rows")
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmark-results"))
    parser.add_argument("--write-docs", type=Path, metavar="DIR")
    asked = parser.parse_args()
    asked.only = [name for name in asked.only.split(",") if name] or list(SCENARIOS)
    unknown = set(asked.only) - set(SCENARIOS)
    if unknown:
        parser.error(
            f"unknown scenario {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}"
        )
    if asked.rounds is not None and asked.rounds < 1:
        parser.error("at least one round")
    return asked


def sizes_for(asked: argparse.Namespace) -> Sizes:
    """Return how much of everything is wanted."""
    sizes = TINY if asked.tiny else QUICK if asked.quick else FULL
    if asked.rounds:
        sizes = dataclasses.replace(sizes, rounds=asked.rounds)
    if asked.big:
        sizes = dataclasses.replace(sizes, backlog=BIG, finished=BIG)
    return sizes


def measure(asked: argparse.Namespace) -> int:
    """Run the scenarios; after each, what is known so far is on disk."""
    began = time.monotonic()
    wanted = [word for word in asked.peers.split(",") if word]
    sizes = sizes_for(asked)
    takes_peers = {"submit", "drain", "pickup"} & set(asked.only)
    roster = Roster()
    if takes_peers and wanted != ["none"]:
        roster = Roster.invite([] if wanted == ["all"] else wanted, say)
    asked.output.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["benchmarks/queue.py", *sys.argv[1:]]),
        "sizes": dataclasses.asdict(sizes),
        "skipped": roster.skipped,
        "results": [],
    }
    with machine() as server:
        document["machine"] = server.describe()
        for name in asked.only:
            results = run(name, server, sizes, roster, say)
            document["results"] += [result.document() for result in results]
            document["minutes"] = (time.monotonic() - began) / 60
            write(document, asked.output)
    draw(asked.output / "results.json", asked.output)
    print((asked.output / "results.md").read_text())
    return 0


def write(document: dict[str, Any], folder: Path) -> None:
    """Write the results as JSON and as Markdown."""
    (folder / "results.json").write_text(json.dumps(document, indent=1) + "\n")
    (folder / "results.md").write_text(report.markdown(document))


def draw(results: Path, folder: Path) -> bool:
    """Draw the plots; without matplotlib there are none, which is said."""
    try:
        python = python_peer("plots", "matplotlib==3.10.3")
    except RuntimeError as error:
        say(f"no plots: {error}")
        return False
    script = ROOT / "benchmarks" / "rig" / "plot.py"
    done = subprocess.run([python, script, results, folder], check=False)
    return done.returncode == 0


def write_docs(folder: Path) -> int:
    """Put tables and plots of a run into the documentation."""
    document = json.loads((folder / "results.json").read_text())
    page = PAGE.read_text(encoding="utf-8")
    page = report.put_between(page, "results", report.markdown(document))
    IMAGES.mkdir(exist_ok=True)
    draw(folder / "results.json", folder)
    plots = sorted(folder.glob("*.svg"))
    for plot in plots:
        shutil.copy(plot, IMAGES / plot.name)
    links = "\n\n".join(f"![{plot.stem}](images/{plot.name})" for plot in plots)
    PAGE.write_text(report.put_between(page, "plots", links or "None yet."), encoding="utf-8")
    say(f"wrote {PAGE.relative_to(ROOT)} and {len(plots)} plots")
    return 0


def say(text: str) -> None:
    """Tell how it is going."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
