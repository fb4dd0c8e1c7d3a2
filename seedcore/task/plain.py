"""What JSON a task may carry: exactly what PostgreSQL's jsonb keeps and gives back unchanged.

JSON text can say things that do not survive storage: jsonb has no place for a NUL character or half a
surrogate pair, silently keeps the last of two equal keys, and holds numbers that no reader with double
precision can take back. All of them are refused here, with a pointer to the spot, before anything is
stored.
"""

from __future__ import annotations

import codecs
import json
import math
import re
import sys
from collections.abc import Iterator
from typing import Any, Final, cast

from seedcore.errors import UsageError

MAX_DEPTH: Final = 64
"""How many objects and lists may lie inside each other, the document itself included."""

_LARGEST: Final = int(sys.float_info.max)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_DIGIT: Final = re.compile("[1-9]")
_SAFE_LENGTH: Final = 309  # a whole number written shorter than this always fits a double


class InvalidJson(UsageError):
    """The text is not JSON that can be stored.

    Args:
        reason: What is wrong, without the place.
        line: Line of a syntax error, counted from 1.
        column: Column of a syntax error, counted from 1.
        pointer: JSON pointer to a value that is well-formed but can't be kept.
    """

    code = "json.invalid"

    def __init__(
        self,
        reason: str,
        *,
        line: int | None = None,
        column: int | None = None,
        pointer: str | None = None,
    ) -> None:
        place = ""
        if line is not None:
            place = f" at line {line} column {column}"
        elif pointer is not None:
            place = f" at {pointer or 'the top'}"
        super().__init__(
            f"not valid JSON{place}: {reason}",
            details={
                key: value
                for key, value in (
                    ("reason", reason),
                    ("line", line),
                    ("column", column),
                    ("pointer", pointer),
                )
                if value is not None
            },
        )
        self.reason = reason
        self.line = line
        self.column = column
        self.pointer = pointer


def pointer(*parts: str | int) -> str:
    """Return the JSON pointer (RFC 6901) to a path of keys and positions."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def compact_json(value: Any) -> str:
    """Return the shortest JSON text of a value; its UTF-8 length is what size limits count.

    Raises:
        ValueError: It holds NaN or an infinity.
        TypeError: It holds something that JSON does not have.
    """
    return _compact(value)


_compact: Final = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False
).encode


def is_plain(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Tell whether a value comes back from jsonb as it went in.

    Args:
        value: What `json.loads` would return, or anything else (then the answer is no).
        depth: How many levels of objects and lists are still allowed.
    """
    if type(value) is dict:
        if depth < 1:
            return False
        for key, item in cast("dict[Any, Any]", value).items():
            if type(key) is not str or "\0" in key or not (key.isascii() or _is_unicode(key)):
                return False
            if type(item) is str:  # most values are, and a call for each would double the time
                if "\0" in item or not (item.isascii() or _is_unicode(item)):
                    return False
            elif not is_plain(item, depth - 1):
                return False
        return True
    if type(value) is list:
        return depth >= 1 and all(is_plain(item, depth - 1) for item in cast("list[Any]", value))
    if type(value) is str:
        return "\0" not in value and (value.isascii() or _is_unicode(value))
    if type(value) is int:
        return -_LARGEST <= value <= _LARGEST
    if type(value) is float:
        return math.isfinite(value)
    return value is None or type(value) is bool


def _is_unicode(text: str) -> bool:
    return _SURROGATE.search(text) is None


def faults(value: Any, *path: str | int, depth: int = MAX_DEPTH) -> Iterator[tuple[str, str]]:
    """Yield (pointer, reason) for everything in a value that jsonb can't keep.

    Args:
        value: The value to look through.
        path: Where the value itself lies, to be put before every pointer.
        depth: How many levels of objects and lists are still allowed.
    """
    reason = _scalar_fault(value)
    if reason is not None:
        yield pointer(*path), reason
    elif isinstance(value, (dict, list)) and depth < 1:
        yield pointer(*path), f"nested more than {MAX_DEPTH} levels deep"
    elif isinstance(value, _Pairs):
        seen: set[str] = set()
        for key, item in value:
            if key in seen:
                yield pointer(*path, key), f"the key {_quoted(key)} occurs twice in one object"
            seen.add(key)
            yield from _member_faults(key, item, path, depth)
    elif isinstance(value, dict):
        for key, item in cast("dict[Any, Any]", value).items():
            yield from _member_faults(key, item, path, depth)
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from faults(item, *path, index, depth=depth - 1)


def _member_faults(
    key: Any, item: Any, path: tuple[str | int, ...], depth: int
) -> Iterator[tuple[str, str]]:
    if not isinstance(key, str):
        yield pointer(*path, str(key)), f"a key has to be text, not {type(key).__name__}"
        return
    reason = _text_fault(key)
    if reason is not None:
        # The pointer names the key as it can be shown; the raw one would break the output.
        shown = key.replace("\0", "\\u0000").encode("ascii", "backslashreplace").decode()
        yield pointer(*path, shown), f"the key holds {reason}"
    yield from faults(item, *path, key, depth=depth - 1)


