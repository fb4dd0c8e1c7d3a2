"""`seedcore tool`: the functions that tasks can call here, and a way to try one without a task."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedcore_cli.app import group
from seedcore_cli.options import Cli, common
from seedcore_cli.output import Column
from seedcore_cli.params import read_json

if TYPE_CHECKING:
    from seedcore.agent.executor import Outcome
    from seedcore.agent.registry import ToolRegistry

app = group("List the tools that tasks can call, and try them.")

_NAME = Column("name", id=True)
LIST = (
    _NAME,
    Column("origin"),
    Column("idempotent"),
    Column("timeout_s", align="right"),
    Column("handles", format=", ".join),
    Column("description", wide=True),
)
SHOW = (
    _NAME,
    Column("description"),
    Column("origin"),
    Column("idempotent"),
    Column("at_most_once"),
    Column("timeout_s"),
    Column("handles", format=", ".join),
    Column("is_async"),
    Column("override"),
    Column("schema"),
)
RUN = (Column("result"), Column("latency_ms", wide=True))


@app.command("list")
@common
def list_tools(cli: Cli) -> None:
    """Show every tool of this process and where each comes from.

    SeedCore's own come first into the process, then those of installed packages (entry points of the
    group seedcore.tools), then those of the modules named in SEEDCORE_PLUGINS.

    Example: SEEDCORE_PLUGINS=seedcore.examples.day seedcore tool list

    Exit codes: 78 a plugin can't be loaded, or two tools have one name.
    """
    cli.printer.many((tool.describe() for tool in _registry(cli)), LIST)


@app.command("show")
@common
def show(cli: Cli, name: Annotated[str, typer.Argument(help="The tool's name.")]) -> None:
    """Print what a tool promises, and the JSON Schema of its arguments.

    Example: seedcore tool show echo --output yaml

    Exit codes: 4 there is no such tool; 78 a plugin can't be loaded.
    """
    tool = _registry(cli).get(name)
    cli.printer.one(tool.describe(), SHOW)
    required = ", ".join(f'"{each}": …' for each in tool.schema.get("required", ()))
    cli.hint(f"seedcore tool run {name} --args '{{{required}}}'")


@app.command("run")
@common
def run(
    cli: Cli,
    name: Annotated[str, typer.Argument(help="The tool's name.")],
    *,
    args: Annotated[
        str,
        typer.Option(
            "--args", help="Its arguments: a JSON object, @FILE, or - for standard input."
        ),
    ] = "{}",
) -> None:
    """Call a tool here and now, without a task, with the checks that a worker makes.

    Arguments, grants, time-outs and the returned value are judged as in a worker. The database is
    used only if the tool itself uses it.

    Example: seedcore tool run echo --args '{"value": "hello"}'

    Exit codes: 1 the tool failed; 2 the arguments don't fit its schema; 4 there is no such tool;
    6 it took longer than --timeout; 78 a plugin can't be loaded.
    """
    given = read_json(args, "--args")
    registry = _registry(cli)
    registry.get(name)
    with _tracebacks(shown=bool(cli.options.debug or cli.options.verbose)):
        outcome = _call(cli, registry, name, given)
    if not outcome.success:
        raise _error(outcome)
    (record,) = outcome.envelope["payload"]["tool_results"]
    cli.printer.one({"result": record["value"], "latency_ms": record["latency_ms"]}, RUN)


def _registry(cli: Cli) -> ToolRegistry:
    from seedcore.agent import load

    return load(cli.settings)


def _call(cli: Cli, registry: ToolRegistry, name: str, args: Any) -> Outcome:
    import asyncio

    from seedcore.agent.executor import Executor, adhoc_task

    executor = Executor(registry, cli.settings)
    # --timeout ends the whole command by itself; the call's own limit must not come before it.
    limit = cli.settings.serve_call_timeout_s if cli.timeout_s is None else cli.timeout_s + 1
    try:
        return asyncio.run(
            executor.run(
                adhoc_task(name, args), deadline=time.monotonic() + limit, on_progress=_no_mark
            )
        )
    finally:
        executor.close()


@contextmanager
def _tracebacks(*, shown: bool) -> Generator[None]:
    """Keep the log of an unexpected exception for --debug: the error says enough otherwise."""
    log = logging.getLogger("seedcore.agent.call")
    before = log.disabled
    log.disabled = not shown
    try:
        yield
    finally:
        log.disabled = before


async def _no_mark(_: object) -> bool:
    """Without a task there is no later attempt that a start mark could warn."""
    return True


def _error(outcome: Outcome) -> Exception:
    from seedcore.errors import SeedcoreError, UsageError

    kind = UsageError if outcome.error_type == "bad_arguments" else SeedcoreError
    hint = None
    if outcome.error_type == "bad_arguments":
        hint = "see the schema with 'seedcore tool show'"
    elif outcome.error_type == "tool_error":
        hint = "--debug shows where it was raised"
    return kind(
        outcome.error,
        code=f"tool.{outcome.error_type}",
        hint=hint,
        details={"error_type": outcome.error_type, "retryable": outcome.retryable},
    )
