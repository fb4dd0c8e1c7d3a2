"""What one run of a command has at hand: its options, settings, printer, database and its user."""

from __future__ import annotations

import sys
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from seedcore.errors import ConfigError
from seedcore_cli import confirm, signals
from seedcore_cli.color import wants_color

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seedcore.config import Loaded, Settings
    from seedcore_cli.options import Common
    from seedcore_cli.output import Printer

MACHINE_FORMATS = frozenset({"json", "jsonl", "yaml"})
_STATEMENT_TIMEOUT_S = 30.0


class Cli:
    """The context of one command; commands receive it as their first argument.

    Args:
        options: The common options, merged over all levels.
        command: The full name, such as `seedcore task list`; the database sees it.
        own_timeout: Whether the command itself obeys `timeout_s`.
    """

    def __init__(self, options: Common, *, command: str, own_timeout: bool = False) -> None:
        self.options = options
        self.command = command
        self._own_timeout = own_timeout
        self._warned = False

    def __enter__(self) -> Self:
        """Start the timer of `--timeout`."""
        self._configure_logging()
        if self.timeout_s is not None and not self._own_timeout:
            signals.start_timer(self.timeout_s)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the timer, and tell an error in which format it has to be written."""
        if self.timeout_s is not None and not self._own_timeout:
            signals.stop_timer()
        if error is not None:
            error.output_format = self.format  # type: ignore[attr-defined]  # for main's message

    @property
    def settings(self) -> Settings:
        """The settings in force, with the flags of this command on top.

        Raises:
            ConfigError: A value is invalid; the message says where it came from.
        """
        loaded = self._loaded
        if not self._warned:
            self._warned = True
            for warning in loaded.warnings:
                self.warn(warning)
        return loaded.settings

    @cached_property
    def _loaded(self) -> Loaded:
        from seedcore.config import read

        return read(self.flags)

    @property
    def flags(self) -> Mapping[str, str]:
        """The settings given as flags; those of presentation never reach further than here."""
        given = {
            "profile": self.options.profile,
            "database_url": self.options.database_url,
            "actor": self.options.actor,
        }
        return {name: str(value) for name, value in given.items() if value is not None}

    @cached_property
    def format(self) -> str:
        """The output format: the flag, else the setting, else what suits standard output."""
        asked = self.options.output or self._setting("output", "auto")
        if asked == "auto":
            return "table" if sys.stdout is not None and sys.stdout.isatty() else "tsv"
        return str(asked)

    @cached_property
    def printer(self) -> Printer:
        """Writes data to standard output in the format asked for."""
        return self.printer_on(None)

    def printer_on(self, stream: TextIO | None) -> Printer:
        """Return a printer that writes elsewhere what it would write to standard output."""
        from seedcore_cli.output import Printer

        columns = self.options.columns
        return Printer(
            self.format,
            columns=[c.strip() for c in columns.split(",") if c.strip()] if columns else None,
            header=not self.options.no_header,
            color=self.colored,
            stream=stream,
        )

    @property
    def colored(self) -> bool:
        """Whether what is written to standard output is coloured."""
        return wants_color(sys.stdout, self._color)

    @property
    def timeout_s(self) -> float | None:
        """Seconds of `--timeout`; None when not given."""
        return self.options.timeout

    @property
    def interactive(self) -> bool:
        """Whether somebody can be asked: a terminal on both sides, and no wish not to be."""
        if self.options.no_input or self._setting("no_input", False):
            return False
        if self.format in MACHINE_FORMATS:
            return False
        return all(s is not None and s.isatty() for s in (sys.stdin, sys.stderr))

    @property
    def actor(self) -> str:
        """Who is recorded for what this command changes."""
        from seedcore.db import actor

        return actor(self.settings)

    def connect(self, *, check_schema: bool = True, **options: Any) -> Any:
        """Open a connection to the database; the caller closes it (use `with`).

        Args:
            check_schema: Refuse a database whose schema this program can't use.
            options: Passed on to `seedcore.db.connection.connect`.

        Raises:
            Unavailable: It can't be reached, or (NotMigrated) its schema is too old.
        """
        from seedcore.db.connection import connect

        limit = self.options.statement_timeout
        options.setdefault("statement_timeout_s", _STATEMENT_TIMEOUT_S if limit is None else limit)
        options.setdefault("application_name", self.command)
        return connect(self.settings, check_schema=check_schema, **options)

    def confirm(
        self,
        *,
        level: int,
        summary: str = "",
        yes: bool = False,
        name: str | None = None,
        given: str | None = None,
    ) -> None:
        """Make sure that a dangerous command is meant.

        Args:
            level: 1 asks y/N and is answered by `--yes`; 2 asks for the name and is answered by
                `--confirm NAME`.
            summary: What is about to happen, such as `cancel 12 tasks`.
            yes: The value of `--yes`.
            name: What has to be typed at level 2.
            given: The value of `--confirm`.

        Raises:
            Refused: Not confirmed.
        """
        if level == 1:
            confirm.ask(summary, where=self.target, yes=yes, interactive=self.interactive)
        else:
            confirm.ask_for_name(
                name or "", summary, where=self.target, given=given, interactive=self.interactive
            )

    @property
    def protected(self) -> bool:
        """Whether the active profile asks for care."""
        return self._loaded.protected

    @property
    def target(self) -> str:
        """The profile, host and database that this command works on, for a human to check."""
        from seedcore.config import where

        return where(self.settings)

    def note(self, text: str) -> None:
        """Say something on standard error; silent with `-q` and in machine formats."""
        if not self.options.quiet and self.format not in MACHINE_FORMATS:
            _to_stderr(text)

    def hint(self, command: str) -> None:
        """Name the next useful command; silent like `note`."""
        self.note(f"next: {command}")

    def warn(self, text: str) -> None:
        """Say something that should not be missed; silent like `note`."""
        self.note(f"warning: {text}")

    @property
    def _color(self) -> str:
        return str(self.options.color or self._setting("color", "auto"))

    def _setting(self, name: str, fallback: Any) -> Any:
        """Return a setting of the presentation even when others are broken: the error needs it."""
        try:
            return getattr(self.settings, name)
        except ConfigError:
            return fallback

    def _configure_logging(self) -> None:
        import logging

        level = {0: logging.WARNING, 1: logging.INFO}.get(self.options.verbose, logging.DEBUG)
        logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
        if not self.options.verbose:
            # What the driver could not tidy up behind an interruption is no news to who interrupted.
            logging.getLogger("psycopg").setLevel(logging.ERROR)


def _to_stderr(text: str) -> None:
    if sys.stderr is None:
        return
    from seedcore_cli.encode import printable

    try:
        sys.stderr.write(printable(text) + "\n")
        sys.stderr.flush()
    except OSError:
        return  # nobody reads it; the data on standard output still counts
