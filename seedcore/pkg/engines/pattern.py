"""Regular expressions whose cost is bounded by the length of the text, whatever the pattern.

The standard `re` backtracks: `(a+)+b` on thirty letters takes minutes, and nothing can stop it. This is the
other classic way, a set of states that is moved along the text once (K. Thompson, 1968; R. Cox, "Regular
Expression Matching Can Be Simple And Fast", 2007), with the sets kept as states of an automaton that is
built while it is used. The syntax is the part of RE2's that needs no memory: no back references, no look
around. `\\d`, `\\w` and `\\s` are ASCII, `.` does not match a line feed, `^` and `$` are the text's ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from seedcore.pkg.engines.errors import PolicyError
from seedcore.pkg.model import MAX_PATTERN_CHARS

MAX_TEXT_CHARS: Final = 4096
"""Longest text that is searched."""
_MAX_REPEAT: Final = 64
_MAX_NODES: Final = 512
_MAX_SETS: Final = 1000

_DIGIT = ((48, 57),)
_WORD = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE = ((9, 10), (12, 13), (32, 32))
_SHORT = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_CONTROL = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_SPECIAL = frozenset("\\.+*?()|[]{}^$")

Ranges = tuple[tuple[int, int], ...]


class BadPattern(ValueError):
    """The pattern can't be used; the message says why, and at which character."""


@dataclass(slots=True)
class _Node:
    """One state. `kind`: char, split, begin, end, match."""

    kind: str
    ranges: Ranges = ()
    negated: bool = False
    out: list[int] = field(default_factory=list[int])


@dataclass(slots=True)
class _Set:
    """States that are reached at once, and where each character leads from there."""

    nodes: frozenset[int]
    matches: bool
    matches_at_end: bool
    after: dict[str, _Set] = field(default_factory=dict[str, "_Set"])


class Pattern:
    """A compiled pattern.

    Args:
        text: The pattern.

    Raises:
        BadPattern: It is too long, not well-formed, or needs what is not supported.
    """

    def __init__(self, text: str) -> None:
        if len(text) > MAX_PATTERN_CHARS:
            raise BadPattern(f"longer than {MAX_PATTERN_CHARS} characters")
        parser = _Parser(text)
        self._start, self._nodes = parser.parse()
        self._fold = parser.fold
        self._sets: dict[frozenset[int], _Set] = {}
        self._first = self._set(self._closure([self._start], at_begin=True))

    def search(self, text: str) -> bool:
        """Tell whether the pattern matches anywhere in a text.

        Raises:
            PolicyError: The text is longer than `MAX_TEXT_CHARS`.
        """
        if len(text) > MAX_TEXT_CHARS:
            raise PolicyError(
                f"a pattern is to search a text of {len(text):,} characters; at most"
                f" {MAX_TEXT_CHARS:,} are searched",
                code="pkg.text_too_long",
            )
        current = self._first
        for char in text:
            if current.matches:
                return True
            current = current.after.get(char) or self._step(current, char)
        return current.matches or current.matches_at_end

    def _step(self, current: _Set, char: str) -> _Set:
        nodes = self._nodes
        reached = [
            nodes[index].out[0]
            for index in current.nodes
            if nodes[index].kind == "char" and self._takes(nodes[index], char)
        ]
        # A match may begin at every character.
        reached.append(self._start)
        following = self._set(self._closure(reached, at_begin=False))
        current.after[char] = following
        return following

    def _takes(self, node: _Node, char: str) -> bool:
        found = _within(node.ranges, char)
        if not found and self._fold:
            found = any(_within(node.ranges, other) for other in (char.lower(), char.upper()))
        return found != node.negated

    def _set(self, nodes: frozenset[int]) -> _Set:
        known = self._sets.get(nodes)
        if known is None:
            if len(self._sets) >= _MAX_SETS:
                for old in self._sets.values():
                    old.after.clear()
                self._sets.clear()
            known = _Set(
                nodes,
                any(self._nodes[index].kind == "match" for index in nodes),
                any(
                    self._nodes[index].kind == "match"
                    for index in self._closure(nodes, at_end=True)
                ),
            )
            self._sets[nodes] = known
        return known

    def _closure(
        self, start: Iterable[int], *, at_begin: bool = False, at_end: bool = False
    ) -> frozenset[int]:
        seen: set[int] = set()
        waiting = list(start)
        while waiting:
            index = waiting.pop()
            if index in seen:
                continue
            seen.add(index)
            node = self._nodes[index]
            if (
                node.kind == "split"
                or (node.kind == "begin" and at_begin)
                or (node.kind == "end" and at_end)
            ):
                waiting.extend(node.out)
        return frozenset(seen)


