"""YAML with the line of everything in it, and nothing in it that JSON does not have.

Plain scalars are read as YAML 1.2 does: `no`, `on` and `12:30` are text, `010` is ten, and so is a time.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, cast

import yaml

from seedcore.pkg.fault import Fault
from seedcore.pkg.model import Where

MAX_DEPTH = 32
_INTEGER = re.compile(r"[-+]?[0-9]{1,30}")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGRAL_FROM = 1e16
"""From here on Python writes floats with an exponent, and PostgreSQL's jsonb as integers."""

# The parser in C where there is one, which reads ten times as fast.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Item:
    """A value and its line.

    Attributes:
        value: dict of text to Item, list of Item, text, number, bool or None.
        where: The file and the line that it begins on.
        keys: Of a dict: the place of each key.
    """

    value: Any
    where: Where
    keys: dict[str, Where] = field(default_factory=dict[str, Where])

    def plain(self) -> Any:
        """Return the value without its lines, ready for JSON."""
        if isinstance(self.value, dict):
            members = cast("dict[str, Item]", self.value)
            return {key: item.plain() for key, item in members.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in cast("list[Item]", self.value)]
        return self.value


class Unreadable(Exception):
    """A file is no YAML of ours; `fault` says where and why."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(str(fault))


def read_document(path: str, content: bytes) -> Item:
    """Read one file with one document.

    Args:
        path: What messages call it.
        content: Its bytes.

    Raises:
        Unreadable: It is no UTF-8, no YAML, has several documents, a key twice, an alias, a tag, or a
            number that JSON does not have.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _unreadable(path, line, "bad_encoding", "this is no UTF-8") from None
    try:
        node = cast("Any", yaml.compose(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        problem = " ".join((error.problem or "it can't be read").split())
        raise _unreadable(path, line, "bad_yaml", f"this is no YAML: {problem}") from None
    except (yaml.YAMLError, RecursionError) as error:
        problem = " ".join(str(error).split())[:200] or "nested too deeply"
        raise _unreadable(path, None, "bad_yaml", f"this is no YAML: {problem}") from None
    if node is None:
        raise _unreadable(path, None, "empty_file", "the file is empty")
    return _Reader(path).read(node, 0)


class _Reader:
    def __init__(self, path: str) -> None:
        self.path = path
        self._seen: set[int] = set()

    def read(self, node: Any, depth: int) -> Item:
        line: int = node.start_mark.line + 1
        where = Where(self.path, line)
        if id(node) in self._seen:
            raise self._refuse(line, "alias", "anchors and aliases are not supported; write it out")
        self._seen.add(id(node))
        if depth > MAX_DEPTH:
            raise self._refuse(line, "too_deep", f"nested more than {MAX_DEPTH} levels")
        if isinstance(node, yaml.ScalarNode):
            return Item(self._scalar(node, line), where)
        if isinstance(node, yaml.SequenceNode):
            items = [self.read(part, depth + 1) for part in node.value]
            return Item(items, where)
        members: dict[str, Item] = {}
        keys: dict[str, Where] = {}
        for key_node, value_node in node.value:
            key_line: int = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._refuse(key_line, "bad_key", "a key has to be text")
            key = self._text(key_node.value, key_line)
            if key in members:
                raise self._refuse(key_line, "key_twice", f'the key "{key}" stands here twice')
            members[key] = self.read(value_node, depth + 1)
            keys[key] = Where(self.path, key_line)
        return Item(members, where, keys)

    def _scalar(self, node: yaml.ScalarNode, line: int) -> Any:
        text: str = node.value
        if node.style or node.tag == "!":
            return self._text(text, line)
        if not node.tag.startswith("tag:yaml.org,2002:"):
            raise self._refuse(line, "bad_tag", f"tags such as {node.tag} are not supported")
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            return int(text)
        if _NO_NUMBER.fullmatch(text):
            raise self._refuse(line, "bad_number", f"{text} is no number that JSON has")
        if _NUMBER.fullmatch(text):
            return self._number(text, line)
        return self._text(text, line)

    def _number(self, text: str, line: int) -> int | float:
        number = float(text)
        if not math.isfinite(number):
            raise self._refuse(line, "bad_number", f"{text} is too large for a number")
        # Equal numbers get equal text, here and in PostgreSQL.
        if abs(number) >= _INTEGRAL_FROM:
            return int(number)
        return number + 0.0

    def _text(self, text: str, line: int) -> str:
        if "\x00" in text:
            raise self._refuse(line, "bad_text", "text can't hold the character U+0000")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise self._refuse(line, "bad_text", "text holds half a character") from None
        return text

    def _refuse(self, line: int, code: str, message: str) -> Unreadable:
        return _unreadable(self.path, line, code, message)


def _unreadable(path: str, line: int | None, code: str, message: str) -> Unreadable:
    return Unreadable(Fault(Where(path, line), code, message))
