"""Short forms of Markdown."""

from __future__ import annotations

from collections.abc import Iterable

MADE = "<!-- Made by scripts/generate-docs; change the revisions, not this page. -->\n\n"


def code(text: str) -> str:
    """Return a text as code that may stand in a cell of a table; nothing for nothing."""
    return f"`{_line(text)}`" if text else ""


def cell(text: str) -> str:
    """Return a text on one line, without what ends a cell or would be taken for HTML."""
    return _line(text).replace("<", "&lt;")


def sentence(text: str) -> str:
    """Return a comment as a sentence."""
    return text[:1].upper() + text[1:].replace("<", "&lt;") + ("" if text.endswith(".") else ".")


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Return the lines of a table; none when it has no rows."""
    heads, lines = list(heads), [" | ".join(row) for row in rows]
    if not lines:
        return []
    # Nothing ends in a blank, which editors would take away.
    return [
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
        *(f"| {line} |".replace("|  |", "| |").replace("|  |", "| |") for line in lines),
        "",
    ]
