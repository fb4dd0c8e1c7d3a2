"""The pages of the reference that are made from the code, so that they can't be wrong.

`scripts/generate-docs` writes them; a test compares them with what is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from seedcore_cli.exit_codes import EXIT_CODES

_MADE = "<!-- Made by scripts/generate-docs; change the code, not this page. -->\n\n"


def pages() -> dict[str, str]:
    """Return every page by file name."""
    return {
        "cli.md": _cli(),
        "settings.md": _settings(),
        "exit-codes.md": _exit_codes(),
        "output.md": _output(),
        "errors.md": _errors(),
    }


def leaves(
    command: Any, path: tuple[str, ...] = ("seedcore",)
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command that does something, with its words."""
    for name, child, is_group in _children(command, path):
        if is_group:
            yield from leaves(child, (*path, name))
        else:
            yield (*path, name), child


def context(command: Any, path: tuple[str, ...]) -> Any:
    """Return a context to ask a command for its help, in 80 columns wherever this runs."""
    return command.context_class(
        command,
        info_name=" ".join(path),
        terminal_width=80,
        help_option_names=["-h", "--help"],
        resilient_parsing=True,
    )


def _children(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any, bool]]:
    at = context(command, path)
    for name in command.list_commands(at):
        child = command.get_command(at, name)
        if not child.hidden:
            yield name, child, hasattr(child, "list_commands")


def _cli() -> str:
    from seedcore_cli.app import root

    command = root()
    parts = [
        _MADE + "# Commands\n",
        (
            "`seedcore --help` and `seedcore COMMAND --help` show the same. Exit codes: "
            "[exit-codes.md](exit-codes.md); output formats: [output.md](output.md); "
            "settings: [settings.md](settings.md).\n"
        ),
        "## seedcore\n",
        _fenced(command.get_help(context(command, ("seedcore",)))),
    ]
    for name, child, is_group in _children(command, ("seedcore",)):
        parts += _section(child, ("seedcore", name), is_group=is_group)
    return "\n".join(parts)


def _section(command: Any, path: tuple[str, ...], *, is_group: bool) -> list[str]:
    title = "#" * min(len(path), 4) + " " + " ".join(path) + "\n"
    parts = [title, _fenced(command.get_help(context(command, path)))]
    if is_group:
        for name, child, below in _children(command, path):
            parts += _section(child, (*path, name), is_group=below)
    return parts


def _fenced(text: str) -> str:
    return "```text\n" + "\n".join(line.rstrip() for line in text.splitlines()) + "\n```\n"


def _settings() -> str:
    from seedcore.config.settings import fields
    from seedcore.config.values import environment_names, kind, shown as written
    from seedcore.db.settings import DATABASE_SETTINGS

    lines = [
        _MADE + "# Settings\n",
        (
            "Where a value may come from and which one wins: `seedcore help config`. `SEEDCORE_` before a "
            "plain variable is accepted too, and wins. Numbers with the unit s may be written `90s`, `5m`, "
            "`2h`; bytes `64KiB`, `1MB`.\n"
        ),
        "| setting | variable | default | meaning |",
        "|---|---|---|---|",
    ]
    for field in fields():
        names = field.metadata["names"] or environment_names(field)[1:]
        rules = [kind(field) + (f", {field.metadata['unit']}" if field.metadata["unit"] else "")]
        if field.metadata["choices"]:
            rules = [", ".join(field.metadata["choices"])]
        if field.metadata["least"] is not None:
            rules.append(f"from {field.metadata['least']:g}")
        if field.metadata["most"] is not None:
            rules.append(f"to {field.metadata['most']:g}")
        if not field.metadata["project"]:
            rules.append("not from a project file")
        shown = ", ".join(f"`{name}`" for name in names)
        meaning = f"{_cell(field.metadata['meaning'])} ({'; '.join(rules)})"
        lines.append(
            f"| `{field.name}` | {shown} | {_default(written(field, field.default))} | {meaning} |"
        )
    lines += [
        "\n## Settings kept in the database\n",
        "They hold for every client of that database: `seedcore config set --database NAME VALUE`.\n",
        "| setting | default | values | meaning |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{s.name}` | `{s.default}` | {', '.join(s.choices) or 'text'} | {_cell(s.meaning)} |"
        for s in DATABASE_SETTINGS
    ]
    return "\n".join(lines) + "\n"


def _default(value: Any) -> str:
    if value in (None, ""):
        return ""
    if isinstance(value, bool):
        return f"`{int(value)}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _exit_codes() -> str:
    lines = [
        _MADE + "# Exit codes\n",
        (
            "They do not depend on the output format or on `-q`. 3 never means that something is broken: "
            "the question was answered. In cron treat 9 and 69 as soft.\n"
        ),
        "| code | name | meaning | typical |",
        "|---:|---|---|---|",
    ]
    lines += [
        f"| {c.code} | {c.name} | {_cell(c.meaning)} | {_cell(c.typical)} |" for c in EXIT_CODES
    ]
    return "\n".join(lines) + "\n"


def _errors() -> str:
    from seedcore_cli.error_codes import error_codes

    lines = [
        _MADE + "# Error codes\n",
        (
            "With `-o json`, `jsonl` or `yaml` an error is one object on standard error; its `code` is one of "
            "these. Codes are stable, messages are not. `TI...` and `ST...` are rules of the linter: "
            "[lint-rules.md](lint-rules.md).\n"
        ),
        "| code | exit code | message |",
        "|---|---:|---|",
    ]
    lines += [f"| `{e.code}` | {e.exit_code} | {_cell(e.message)} |" for e in error_codes()]
    return "\n".join(lines) + "\n"


def _output() -> str:
    from seedcore_cli.topics import OUTPUT, SELECTORS

    return (
        f"{_MADE}# Output\n\nAs `seedcore help output` shows it.\n\n{_as_markdown(OUTPUT)}\n"
        f"## Choosing tasks\n\nAs `seedcore help selectors` shows it.\n\n{_as_markdown(SELECTORS)}"
    )


def _as_markdown(text: str) -> str:
    """Fence the indented blocks."""
    return re.sub(
        r"(?:^  .*\n?)+",
        lambda block: _fenced("\n".join(line[2:] for line in block.group().splitlines())),
        text,
        flags=re.MULTILINE,
    )
