"""From words (environment, flags) and TOML values to typed settings."""

from __future__ import annotations

import dataclasses
import difflib
import math
from typing import Any, cast

from seedcore.config.duration import duration, size

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})
Field = dataclasses.Field[Any]


def kind(field: Field) -> str:
    """Return `str`, `int`, `float` or `bool`."""
    return str(field.type).removesuffix("| None").strip()


def environment_names(field: Field) -> tuple[str, ...]:
    """Return the variables that set a field, best first."""
    plain = field.name.upper()
    return tuple(field.metadata["names"]) or (f"SEEDCORE_{plain}", plain)


def from_text(field: Field, text: str) -> Any:
    """Return the value that a word means for this setting.

    Raises:
        ValueError: It means none; the message says what would.
    """
    word = text.strip()
    wanted = kind(field)
    if word.lower() == field.metadata["unset"]:
        return None
    if wanted == "bool":
        if word.lower() in _TRUE or word.lower() in _FALSE:
            return word.lower() in _TRUE
        raise ValueError(f"{text!r} is neither 1 nor 0")
    if wanted in ("int", "float"):
        return _in_range(field, _number(field, word))
    return _choice(field, word)


def from_toml(field: Field, value: Any) -> Any:
    """Return the value that a TOML value means for this setting.

    Raises:
        ValueError: It has another type, or is out of range.
    """
    wanted = kind(field)
    if isinstance(value, str):
        return from_text(field, value)
    if wanted == "bool" and isinstance(value, bool):
        return value
    if (
        wanted in ("int", "float")
        and isinstance(value, int | float)
        and not isinstance(value, bool)
    ):
        if wanted == "int" and isinstance(value, float):
            raise ValueError(f"{value!r} is not a whole number")
        return _in_range(field, float(value) if wanted == "float" else value)
    if wanted == "str" and isinstance(value, list):
        words = cast("list[Any]", value)
        if all(isinstance(word, str) for word in words):
            return ",".join(words)
    names = {"str": "text", "int": "a whole number", "float": "a number", "bool": "true or false"}
    raise ValueError(f"{value!r} is not {names[wanted]}")


def shown(field: Field, value: Any) -> Any:
    """Return a value as a person would write it."""
    return field.metadata["unset"] if value is None else value


def nearest(word: str, known: list[str]) -> str | None:
    """Return the known word that was probably meant."""
    found = difflib.get_close_matches(word.lower(), known, n=1)
    return found[0] if found else None


def _number(field: Field, word: str) -> int | float:
    unit = field.metadata["unit"]
    wanted = kind(field)
    if wanted == "int":
        try:
            return int(word)
        except ValueError:
            if unit == "bytes":
                return size(word)
            if unit == "MB":
                return size(word) // 1_000_000
            other = f", nor {field.metadata['unset']!r}" if field.metadata["unset"] else ""
            raise ValueError(f"{word!r} is not a whole number{other}") from None
    try:
        number = float(word)
    except ValueError:
        if unit not in ("s", "ms"):
            raise ValueError(f"{word!r} is not a number") from None
        seconds = duration(word)
        return seconds if unit == "s" else seconds * 1000.0
    if not math.isfinite(number):
        raise ValueError(f"{word!r} is not a number")
    return number


def _in_range(field: Field, number: int | float) -> int | float:
    least, most = field.metadata["least"], field.metadata["most"]
    if not math.isfinite(number):
        raise ValueError(f"{number} is not a number")
    if least is not None and number < least:
        raise ValueError(f"{number} is less than {least:g}")
    if most is not None and number > most:
        raise ValueError(f"{number} is more than {most:g}")
    return number


def _choice(field: Field, word: str) -> str | None:
    choices: tuple[str, ...] = field.metadata["choices"]
    if not choices:
        return word or (None if str(field.type).endswith("None") else "")
    for choice in choices:
        if choice.lower() == word.lower():
            return choice
    raise ValueError(f"{word!r} is not one of {', '.join(choices)}")
