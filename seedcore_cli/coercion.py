"""Turn the words of a command line into values without loading pydantic.

typer validates every parameter with a pydantic adapter, even an option that was not given. That
costs 0.1 s, as much as everything else before the first query. The types our commands use need none
of it; anything else is left to typer.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin

import typer

_NUMBER_NAMES: dict[type, str] = {int: "a whole number", float: "a number"}


def lighten(parameters: list[Any]) -> None:
    """Give each of typer's parameters our converter, where we know its type, and a placeholder.

    Without one the help would show Python's types.
    """
    for parameter in parameters:
        descriptor = getattr(parameter, "type_descriptor", None)
        if descriptor is None:
            continue
        convert = _converter(descriptor.annotation, descriptor.parameter_info)
        if convert is not None:
            parameter._runtime_param = _Words(convert)
        if parameter.metavar is None:
            parameter.metavar = _placeholder(parameter, descriptor.annotation)


class _Words:
    """What typer asks for when it processes a value."""

    def __init__(self, convert: Callable[[Any], Any]) -> None:
        self._convert = convert

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the value of one parameter; lists element by element."""
        many = param.multiple or param.nargs == -1
        if value is None:
            return () if many else None
        try:
            return [self._convert(v) for v in value] if many else self._convert(value)
        except ValueError as error:
            raise typer.BadParameter(str(error), ctx=ctx, param=param) from error


def _converter(annotation: Any, info: Any) -> Callable[[Any], Any] | None:
    if get_origin(annotation) is list:
        return _converter(get_args(annotation)[0], info)
    if info.parser is not None:
        parser = info.parser
        return lambda value: parser(value) if isinstance(value, str) else value
    if not isinstance(annotation, type):
        return None
    if issubclass(annotation, Enum):
        return lambda value: _choice(annotation, value)
    if annotation in _NUMBER_NAMES:
        return lambda value: _number(annotation, value, info.min, info.max)
    if annotation is Path:
        return Path if _is_bare_path(info) else None
    if annotation in (str, bool):
        return annotation
    return None


def _placeholder(parameter: Any, annotation: Any) -> str:
    if get_origin(annotation) is list:
        annotation = get_args(annotation)[0]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "|".join(str(member.value) for member in annotation)
    if parameter.param_type_name == "argument":
        return str(parameter.name).strip("_").upper()
    if annotation in (int, float):
        return "N"
    return "PATH" if annotation is Path else "TEXT"


def _is_bare_path(info: Any) -> bool:
    asked = ("exists", "resolve_path", "allow_dash", "writable")
    return not any(getattr(info, name, False) for name in asked)


def _choice(kind: type[Enum], value: Any) -> Enum:
    if isinstance(value, kind):
        return value
    for member in kind:
        if str(member.value).lower() == str(value).lower():
            return member
    choices = ", ".join(str(member.value) for member in kind)
    raise ValueError(f"{value!r} is not one of {choices}.")


def _number(kind: Any, value: Any, least: float | None, most: float | None) -> Any:
    try:
        number = kind(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{value!r} is not {_NUMBER_NAMES[kind]}.") from None
    if number != number:
        raise ValueError(f"{value!r} is not {_NUMBER_NAMES[kind]}.")
    if least is not None and number < least:
        raise ValueError(f"{value} is less than {least}.")
    if most is not None and number > most:
        raise ValueError(f"{value} is more than {most}.")
    return number
