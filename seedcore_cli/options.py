"""Options that many commands share, and `@common`, which gives every command the same ones.

The common options work before and after the subcommand: each level of the command tree takes them,
and what stands nearer to the leaf wins. None of them reads the environment itself, or an
environment variable at the leaf would beat a flag at the root; `Settings` does that.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, get_type_hints

import typer

from seedcore_cli.params import parse_duration, parse_past
from seedcore_cli.session import Cli

__all__ = [
    "Cli", "Color", "Common", "Confirm", "DryRun", "Format", "Limit", "NoLimit", "Reason", "Since",
    "Sort", "Until", "Yes", "common",
]  # fmt: skip


class Format(StrEnum):
    """How data is written to standard output."""

    TABLE = "table"
    WIDE = "wide"
    TSV = "tsv"
    JSON = "json"
    JSONL = "jsonl"
    YAML = "yaml"
    NAME = "name"


class Color(StrEnum):
    """When output is coloured."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True)
class Common:
    """What the common options said; None or False where they were not given."""

    output: Format | None = None
    columns: str | None = None
    no_header: bool = False
    quiet: bool = False
    verbose: int = 0
    debug: bool = False
    color: Color | None = None
    no_input: bool = False
    profile: str | None = None
    database_url: str | None = None
    timeout: float | None = None
    statement_timeout: float | None = None
    actor: str | None = None

    def under(self, nearer: dict[str, Any]) -> Common:
        """Return these options overlaid by those of a level nearer to the leaf."""
        given = {k: v for k, v in nearer.items() if v not in (None, False, 0) or _is_zero(k, v)}
        return dataclasses.replace(self, **given)


def _is_zero(name: str, value: Any) -> bool:
    """`--timeout 0` means something; `verbose` 0 and an absent flag do not."""
    return name in ("timeout", "statement_timeout") and value is not None


_PANEL = "Common options"


def _option(*names: str, help_text: str, **more: Any) -> Any:
    return typer.Option(*names, help=help_text, rich_help_panel=_PANEL, **more)


_COMMON: dict[str, tuple[Any, Any]] = {
    "output": (
        Annotated[
            Format | None,
            _option(
                "--output",
                "-o",
                help_text="How to print: table, wide, tsv, json, jsonl, yaml or name (ids only). "
                "Default: table on a terminal, else tsv. SEEDCORE_OUTPUT.",
                metavar="FORMAT",
            ),
        ],
        None,
    ),
    "columns": (
        Annotated[
            str | None,
            _option("--columns", help_text="Only these, comma-separated.", metavar="A,B"),
        ],
        None,
    ),
    "no_header": (
        Annotated[bool, _option("--no-header", help_text="No header line in table and tsv.")],
        False,
    ),
    "quiet": (
        Annotated[bool, _option("--quiet", "-q", help_text="Nothing but data and errors.")],
        False,
    ),
    "verbose": (
        Annotated[
            int,
            _option(
                "--verbose",
                "-v",
                help_text="More on standard error; -vv for debugging.",
                count=True,
            ),
        ],
        0,
    ),
    "debug": (
        Annotated[
            bool, _option("--debug", help_text="Tracebacks of unexpected errors. SEEDCORE_DEBUG=1.")
        ],
        False,
    ),
    "color": (
        Annotated[
            Color | None,
            _option(
                "--color",
                help_text="auto, always or never. SEEDCORE_COLOR, NO_COLOR.",
                metavar="WHEN",
            ),
        ],
        None,
    ),
    "no_input": (
        Annotated[bool, _option("--no-input", help_text="Never ask; refuse instead.")],
        False,
    ),
    "profile": (
        Annotated[
            str | None,
            _option(
                "--profile",
                help_text="Named profile of the configuration file. SEEDCORE_PROFILE.",
                metavar="NAME",
            ),
        ],
        None,
    ),
    "database_url": (
        Annotated[
            str | None,
            _option(
                "--database-url",
                help_text="PostgreSQL to use; others on this machine can see it, so prefer a "
                "profile or SEEDCORE_DATABASE_URL. Default: the embedded server.",
                metavar="URL",
            ),
        ],
        None,
    ),
    "timeout": (
        Annotated[
            float | None,
            _option(
                "--timeout",
                help_text="Longest time for the whole command (90s, 5m); then exit 6.",
                metavar="DUR",
                parser=parse_duration,
            ),
        ],
        None,
    ),
    "statement_timeout": (
        Annotated[
            float | None,
            _option(
                "--statement-timeout",
                help_text="Longest time for one statement in the database; 0 = none. Default: 30s.",
                metavar="DUR",
                parser=parse_duration,
            ),
        ],
        None,
    ),
    "actor": (
        Annotated[
            str | None,
            _option(
                "--actor",
                help_text="Who is recorded for what this changes. SEEDCORE_ACTOR. "
                "Default: user@host.",
                metavar="NAME",
            ),
        ],
        None,
    ),
}
COMMON_IN_SHORT = (
    "-o/--output --columns --no-header -q/--quiet -v/--verbose --debug --color --no-input "
    "--profile --database-url --timeout --statement-timeout --actor"
)

