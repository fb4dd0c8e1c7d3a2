"""Collects findings, and the checks on shapes that several rules share."""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Collection
from typing import Any, Final, TypeGuard, cast

from seedcore.task.lint.finding import Finding, Severity
from seedcore.task.plain import pointer

Path = tuple[str | int, ...]


class Report:
    """The findings so far.

    Args:
        known_tools: Names of the tools that this process has; None leaves unknown tools unreported.
        known_specializations: Registered specializations; None leaves unknown ones unreported.
        deep_timeout_s: Seconds that deep reasoning may take.
    """

    __slots__ = ("_known_tools", "deep_timeout_s", "findings", "known_specializations")

    def __init__(
        self,
        known_tools: Collection[str] | None = None,
        known_specializations: Collection[str] | None = None,
        deep_timeout_s: float = 0.0,
    ) -> None:
        self.findings: list[Finding] = []
        self.deep_timeout_s = deep_timeout_s
        self._known_tools = known_tools
        self.known_specializations = known_specializations

    def error(self, code: str, path: Path, message: str) -> None:
        """Add an error."""
        self.add_error(code, pointer(*path), message)

    def add_error(self, code: str, where: str, message: str) -> None:
        """Add an error whose JSON pointer is already written."""
        self.findings.append(Finding(code, Severity.ERROR, where, message))

    def warn(self, code: str, path: Path, message: str) -> None:
        """Add a warning."""
        self.findings.append(Finding(code, Severity.WARNING, pointer(*path), message))

    def object(self, code: str, path: Path, value: Any) -> dict[str, Any] | None:
        """Return an object, or report what else it is."""
        if type(value) is dict:
            return cast("dict[str, Any]", value)
        self.error(code, path, f"{spell(path[-1])} is {kind(value)}; give an object")
        return None

    def names(self, code: str, path: Path, value: Any) -> list[str]:
        """Return the texts of a list, having reported everything in it that isn't one."""
        what = spell(path[-1])
        if type(value) is not list:
            self.error(code, path, f"{what} is {kind(value)}; give a list of text")
            return []
        good: list[str] = []
        for index, item in enumerate(cast("list[Any]", value)):
            if is_name(item):
                good.append(item)
            else:
                self.error(code, (*path, index), f"an entry of {what} is {kind(item)}; give text")
        return good

    def levels(self, code: str, path: Path, value: Any) -> None:
        """Report everything in an object of skills that is not a number from 0 to 1."""
        skills = self.object(code, path, value)
        for skill, level in (skills or {}).items():
            if not is_number(level) or not 0 <= level <= 1:
                self.error(
                    code,
                    (*path, skill),
                    f"the level of {spell(skill)} is {shown(level)}; give a number from 0 to 1",
                )

    def tool(self, code: str, path: Path, name: str) -> None:
        """Warn about a tool that this process does not have; `fact.*` needs one that fits."""
        known = self._known_tools
        if known is None or name in known:
            return
        if name == "*" or (
            name.endswith(".*") and any(tool.startswith(name[:-1]) for tool in known)
        ):
            return
        near = _nearest(name, known if isinstance(known, frozenset) else frozenset(known))
        cure = f"did you mean {near}?" if near else "is its plugin in SEEDCORE_PLUGINS?"
        self.warn(code, path, f"no tool is called {spell(name)} here; {cure}")


@functools.lru_cache(maxsize=1024)
def _nearest(name: str, known: frozenset[str]) -> str | None:
    found = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return found[0] if found else None


def is_name(value: Any) -> TypeGuard[str]:
    """Tell whether a value is text with something in it."""
    return type(value) is str and bool(value.strip())


def is_number(value: Any) -> TypeGuard[int | float]:
    """Tell whether a value is a number; JSON's true and false are not."""
    return type(value) is int or type(value) is float


def spell(word: str | int) -> str:
    """Return a key or name as it may stand in a message: quoted, short, on one line."""
    text = str(word)
    return json.dumps(text if len(text) <= 60 else text[:59] + "…", ensure_ascii=False)


def shown(value: Any) -> str:
    """Return a wrong value for a message: scalars themselves, else what kind of value it is."""
    if type(value) is str:
        return spell(value)
    if type(value) is bool or (is_number(value) and abs(value) < 1e15):
        return json.dumps(value)
    return kind(value)


def kind(value: Any) -> str:
    """Return what JSON calls the value, with its article."""
    if type(value) is str:
        return "text" if value.strip() else "empty text"
    known = cast("type[object]", type(value))
    return _KINDS.get(known, known.__name__)


_KINDS: Final[dict[type[object], str]] = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    dict: "an object",
    list: "a list",
}
