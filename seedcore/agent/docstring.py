"""What a tool's docstring says: its first paragraph, and a line for each argument."""

from __future__ import annotations

import inspect
import re

_SECTION = re.compile(r"(Args|Arguments|Parameters):\s*")
_ARGUMENT = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)")


def first_paragraph(docstring: str | None) -> str:
    """Return the first paragraph as one line; empty when there is none."""
    return _joined(inspect.cleandoc(docstring or "").split("\n\n", 1)[0].splitlines())


def argument_texts(docstring: str | None) -> dict[str, str]:
    """Return what a section `Args:` says about each argument, as one line each."""
    lines = iter(inspect.cleandoc(docstring or "").splitlines())
    if not any(_SECTION.fullmatch(line) for line in lines):
        return {}
    # The search has consumed the lines up to the heading; what is indented below it is the section.
    texts: dict[str, list[str]] = {}
    indent, current = 0, None
    for line in lines:
        text = line.strip()
        if not text:
            continue
        depth = len(line) - len(line.lstrip())
        if depth == 0:
            break
        indent = indent or depth
        found = _ARGUMENT.fullmatch(text) if depth == indent else None
        if found is not None:
            current = texts.setdefault(found[1], [])
            text = found[2]
        if current is not None:
            current.append(text)
    return {name: _joined(said) for name, said in texts.items()}


def _joined(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())
