"""Values as text: JSON for machines, one-line cells for people and for tsv."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, cast
from uuid import UUID

# C0 and C1 controls, line separators and bidirectional overrides: data must not move the cursor,
# recolour the terminal or reorder what is shown.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def plain(value: Any) -> Any:
    """Return a value made of what JSON has: times as ISO-8601 with Z, durations in seconds."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        pairs = cast("Mapping[Any, Any]", value)
        return {str(plain(k)): plain(v) for k, v in pairs.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in cast("Iterable[Any]", value)]
    return _plain_object(value)


def _plain_object(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, date | UUID | PurePath):
        return str(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value)


def iso(moment: datetime) -> str:
    """Return ISO-8601 in UTC with `Z`; a time without zone is taken as UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


_compact = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=plain
).encode
_indented = json.JSONEncoder(
    ensure_ascii=False,
    allow_nan=False,
    separators=(",", ": "),
    indent=2,
    default=plain,
).encode


def to_json(value: Any, *, indent: bool = False) -> str:
    """Return a JSON document; text stays readable (no \\u escapes)."""
    encode = _indented if indent else _compact
    try:
        return encode(value)
    except (
        TypeError,
        ValueError,
    ):  # NaN, which `plain` makes null; looking for it in every row would cost more
        return encode(plain(value))


def cell(value: Any) -> str:
    """Return one line without control characters: for a table, or for a field of tsv."""
    if type(value) is str:
        # Printable text holds none of the characters that are replaced, and is the usual case.
        return value if value.isprintable() else _CONTROL.sub(_visible, value)
    if value is None:
        return ""
    value = plain(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value if isinstance(value, str) else to_json(value)
    return _CONTROL.sub(_visible, text)


def field(value: Any) -> str:
    """Return a field of tsv: `cell`, with backslashes doubled so that it can be undone."""
    if isinstance(value, str) and "\\" in value:
        value = value.replace("\\", "\\\\")
    return cell(value)


def printable(text: str) -> str:
    """Return text for standard error, where data may be quoted: its own line ends stay, the rest of the
    control characters are shown.
    """
    return text if text.isprintable() else "\n".join(map(cell, text.split("\n")))


def _visible(match: re.Match[str]) -> str:
    character = match.group()
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
