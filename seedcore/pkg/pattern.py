"""Regular expressions of MATCHES: bounded, and without the nesting that makes a search take forever."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from typing import Any, cast

from seedcore.pkg.model import MAX_PATTERN_CHARS

_MAX_REPEATS = 4
"""Each further `.*` beside others multiplies the time by the length of the text."""
# The tree of a pattern: in the standard library since 3.11, without stubs, and the only way to see how
# repetitions are nested.
_parser: Any = import_module("re._parser")
_constants: Any = import_module("re._constants")
_REPEATS: tuple[Any, ...] = (
    _constants.MAX_REPEAT,
    _constants.MIN_REPEAT,
    _constants.POSSESSIVE_REPEAT,
)
_REFERENCES: tuple[Any, ...] = (_constants.GROUPREF, _constants.GROUPREF_EXISTS)
_MAX_TIMES = 1000


@lru_cache(maxsize=4096)
def compile_pattern(text: str) -> re.Pattern[str]:
    """Return the pattern, to be searched for anywhere in a text.

    Python's `re` backtracks: `(a+)+b` takes time exponential in the length of the text. So what is
    repeated must not repeat or branch inside, and groups can't be referred to.

    Args:
        text: A regular expression of at most `MAX_PATTERN_CHARS` characters.

    Raises:
        ValueError: It is too long, no regular expression, or could take forever; the message says which.
    """
    if len(text) > MAX_PATTERN_CHARS:
        raise ValueError(
            f"the pattern has {len(text)} characters, at most {MAX_PATTERN_CHARS} are allowed"
        )
    try:
        compiled = re.compile(text)
        tree: Any = _parser.parse(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"the pattern is no regular expression: {error}") from None
    repeats = 0
    for word, arguments in _walk(tree):
        if word in _REFERENCES:
            raise ValueError("the pattern refers back to a group, which could take forever")
        if word not in _REPEATS or arguments[1] == 1:
            continue
        if arguments[1] is not _constants.MAXREPEAT and arguments[1] > _MAX_TIMES:
            raise ValueError(f"the pattern repeats something more than {_MAX_TIMES} times")
        if arguments[0] != arguments[1]:
            repeats += 1
        if any(inner in _REPEATS or inner is _constants.BRANCH for inner, _ in _walk(arguments[2])):
            raise ValueError(
                "the pattern repeats what repeats or branches inside, which could take forever"
            )
    if repeats > _MAX_REPEATS:
        raise ValueError(
            f"the pattern has {repeats} open repetitions, at most {_MAX_REPEATS} are allowed"
        )
    return compiled


def _walk(node: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every operation of a tree with its arguments."""
    if isinstance(node, _parser.SubPattern):
        for word, arguments in node:
            yield word, arguments
            yield from _walk(arguments)
    elif isinstance(node, (list, tuple)):
        for part in cast("list[Any]", node):
            yield from _walk(part)
