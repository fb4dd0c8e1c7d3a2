"""The group `seedcore worker`, and what the commands that run a daemon share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedcore_cli.app import group
from seedcore_cli.options import Cli

if TYPE_CHECKING:
    from seedcore.config import Settings

app = group("Run the daemons that do the work.")


class LogFormat(StrEnum):
    """How log lines look."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"


LogFormatOption = Annotated[
    LogFormat | None,
    typer.Option("--log-format", help="auto, text or json. SEEDCORE_LOG_FORMAT."),
]
MetricsTextfile = Annotated[
    Path | None,
    typer.Option("--metrics-textfile", metavar="FILE", help="Also leave the metrics in this file."),
]


def overlaid(settings: Settings, **values: Any) -> Settings:
    """Return the settings with the options that were given on top."""
    import dataclasses

    given = {name: value for name, value in values.items() if value is not None}
    origins = {**settings.origins, **dict.fromkeys(given, "flag")}
    return dataclasses.replace(settings, **given, origins=origins)


def log_level(cli: Cli) -> str:
    """Return the level of the settings, unless -q or -v ask for less or more."""
    if cli.options.verbose:
        return "DEBUG"
    level = cli.settings.log_level
    return "WARNING" if cli.options.quiet and level in ("DEBUG", "INFO") else level
