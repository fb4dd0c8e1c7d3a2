"""The command tree: which groups exist, how they are found, and what their help looks like.

Groups are loaded when they are used. The root's help comes from the table below alone, so that
`seedcore --help` costs nothing but typer.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import re
from typing import Any, NamedTuple, cast

import typer
from typer.core import TyperCommand, TyperGroup

from seedcore_cli.coercion import lighten

NAMES_OF_HELP = {"help_option_names": ["-h", "--help"]}


class LazyGroup(NamedTuple):
    """Where a command lives, and its one line of help."""

    module: str
    help: str
    panel: str


COMMON = "Common options"
PANELS = ("Everyday", "Cluster", "Policy", "Setup")

COMMANDS: dict[str, LazyGroup] = {
    "task": LazyGroup(
        "task", "Submit tasks, look at them, wait for them, change them.", "Everyday"
    ),
    "tool": LazyGroup("tool", "List the tools that tasks can call, and try them.", "Everyday"),
    "queue": LazyGroup(
        "queue", "Hold lanes and domains back, slow them down, order them.", "Everyday"
    ),
    "fact": LazyGroup("fact", "Keep facts: what holds, what held, what is said of it.", "Everyday"),
    "rag-query": LazyGroup("rag_query", "Ask tasks, facts and the graph a question.", "Everyday"),
    "top": LazyGroup("top", "Watch the queue in the terminal.", "Everyday"),
    "agent": LazyGroup(
        "agent", "Start agents, here or on a Ray cluster, see how they do, stop them.", "Cluster"
    ),
    "graph": LazyGroup("graph", "See and change the graph of what the cluster knows.", "Everyday"),
    "embed": LazyGroup("embed", "Give texts vectors, and search by meaning.", "Everyday"),
    "registry": LazyGroup(
        "registry", "See which instances are alive, and begin new epochs.", "Cluster"
    ),
    "memory": LazyGroup("memory", "Look after the index of words.", "Cluster"),
    "dispatcher": LazyGroup("dispatcher", "Keep queue workers on a Ray cluster.", "Cluster"),
    "worker": LazyGroup("worker", "Run the daemons that do the work.", "Cluster"),
    "pkg": LazyGroup("pkg", "Write, test, promote and roll out policy.", "Policy"),
    "capability": LazyGroup(
        "capability", "See what the policy can ask for, who does it, and with what.", "Policy"
    ),
    "db": LazyGroup("db", "Start, stop, look at and copy the database.", "Setup"),
    "migrate": LazyGroup("migrate", "Bring the database to the schema of this program.", "Setup"),
    "doctor": LazyGroup(
        "doctor", "Look for what makes the queue slow, and say what helps.", "Setup"
    ),
    "config": LazyGroup("config", "Show, check and change settings and profiles.", "Setup"),
    "help": LazyGroup("help", "Explain exit codes, output, selectors and the like.", "Setup"),
}


def group(help_text: str, **options: Any) -> typer.Typer:
    """Return the app of one group of commands.

    Args:
        help_text: What the group is for; the first line is repeated nowhere else.
        options: Passed on to `typer.Typer`.
    """
    from seedcore_cli.options import take_common

    app = typer.Typer(
        help=help_text,
        cls=Group,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        context_settings=NAMES_OF_HELP,
        pretty_exceptions_enable=False,
        **options,
    )
    app.callback()(take_common)
    plain = app.command

    def command(name: str | None = None, **given: Any) -> Any:
        given.setdefault("cls", Command)
        given.setdefault("context_settings", NAMES_OF_HELP)
        return plain(name, **given)

    app.command = command
    return app


def single() -> typer.Typer:
    """Return the app of a command that stands directly below the root; it gets one command."""
    return group("")


class _Light:
    """Keeps pydantic away from the option --help, which typer makes late."""

    def get_help_option(self, ctx: Any) -> Any:
        """Return the option --help."""
        lighten([option := cast("Any", super()).get_help_option(ctx)])
        return option


class Command(_Light, TyperCommand):
    """A leaf: its help keeps examples as they are and names the common options in two lines."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["rich_markup_mode"] = None
        super().__init__(*args, **kwargs)
        lighten(self.params)

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return the first sentence of the help, whatever its length."""
        return _first_sentence(self.help or "")

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write the docstring: prose is wrapped, indented blocks and examples stay."""
        _write_prose(formatter, self.help or "")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options; the common ones only by name."""
        _write_options(self, ctx, formatter)
        from seedcore_cli.options import COMMON_IN_SHORT

        if any(getattr(p, "rich_help_panel", None) == COMMON for p in self.params):
            with formatter.section("Common options (explained by 'seedcore --help')"):
                formatter.write_text(COMMON_IN_SHORT)


class Group(_Light, TyperGroup):
    """A group below the root."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["rich_markup_mode"] = None
        super().__init__(*args, **kwargs)
        lighten(self.params)

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return the first sentence of the help."""
        return _first_sentence(self.help or "")

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write the group's text, wrapped like a command's."""
        _write_prose(formatter, self.help or "")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands; a group's options are all common."""
        self.format_commands(ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Show the help and exit with 2 when nothing was asked for."""
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(2)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command, or say which one was probably meant."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            near = difflib.get_close_matches(name, self.list_commands(ctx), n=3)
            meant = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
            ctx.fail(f"No such command {name!r}.{meant}")
        return super().resolve_command(ctx, args)


class Root(Group):
    """The root: groups are imported when they are called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands that this installation has, in the order of the help."""
        return [name for name, entry in COMMANDS.items() if _is_there(entry.module)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import and return a command; None when there is none of that name."""
        entry = COMMANDS.get(cmd_name)
        if entry is None or not _is_there(entry.module):
            return None
        if cmd_name not in self.commands:
            module = importlib.import_module(f"seedcore_cli.commands.{entry.module}")
            if hasattr(module, "command"):
                found: Any = typer.main.get_group(module.command)
                (found,) = found.commands.values()
            else:
                found = typer.main.get_group(module.app)
            found.name = cmd_name
            self.commands[cmd_name] = found
        return self.commands[cmd_name]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands by panel, then the common options in full."""
        there = self.list_commands(ctx)
        for panel in PANELS:
            rows = [(name, COMMANDS[name].help) for name in there if COMMANDS[name].panel == panel]
            if rows:
                with formatter.section(panel):
                    formatter.write_dl(rows)
        _write_options(self, ctx, formatter, show_common=True)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Point at the first things to type."""
        with formatter.section("Start here"):
            formatter.write_text("\b\nseedcore migrate up\nseedcore task submit --help")


def root() -> Any:
    """Build the whole command; groups inside stay unloaded."""
    from seedcore_cli.options import take_common_at_root

    app = typer.Typer(
        cls=Root,
        help="Run an agent cluster on PostgreSQL: tasks, workers and their tools.",
        add_completion=True,
        rich_markup_mode=None,
        context_settings=NAMES_OF_HELP,
        pretty_exceptions_enable=False,
    )
    app.callback()(take_common_at_root)
    command = typer.main.get_command(app)
    lighten(command.params)
    return command


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(f"seedcore_cli.commands.{module}") is not None


def _is_option(parameter: Any) -> bool:
    return parameter.param_type_name == "option"


def _write_options(command: Any, ctx: Any, formatter: Any, *, show_common: bool = False) -> None:
    arguments: list[tuple[str, str]] = []
    options: dict[str, list[tuple[str, str]]] = {"Options": []}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None:
            continue
        if not _is_option(parameter):
            arguments.append((record[0].partition(" <")[0], record[1]))
            continue
        panel = getattr(parameter, "rich_help_panel", None) or "Options"
        if panel != COMMON or show_common:
            options.setdefault(panel, []).append(record)
    if arguments:
        with formatter.section("Arguments"):
            formatter.write_dl(arguments)
    for panel, records in options.items():
        if records:
            with formatter.section(panel):
                formatter.write_dl(records)


def _write_prose(formatter: Any, text: str) -> None:
    """Wrap paragraphs; keep a block as it is when one of its lines is indented or an example."""
    for block in re.split(r"\n\s*\n", text.strip()):
        formatter.write_paragraph()
        lines = block.splitlines()
        with formatter.indentation():
            if any(line[:1] == " " or line.startswith("Example") for line in lines):
                block = "\b\n" + block
            formatter.write_text(block)


def _first_sentence(text: str) -> str:
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    return paragraph.split(". ")[0].rstrip(".") + "." if paragraph else ""


def complete(command: Any, program: str) -> None:
    """Answer a shell that asks for completions; returns at once when none does."""
    command._main_shell_completion({}, program)


def run(command: Any, program: str, arguments: list[str]) -> int:
    """Parse and call, without typer's own handling of errors.

    Returns:
        The exit code of a command that ended normally.

    Raises:
        Exception: Whatever the command raised; `seedcore_cli.main` maps it.
    """
    complete(command, program)
    try:
        with command.make_context(program, list(arguments)) as ctx:  # it empties the list
            command.invoke(ctx)
    except typer.Exit as exit_:
        return exit_.exit_code
    except EOFError as error:
        raise typer.Abort from error
    return 0