def _scalar_fault(value: Any) -> str | None:
    if isinstance(value, _Refused):
        return value.reason
    if value is None or isinstance(value, (bool, dict, list)):
        return None
    if isinstance(value, str):
        fault = _text_fault(value)
        return f"the text holds {fault}" if fault else None
    if isinstance(value, int):
        return None if -_LARGEST <= value <= _LARGEST else _TOO_LARGE
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{value} is not a JSON number"
    return f"{type(value).__name__} is not a JSON value"


def _text_fault(text: str) -> str | None:
    if "\0" in text:
        return "a NUL character (\\u0000), which PostgreSQL can't store"
    if not text.isascii() and (match := _SURROGATE.search(text)):
        return f"half a surrogate pair (\\u{ord(match.group()):04x})"
    return None


def _quoted(text: str) -> str:
    return json.dumps(text if len(text) <= 60 else text[:59] + "…")


_TOO_LARGE: Final = "the number is larger than a double can hold (about 1.8e308)"


class _Refused:
    """Stands for a token that parses but can't be kept."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class _Pairs(list[tuple[str, Any]]):
    """An object with its keys as written, repeated ones included."""


class _SuspectError(ValueError):
    """Parsing met something that the slow, explaining pass has to look at."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _SuspectError
    return value


def _constant(_: str) -> Any:
    raise _SuspectError


def _integer(text: str) -> int:
    return int(text) if len(text) < _SAFE_LENGTH else _kept(_exact_integer(text))


def _real(text: str) -> float:
    value = float(text)
    return _kept(_exact_real(text)) if value == 0 or math.isinf(value) else value


def _kept(value: Any) -> Any:
    if isinstance(value, _Refused):
        raise _SuspectError
    return value


def _exact_integer(text: str) -> Any:
    # int() has a limit on digits of its own, far above this one.
    value = int(text) if len(text) < _SAFE_LENGTH + 2 else math.inf
    return value if abs(value) <= _LARGEST else _Refused(_TOO_LARGE)


def _exact_real(text: str) -> Any:
    value = float(text)
    if math.isinf(value):
        return _Refused(_TOO_LARGE)
    if value == 0 and _DIGIT.search(text.lower().partition("e")[0]):
        return _Refused("the number is too small for a double and would become 0")
    return value


_decode: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_real
).decode
_decode_slowly: Final = json.JSONDecoder(
    object_pairs_hook=_Pairs,
    parse_constant=lambda name: _Refused(f"{name} is not a JSON number"),
    parse_int=_exact_integer,
    parse_float=_exact_real,
).decode


def load_json(text: str | bytes | bytearray) -> Any:
    """Parse JSON text strictly.

    Beyond the grammar it refuses repeated keys, NaN and infinities, numbers outside the range of a
    double, NUL characters, halves of surrogate pairs and more than `MAX_DEPTH` levels. What it returns
    needs no further check before it is stored.

    Args:
        text: One JSON document; bytes are UTF-8.

    Raises:
        InvalidJson: With line and column of a syntax error, or the pointer to what can't be kept.
    """
    if not isinstance(text, str):
        text = _decoded(bytes(text))
    try:
        value = _decode(text)
    except json.JSONDecodeError as error:
        raise _syntax_error(text, error) from None
    except (ValueError, RecursionError):
        raise _explained(text) from None
    # Numbers and keys have been judged while parsing. Text can be bad only through an escape, or through
    # what the caller's str held before; only many brackets can nest deeply. So most never take the walk.
    if (
        "\\u" in text or not text.isascii() or text.count("{") + text.count("[") > MAX_DEPTH
    ) and not is_plain(value):
        raise _explained(text)
    return value


def _decoded(raw: bytes) -> str:
    if raw.startswith(codecs.BOM_UTF8):
        raise InvalidJson(
            "the text starts with a byte order mark; save it without", line=1, column=1
        )
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        raise InvalidJson(
            f"byte 0x{raw[error.start]:02x} is not UTF-8",
            line=before.count(b"\n") + 1,
            column=len(before.rpartition(b"\n")[2].decode(errors="replace")) + 1,
        ) from None


def _syntax_error(text: str, error: json.JSONDecodeError) -> InvalidJson:
    if not text.strip():
        return InvalidJson("the text is empty", line=1, column=1)
    reason = error.msg[:1].lower() + error.msg[1:]
    if text[error.pos : error.pos + 1] == "'":
        reason += "; JSON writes text in double quotes"
    return InvalidJson(reason, line=error.lineno, column=error.colno)


def _explained(text: str) -> InvalidJson:
    try:
        value = _decode_slowly(text)
    except json.JSONDecodeError as error:
        return _syntax_error(text, error)
    except RecursionError:
        return InvalidJson(f"nested more than {MAX_DEPTH} levels deep", pointer="")
    where, reason = next(iter(faults(value)))
    return InvalidJson(reason, pointer=where)