DryRun = Annotated[
    bool, typer.Option("--dry-run", "-n", help="Show what would change, and change nothing.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
Confirm = Annotated[
    str | None,
    typer.Option(
        "--confirm", help="Confirm by giving the name, without being asked.", metavar="NAME"
    ),
]
Reason = Annotated[
    str | None, typer.Option("--reason", help="Why; recorded with the change.", metavar="TEXT")
]
Limit = Annotated[int, typer.Option("--limit", help="At most this many; 0 = all.", min=0)]
NoLimit = Annotated[
    int | None, typer.Option("--limit", help="At most this many; default: all.", min=0)
]
Since = Annotated[
    datetime | None,
    typer.Option(
        "--since", help="From this time, or age (15m, 2h, 3d).", metavar="TIME", parser=parse_past
    ),
]
Until = Annotated[
    datetime | None,
    typer.Option("--until", help="Before this time, or age.", metavar="TIME", parser=parse_past),
]
Sort = Annotated[
    str | None,
    typer.Option("--sort", help="Order by a column; add :desc to turn it.", metavar="FIELD[:desc]"),
]


def common(function: Callable[..., Any] | None = None, *, own_timeout: bool = False) -> Any:
    """Give a command the common options and hand it a `Cli`.

    Args:
        function: The command; its first parameter receives the `Cli`. A parameter of the command
            that has the name of a common option replaces that option.
        own_timeout: Whether the command itself obeys `cli.timeout_s`, as `wait` does. Otherwise the
            whole command ends with exit code 6 when that time has passed.
    """
    if function is None:
        return functools.partial(common, own_timeout=own_timeout)
    hints = get_type_hints(function, include_extras=True)
    own = list(inspect.signature(function).parameters.values())[1:]
    own = [p.replace(annotation=hints[p.name]) for p in own]
    wants_context = any(p.name == "ctx" for p in own)
    own = [p for p in own if p.name != "ctx"]
    taken = {p.name for p in own}
    shared = [p for p in _common_parameters() if p.name not in taken]
    shared_names = {p.name for p in shared}

    def command(ctx: typer.Context, **values: Any) -> Any:
        given = {name: values.pop(name) for name in list(values) if name in shared_names}
        options = (ctx.obj or Common()).under(given)
        if wants_context:
            values["ctx"] = ctx
        with Cli(options, command=ctx.command_path, own_timeout=own_timeout) as cli:
            return function(cli, **values)

    context = inspect.Parameter(
        "ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    _describe(command, [context, *own, *shared])
    command.__doc__ = function.__doc__
    command.__name__ = function.__name__
    return command


def take_common(ctx: typer.Context, **given: Any) -> None:
    """Keep what was given between a group and its command."""
    ctx.obj = (ctx.obj or Common()).under(given)


def take_common_at_root(ctx: typer.Context, **given: Any) -> None:
    """Keep what was given before the first command."""
    given.pop("version", None)
    ctx.obj = Common().under(given)


def _show_version(asked: bool) -> None:
    if asked:
        from seedcore import __version__

        typer.echo(f"seedcore {__version__}")
        raise typer.Exit


def _common_parameters() -> list[inspect.Parameter]:
    return [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
        )
        for name, (annotation, default) in _COMMON.items()
    ]


def _describe(function: Callable[..., Any], parameters: list[inspect.Parameter]) -> None:
    """Tell typer, which reads signatures, what a function with `**values` really takes."""
    described: Any = function
    described.__signature__ = inspect.Signature(parameters)
    described.__annotations__ = {p.name: p.annotation for p in parameters}


def _describe_levels() -> None:
    context = inspect.Parameter(
        "ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    version = inspect.Parameter(
        "version",
        inspect.Parameter.KEYWORD_ONLY,
        default=False,
        annotation=Annotated[
            bool,
            _option(
                "--version", help_text="Show the version.", is_eager=True, callback=_show_version
            ),
        ],
    )
    _describe(take_common, [context, *_common_parameters()])
    _describe(take_common_at_root, [context, *_common_parameters(), version])


_describe_levels()
