"""What was found, as Markdown: a table for each scenario, the marks, and what was left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Document = dict[str, Any]
Medians = dict[str, dict[str, float]]

TITLES = {
    "submit": ("Submitting", "tasks per second"),
    "drain": ("Draining no-op tasks", "one process unless said otherwise, tasks per second"),
    "pickup": ("Pickup from an idle queue", "milliseconds until the tool runs"),
    "snapshot": ("Draining while a snapshot is held", "ten slices of the drain, tasks per second"),
    "big": ("Big tables", ""),
    "submitters": ("Sixteen submitters", "while a worker drains, tasks per second"),
    "idle": ("An idle worker", ""),
    "memory": ("A worker's memory", "peak resident size in the first and the last tenth"),
    "wal": ("WAL per task", "claim and completion, without full-page images"),
}
COLUMNS: dict[str, list[tuple[str, str, str]]] = {
    "submit": [
        ("single_per_s", "one by one", ",.0f"), ("batch_per_s", "batches of 1,000", ",.0f"),
        ("copy_per_s", "bulk", ",.0f"),
    ],
    "drain": [("per_s", "per second", ",.0f")],
    "pickup": [
        ("p50_ms", "p50", ".1f"), ("p99_ms", "p99", ".1f"), ("call_p50_ms", "p50 from the call", ".1f"),
    ],
    "snapshot": [
        ("slice_1_per_s", "first slice", ",.0f"), ("slice_10_per_s", "last slice", ",.0f"),
        ("last_to_first", "last : first", ".2f"),
    ],
    "big": [
        ("claim_100_ms", "claim of 100, ms", ".2f"), ("per_s", "drain, per second", ",.0f"),
        ("small_per_s", "small table, per second", ",.0f"), ("to_small", "big : small", ".2f"),
    ],
    "submitters": [("per_s", "per second", ",.0f")],
    "idle": [
        ("transactions_per_s", "transactions per second", ".2f"), ("cpu_percent", "of a core, %", ".2f"),
    ],
    "memory": [
        ("first_mb", "first tenth, MB", ".1f"), ("last_mb", "last tenth, MB", ".1f"),
        ("last_to_first", "last : first", ".2f"),
    ],
    "wal": [("bytes_per_task", "bytes per task", ",.0f"), ("dead_to_live", "dead : live rows", ".2f")],
}  # fmt: skip
OURS = ("SeedCore", "bare", "wake-ups", "no events", "events", "throughput")


def markdown(found: Document) -> str:
    """Return all of it."""
    parts = [_made(found), _marks(found)]
    for name in TITLES:
        results = [r for r in found["results"] if r["scenario"] == name]
        if results:
            parts.append(_table(name, results))
    left_out = [f"- {name}: {why}" for name, why in sorted(found["skipped"].items())]
    left_out += [
        f"- {r['contender']} in {TITLES[r['scenario']][0].lower()}: {r['error']}"
        for r in found["results"]
        if r["error"]
    ]
    if left_out:
        parts.append("**Left out**\n\n" + "\n".join(left_out))
    return "\n\n".join(parts) + "\n"


def _made(found: Document) -> str:
    machine, sizes = found["machine"], found["sizes"]
    settings = ", ".join(
        f"`{k} = {v}`" for k, v in machine["postgresql"].items() if k != "server_version"
    )
    return (
        f"Measured {found['at'][:10]} with `{found['command']}` in {found['minutes']:.0f} minutes:"
        f" {machine['cores']} cores ({machine['processor']}), Python {machine['python']},"
        f" PostgreSQL {machine['postgresql']['server_version']} on a Unix socket, {settings}."
        f" Medians of {sizes['rounds']} interleaved round{'s' * (sizes['rounds'] != 1)}."
    )


def _table(name: str, results: list[Document]) -> str:
    title, unit = TITLES[name]
    columns = COLUMNS[name]
    lines = [
        f"**{title}**" + (f" ({unit})" if unit else ""),
        "",
        "| contender | " + " | ".join(title for _, title, _ in columns) + " | rounds |",
        "|---|" + "---:|" * (len(columns) + 1),
    ]
    for result in results:
        if result["error"] and not result["samples"]:
            continue
        medians = result["medians"]
        cells = [format(medians[key], spec) if key in medians else "-" for key, _, spec in columns]
        quiet = sum(not sample["is_noisy"] for sample in result["samples"])
        rounds = f"{len(result['samples'])}, all noisy" if result["is_noisy"] else str(quiet)
        lines.append(f"| {result['contender']} | {' | '.join(cells)} | {rounds} |")
    return "\n".join(lines)


def medians_of(found: Document, scenario: str) -> Medians:
    """Return contender → medians of a scenario."""
    return {
        r["contender"]: r["medians"]
        for r in found["results"]
        if r["scenario"] == scenario and r["medians"]
    }


def _marks(found: Document) -> str:
    rows = [row for mark in MARKS if (row := _mark(mark, found)) is not None]
    head = "| mark | wanted | found | |\n|---|---|---:|---|"
    return "\n".join([head, *rows]) if rows else "No mark was measured."


Mark = tuple[str, str, Callable[[Document], float], float, bool]
"""Name, what is wanted, the figure, its limit, whether more is better."""


def _mark(mark: Mark, found: Document) -> str | None:
    name, wanted, figure, limit, is_more = mark
    try:
        value = figure(found)
    except (KeyError, ValueError, ZeroDivisionError):
        return None
    is_reached = value >= limit if is_more else value <= limit
    return f"| {name} | {wanted} | {value:,.2f} | {'reached' if is_reached else 'missed'} |"


def _get(scenario: str, contender: str, key: str) -> Callable[[Document], float]:
    return lambda found: medians_of(found, scenario)[contender][key]


def _ratio(scenario: str, ours: str, other: str, key: str) -> Callable[[Document], float]:
    def value(found: Document) -> float:
        medians = medians_of(found, scenario)
        return medians[ours][key] / medians[other][key]

    return value


def _to_best(scenario: str, ours: str, key: str, peer_key: str = "") -> Callable[[Document], float]:
    """Ours by the best peer's."""

    def value(found: Document) -> float:
        medians = medians_of(found, scenario)
        peers = [
            m[peer_key or key]
            for name, m in medians.items()
            if not name.startswith(OURS) and (peer_key or key) in m
        ]
        return medians[ours][key] / max(peers)

    return value


