"""What a tool may return: JSON that PostgreSQL can store, and where a value breaks that."""

from __future__ import annotations

import math
from typing import Any, cast

from seedcore.jsontext import encoder

DEPTH_MAX = 64

_encode = encoder(allow_nan=False)


class BadValue(Exception):
    """A value is not JSON; `pointer` is the place."""

    def __init__(self, pointer: str, reason: str) -> None:
        self.pointer = pointer
        super().__init__(f"{pointer or '/'}: {reason}")


def encode(value: object, depth_max: int = DEPTH_MAX) -> str:
    """Return the JSON text of a value.

    The fast path is the C encoder; only when it or a cheap look at its text finds something odd is
    the value walked in Python to name the place.

    Raises:
        BadValue: It holds something that is not JSON, or that jsonb can't hold (NaN, a NUL
            character, a lone surrogate), or is nested deeper than `depth_max`.
    """
    try:
        text = _encode(value)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        check(value, depth_max)
        raise BadValue("", str(error)) from None
    if "\\u0000" in text or text.count("[") + text.count("{") > depth_max:
        check(value, depth_max)
    return text


def check(value: object, depth_max: int = DEPTH_MAX) -> None:
    """Walk a value and raise `BadValue` at the first place that is not storable JSON."""
    pending: list[tuple[object, str, int]] = [(value, "", 0)]
    while pending:
        node, pointer, depth = pending.pop()
        if depth > depth_max:
            raise BadValue(pointer[:200], f"nested deeper than {depth_max} (or contains itself)")
        if isinstance(node, dict):
            for key, child in cast("dict[Any, Any]", node).items():
                if not isinstance(key, (str, int, float, type(None))):
                    raise BadValue(pointer, f"a key is {type(key).__name__}, not a text")
                _check_scalar(key, pointer)
                step = str(key).replace("~", "~0").replace("/", "~1")
                pending.append((child, f"{pointer}/{step}", depth + 1))
        elif isinstance(node, (list, tuple)):
            items = cast("list[Any]", node)
            pending += [(item, f"{pointer}/{i}", depth + 1) for i, item in enumerate(items)]
        else:
            _check_scalar(node, pointer)


def _check_scalar(node: object, pointer: str) -> None:
    if node is None or isinstance(node, bool):
        return
    if isinstance(node, str):
        _check_text(node, pointer)
    elif isinstance(node, int):
        if node.bit_length() > 14_000:  # about 4,200 digits, just below what Python prints
            raise BadValue(pointer, "an integer of more than 4,200 digits")
    elif isinstance(node, float):
        if not math.isfinite(node):
            raise BadValue(pointer, f"{node} is no JSON number")
    else:
        raise BadValue(
            pointer, f"{type(node).__name__} is not JSON{_CURES.get(type(node).__name__, '')}"
        )


def _check_text(text: str, pointer: str) -> None:
    if "\x00" in text:
        raise BadValue(pointer, "a text with a NUL character can't be stored")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadValue(pointer, "a text with a lone surrogate can't be stored") from None


_CURES = {
    "datetime": "; return its isoformat()",
    "date": "; return its isoformat()",
    "Decimal": "; return str(value) or float(value)",
    "UUID": "; return str(value)",
    "bytes": "; return text, or base64",
    "set": "; return sorted(value)",
    "coroutine": "; await it, or make the tool 'async def'",
}