def _within(ranges: Ranges, char: str) -> bool:
    if len(char) != 1:  # some letters fold to two
        return False
    code = ord(char)
    return any(low <= code <= high for low, high in ranges)


@dataclass(slots=True)
class _Part:
    """A piece of the automaton: where it begins, and whose exits are still open."""

    start: int
    exits: list[int]


class _Parser:
    """Reads a pattern into states, from left to right.

    Args:
        text: The pattern.
    """

    def __init__(self, text: str) -> None:
        self.fold = text.startswith("(?i)")
        self._text = text
        self._at = 4 if self.fold else 0
        self._nodes: list[_Node] = []
        self._depth = 0

    def parse(self) -> tuple[int, list[_Node]]:
        """Return the first state and all of them."""
        part = self._alternatives()
        if self._at < len(self._text):
            raise self._bad("this closes no group")
        self._join(part.exits, self._node(_Node("match")))
        return part.start, self._nodes

    def _alternatives(self) -> _Part:
        part = self._sequence()
        while self._take("|"):
            other = self._sequence()
            split = self._node(_Node("split", out=[part.start, other.start]))
            part = _Part(split, part.exits + other.exits)
        return part

    def _sequence(self) -> _Part:
        whole: _Part | None = None
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            part = self._repeated()
            if whole is None:
                whole = part
            else:
                self._join(whole.exits, part.start)
                whole = _Part(whole.start, part.exits)
        if whole is None:
            empty = self._node(_Node("split"))
            return _Part(empty, [empty])
        return whole

    def _repeated(self) -> _Part:
        began = self._at
        part = self._atom()
        bounds = self._bounds()
        if bounds is None:
            return part
        self._take("?")  # whether it is lazy makes no difference to whether there is a match
        if self._at < len(self._text) and self._text[self._at] in "*+?{":
            raise self._bad("a repeat of a repeat")
        low, high = bounds
        end = self._at
        parts = [part]
        while len(parts) < max(low, high or 0, 1):
            self._at = began
            parts.append(self._atom())
        self._at = end
        return self._chain(parts, low, high)

    def _chain(self, parts: list[_Part], low: int, high: int | None) -> _Part:
        """Lay copies of a part behind each other: `low` that must be, the rest that may."""
        if high == 0:
            empty = self._node(_Node("split"))
            return _Part(empty, [empty])
        ends: list[int] = []
        start: int | None = None
        exits: list[int] = []
        for number, part in enumerate(parts):
            first = part.start
            is_last = number == len(parts) - 1
            if number >= low or (is_last and high is None and low == 0):
                first = self._node(_Node("split", out=[part.start]))
                ends.append(first)
            if start is None:
                start = first
            else:
                self._join(exits, first)
            exits = part.exits
            if is_last and high is None:
                loop = self._node(_Node("split", out=[part.start]))
                self._join(exits, loop)
                exits = [loop]
        assert start is not None  # noqa: S101 - there is at least one part
        return _Part(start, exits + ends)

    def _bounds(self) -> tuple[int, int | None] | None:
        if self._take("*"):
            return 0, None
        if self._take("+"):
            return 1, None
        if self._take("?"):
            return 0, 1
        if not self._take("{"):
            return None
        end = self._text.find("}", self._at)
        low, comma, high = self._text[self._at : max(end, self._at)].partition(",")
        if end < 0 or not low.isdecimal() or (high and not high.isdecimal()):
            raise self._bad("a repeat is {2}, {2,} or {2,5}")
        bounds = int(low), (int(high) if high else None) if comma else int(low)
        if max(bounds[0], bounds[1] or 0) > _MAX_REPEAT:
            raise self._bad(f"a repeat of more than {_MAX_REPEAT}")
        if bounds[1] is not None and bounds[1] < bounds[0]:
            raise self._bad("a repeat whose ends are swapped")
        self._at = end + 1
        return bounds

    def _atom(self) -> _Part:
        char = self._text[self._at]
        if char == "(":
            return self._group()
        if char in "*+?{":
            raise self._bad("nothing to repeat")
        self._at += 1
        if char == ".":
            return self._single(((10, 10),), negated=True)
        if char in "^$":
            node = self._node(_Node("begin" if char == "^" else "end"))
            return _Part(node, [node])
        if char == "[":
            return self._single(*self._class())
        if char == "\\":
            return self._single(*self._escape())
        return self._single(((ord(char), ord(char)),))

    def _group(self) -> _Part:
        began = self._at
        self._at += 1
        if self._take("?") and not self._take(":"):
            self._at = began
            raise self._bad("only (…), (?:…) and a leading (?i) are supported")
        self._depth += 1
        if self._depth > 20:
            raise self._bad("groups nested too deeply")
        part = self._alternatives()
        self._depth -= 1
        if not self._take(")"):
            self._at = began
            raise self._bad("a group that is not closed")
        return part

    def _escape(self) -> tuple[Ranges, bool]:
        if self._at >= len(self._text):
            raise self._bad("a backslash at the end")
        char = self._text[self._at]
        self._at += 1
        if char.lower() in _SHORT:
            return _SHORT[char.lower()], char.isupper()
        if char in _CONTROL:
            char = _CONTROL[char]
        elif char.isalnum():
            self._at -= 1
            raise self._bad(f"\\{char} is not supported")
        return ((ord(char), ord(char)),), False

    def _class(self) -> tuple[Ranges, bool]:
        began = self._at - 1
        negated = self._take("^")
        ranges: list[tuple[int, int]] = []
        while True:
            if self._at >= len(self._text):
                self._at = began
                raise self._bad("a set that is not closed")
            char = self._text[self._at]
            self._at += 1
            if char == "]" and ranges:
                return tuple(ranges), negated
            if char == "\\":
                found, is_negated = self._escape()
                if is_negated:
                    raise self._bad("\\D, \\W and \\S can't stand in a set")
                ranges.extend(found)
                first, last_code = ranges[-1]
                if len(found) > 1 or first != last_code:
                    continue
                char = chr(first)
            else:
                ranges.append((ord(char), ord(char)))
            if self._text[self._at : self._at + 1] == "-" and self._text[
                self._at + 1 : self._at + 2
            ] not in ("", "]"):
                self._at += 1
                last = self._text[self._at]
                self._at += 1
                if last == "\\":
                    last = next((chr(low) for low, _ in self._escape()[0]), last)
                if ord(last) < ord(char):
                    raise self._bad("a range whose ends are swapped")
                ranges[-1] = (ord(char), ord(last))

    def _single(self, ranges: Ranges, negated: bool = False) -> _Part:
        node = self._node(_Node("char", ranges, negated))
        return _Part(node, [node])

    def _node(self, node: _Node) -> int:
        if len(self._nodes) >= _MAX_NODES:
            raise BadPattern(f"more than {_MAX_NODES} steps; its repeats are too large")
        self._nodes.append(node)
        return len(self._nodes) - 1

    def _join(self, exits: list[int], target: int) -> None:
        for index in exits:
            self._nodes[index].out.append(target)

    def _take(self, char: str) -> bool:
        if self._text.startswith(char, self._at):
            self._at += len(char)
            return True
        return False

    def _bad(self, reason: str) -> BadPattern:
        return BadPattern(f"{reason} (character {min(self._at, len(self._text)) + 1})")
