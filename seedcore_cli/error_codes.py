"""Every error code that the program can report, read from the program itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from typing import NamedTuple

from seedcore import errors

_PACKAGES = ("seedcore", "seedcore_cli", "workers")
_RAISED = re.compile(
    r"RAISE EXCEPTION '(?P<message>(?:[^']|'')*)'[^;]*?"
    r"ERRCODE = '(?P<state>SC\d{3})'[^;]*?DETAIL = '(?P<code>[^']+)'"
)
_STATES = {
    "SC404": errors.NotFound,
    "SC409": errors.Conflict,
    "SC422": errors.UsageError,
    "SC423": errors.LockBusy,
    "SC478": errors.ConfigError,
}


class ErrorCode(NamedTuple):
    """One code: the exit code that it ends with, and what is said, with `...` for what varies."""

    code: str
    exit_code: int
    message: str


def error_codes() -> list[ErrorCode]:
    """Return every code once, sorted, with the first message found for it."""
    found: dict[str, ErrorCode] = {}
    classes = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.SeedcoreError)
    }
    exits = {name: kind.exit_code for name, kind in classes.items()}
    for kind in classes.values():
        summary = (kind.__doc__ or "").splitlines()[0].rstrip(".")
        found.setdefault(kind.code, ErrorCode(kind.code, kind.exit_code, summary))
    trees = [tree for package in _PACKAGES for tree in _trees(resources.files(package))]
    for tree in trees:
        exits = _subclasses(tree, exits) | exits
    for tree in trees:
        for error in _codes(tree, exits):
            if error.code not in found or not found[error.code].message.strip("."):
                found[error.code] = error
    for error in _raised_in_sql():
        found.setdefault(error.code, error)
    return [found[code] for code in sorted(found)]


def _raised_in_sql() -> Iterator[ErrorCode]:
    """Yield what the database's own functions raise; see `seedcore.db.errors`."""
    from seedcore.db.migrate.scripts import default_directory

    for file in sorted((default_directory() / "sql").glob("*.sql")):
        for raised in _RAISED.finditer(file.read_text(encoding="utf-8")):
            message = raised["message"].replace("%", "...").replace("''", "'")
            yield ErrorCode(raised["code"], _STATES[raised["state"]].exit_code, message)


def _trees(folder: Traversable) -> Iterator[ast.Module]:
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.is_dir() and not entry.name.startswith(("_", "test")):
            yield from _trees(entry)
        elif entry.name.endswith(".py"):
            yield ast.parse(entry.read_text(encoding="utf-8"))


def _subclasses(tree: ast.Module, exits: dict[str, int]) -> dict[str, int]:
    return {
        node.name: exits[base.id]
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for base in node.bases
        if isinstance(base, ast.Name) and base.id in exits
    }


def _codes(tree: ast.Module, exits: dict[str, int]) -> Iterator[ErrorCode]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in exits:
            code = next((_text(k.value) for k in node.keywords if k.arg == "code"), "")
            if _is_code(code):
                message = _text(node.args[0]) if node.args else ""
                yield ErrorCode(code, exits[node.func.id], message)
        elif isinstance(node, ast.ClassDef) and node.name in exits:
            for line in node.body:
                if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "code":
                    summary = (ast.get_docstring(node) or "").splitlines()[0].rstrip(".")
                    yield ErrorCode(_text(line.value), exits[node.name], summary)
        elif isinstance(node, ast.Tuple) and len(node.elts) == 3:
            # The table of SQLSTATEs: (class, code, hint).
            kind, code = node.elts[0], _text(node.elts[1])
            if isinstance(kind, ast.Name) and kind.id in exits and _is_code(code):
                yield ErrorCode(code, exits[kind.id], "what PostgreSQL says")


def _is_code(text: str) -> bool:
    return "." in text and " " not in text and "..." not in text


def _text(node: ast.expr) -> str:
    """Return a constant text, with `...` for what is put in at run time; else nothing."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "..." for part in node.values)
    return ""