BARE_TUNED = "bare loop on our table, tuned, 2 connections"
TUNED_2 = "SeedCore tuned, 2 processes"
FULL = "SeedCore, keys and outbox"
BARE = "bare INSERT, two indexes"

MARKS: list[Mark] = [
    ("first", "drain, default ≥ PgQueuer asyncpg", _ratio("drain", "SeedCore", "PgQueuer asyncpg", "per_s"), 1, True),
    ("1", "drain, default ≥ 2 times PgQueuer asyncpg", _ratio("drain", "SeedCore", "PgQueuer asyncpg", "per_s"), 2, True),
    ("2", "drain, tuned ≥ Graphile Worker tuned", _ratio("drain", TUNED_2, "Graphile Worker tuned", "per_s"), 1, True),
    ("2", "drain, tuned ≥ 0.5 of the bare loop on our table", _ratio("drain", TUNED_2, BARE_TUNED, "per_s"), 0.5, True),
    ("3", "single ≥ the best peer", _to_best("submit", "SeedCore", "single_per_s"), 1, True),
    ("3", "single ≥ 0.75 of a bare INSERT", _ratio("submit", "SeedCore", BARE, "single_per_s"), 0.75, True),
    ("3", "batch with ids ≥ 0.6 of bare", _ratio("submit", "SeedCore", BARE, "batch_per_s"), 0.6, True),
    ("3", "bulk ≥ 0.5 of a bare COPY", _ratio("submit", "SeedCore", BARE, "copy_per_s"), 0.5, True),
    ("3", "bulk ≥ 3 times the best peer's batches", _to_best("submit", "SeedCore", "copy_per_s", "batch_per_s"), 3, True),
    ("3", "single with key and outbox ≥ half", _ratio("submit", FULL, "SeedCore", "single_per_s"), 0.5, True),
    ("3", "batch with keys and outbox ≥ half", _ratio("submit", FULL, "SeedCore", "batch_per_s"), 0.5, True),
    ("3", "bulk with keys and outbox ≥ half", _ratio("submit", FULL, "SeedCore", "copy_per_s"), 0.5, True),
    ("4", "pickup p50 ≤ 2 ms", _get("pickup", "SeedCore", "p50_ms"), 2, False),
    ("4", "pickup p99 ≤ 4 ms", _get("pickup", "SeedCore", "p99_ms"), 4, False),
    ("4", "poll only: p99 ≤ poll + 5 ms", _get("pickup", "SeedCore, poll only, 0.25 s", "p99_ms"), 255, False),
    ("5", "held snapshot, one priority: last ≥ 0.9 of first", _get("snapshot", "SeedCore, one priority", "last_to_first"), 0.9, True),
    ("5", "held snapshot, three priorities", _get("snapshot", "SeedCore, three priorities", "last_to_first"), 0.9, True),
    ("6", "claim of 100 in a big table ≤ 1.5 ms", _get("big", "SeedCore", "claim_100_ms"), 1.5, False),
    ("6", "big drain ≥ 0.8 of the small", _get("big", "SeedCore", "to_small"), 0.8, True),
    ("7", "16 submitters: wake-ups on ≥ 0.9 of off", _ratio("submitters", "wake-ups on", "wake-ups off", "per_s"), 0.9, True),
    ("9", "idle worker ≤ 1 transaction/s", _get("idle", "SeedCore", "transactions_per_s"), 1, False),
    ("10", "WAL without events ≤ 1,400 bytes", _get("wal", "no events", "bytes_per_task"), 1_400, False),
    ("10", "WAL with all events ≤ 2,100 bytes", _get("wal", "events all", "bytes_per_task"), 2_100, False),
    ("10", "WAL in the throughput profile ≤ 800 bytes", _get("wal", "throughput profile", "bytes_per_task"), 800, False),
    ("memory", "last tenth ≤ 1.1 of the first", _get("memory", "SeedCore", "last_to_first"), 1.1, False),
]  # fmt: skip


def put_between(page: str, name: str, text: str) -> str:
    """Return a page with new text between the markers of this name.

    Raises:
        ValueError: The page has no such markers.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the page has no markers {begin} and {end}")
    return f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}"
