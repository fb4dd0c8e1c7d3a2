"""`seedcore pkg eval`: what a policy decides on one input, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from seedcore.errors import CheckFailed
from seedcore_cli.commands.pkg.arguments import Env
from seedcore_cli.commands.pkg.group import app
from seedcore_cli.humanize import seconds
from seedcore_cli.options import Cli, common
from seedcore_cli.output import Column

DECIDED = (
    Column("snapshot", id=True),
    Column("engine"),
    Column("denied", colors={"True": "red"}),
    Column("subtasks"),
    Column("edges"),
    Column("rules"),
    Column("dropped_signals"),
    Column("duration_s", format=seconds),
)
TRACE = (
    Column("rule", id=True),
    Column("fired", colors={"True": "green"}),
    Column("condition"),
    Column("held", colors={"True": "green", "False": "yellow"}),
    Column("found"),
    Column("why"),
)

From = Annotated[
    Path | None,
    typer.Option("--from", metavar="DIR", help="The policy's folder, or a tar of it."),
]
OptionalVersion = Annotated[
    str | None,
    typer.Argument(
        metavar="[VERSION]", help="Version of a snapshot. Default: what the environment serves."
    ),
]


@app.command("eval")
@common
def evaluate(
    cli: Cli,
    version: OptionalVersion = None,
    *,
    source: From = None,
    given: Annotated[
        str,
        typer.Option(
            "--input", metavar="JSON", help="The input: JSON, @FILE, or - for standard input."
        ),
    ],
    env: Env = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show every rule with what its conditions found.")
    ] = False,
    fail_undefined: Annotated[
        bool, typer.Option("--fail-undefined", help="Exit with 3 when no rule fires.")
    ] = False,
) -> None:
    """Decide on one input, and change nothing.

    An input is an object with any of tags, signals, context, facts and memory. The policy is a stored
    snapshot, or a folder with --from, for which no database is needed.

    Examples:
      seedcore pkg eval v1 --input '{"tags": ["climate"], "signals": {"temperature": 31}}'
      seedcore pkg eval --from house --input @night.json --explain
      echo '{}' | seedcore pkg eval --from house --input - -o json

    Exit codes: 1 the engine failed; 2 the input is not what a policy takes; 3 the policy is invalid or
    damaged, or no rule fired and that was to fail; 4 there is no such snapshot or folder; 69 the
    engine is not installed.
    """
    from seedcore.pkg import sources
    from seedcore.pkg.engines.document import Input
    from seedcore.pkg.engines.loading import evaluator
    from seedcore_cli.params import read_json

    sources.only_one(version, source)
    document = Input.parse(read_json(given, "--input"))
    settings = cli.settings
    if source is not None:
        policy = sources.folder(source)
    else:
        with cli.connect() as conn:
            policy = sources.policy_of(
                conn, version, env=env.value if env else None, prefer=settings.pkg_env
            )
    engine = evaluator(policy, timeout_s=settings.pkg_timeout_s)
    try:
        decision = engine.evaluate(document, explain=explain)
    finally:
        engine.close()
    row = decision.document()
    label = policy.version or str(source or "")
    if cli.format in ("table", "wide", "tsv", "name"):
        cli.printer.one(_short(row, label, policy.engine.value), DECIDED)
        if explain and cli.format in ("table", "wide"):
            cli.printer.text("\nrules:\n")
            cli.printer.many(_trace(row), TRACE)
    else:
        row["snapshot"] = {
            "version": policy.version,
            "env": None if policy.env is None else policy.env.value,
            "id": None if policy.snapshot is None else policy.snapshot.id,
            "checksum": None if policy.snapshot is None else policy.snapshot.checksum,
            "engine": policy.engine.value,
        }
        if not explain:
            del row["trace"]
        cli.printer.one(row, [Column(key) for key in row])
    if fail_undefined and not decision.rules and not decision.subtasks and not decision.denied:
        raise CheckFailed("no rule fired", code="pkg.undecided")


def _short(row: dict[str, Any], label: str, engine: str) -> dict[str, Any]:
    return {
        "snapshot": label,
        "engine": engine,
        "denied": row["denied"],
        "subtasks": ", ".join(subtask["id"] for subtask in row["subtasks"]),
        "edges": ", ".join(f"{e['from']} -> {e['to']} ({e['type']})" for e in row["edges"]),
        "rules": ", ".join(rule["rule_name"] for rule in row["rules"]),
        "dropped_signals": ", ".join(row["dropped_signals"]),
        "duration_s": row["duration_ms"] / 1000,
    }


def _trace(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"rule": rule["rule_name"], "fired": rule["fired"], **condition}
        for rule in row["trace"]
        for condition in rule["conditions"] or [{"condition": "always", "held": True}]
    ]
