"""A tool's arguments: the schema that its type hints mean, and the check of a call against it."""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NotRequired, Required

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from typing_extensions import TypedDict

from seedcore.agent.context import ToolContext
from seedcore.agent.docstring import argument_texts
from seedcore.jsontext import encoder

_encode = encoder(allow_nan=False)

_CURE = {
    "missing": "add it",
    "extra_forbidden": "remove it, or correct its name",
}


class ArgumentProblem(NamedTuple):
    """One thing wrong with a call's arguments."""

    pointer: str
    message: str
    cure: str

    def __str__(self) -> str:
        """Say it in one line: where, what, and what to do."""
        return f"{self.pointer or '/'}: {self.message} ({self.cure})"


class BadArguments(Exception):
    """The arguments of a call don't fit the tool's schema; `problems` lists every misfit."""

    def __init__(self, problems: list[ArgumentProblem]) -> None:
        self.problems = problems
        super().__init__("; ".join(str(problem) for problem in problems))


class Arguments:
    """The parameters of one tool: their schema, and the check that a call passes.

    Attributes:
        schema: JSON Schema of the arguments object.
        context_parameter: Name of the parameter that receives the `ToolContext`, if any.
    """

    def __init__(
        self, adapter: TypeAdapter[Any], schema: dict[str, Any], context_parameter: str | None
    ) -> None:
        self.schema = schema
        self.context_parameter = context_parameter
        self._validate_json = adapter.validator.validate_json

    @classmethod
    def of(
        cls, name: str, function: Callable[..., Any], local_names: Mapping[str, Any]
    ) -> Arguments:
        """Read a function's signature.

        Args:
            name: The tool's name, for messages.
            function: The function that will be called.
            local_names: Names beside the module's that its hints may use.

        Raises:
            TypeError: A parameter has no hint, or one that has no JSON form.
        """
        hints = _hints(name, function, local_names)
        fields: dict[str, Any] = {}
        defaults: dict[str, Any] = {}
        context_parameter = None
        for parameter in inspect.signature(function).parameters.values():
            hint = _hint_of(name, parameter, hints)
            if hint is ToolContext:
                if context_parameter is not None:
                    raise TypeError(f"tool {name!r}: two parameters are a ToolContext")
                context_parameter = parameter.name
            elif parameter.default is parameter.empty:
                fields[parameter.name] = Required[hint]
            else:
                fields[parameter.name] = NotRequired[hint]
                defaults[parameter.name] = parameter.default
        adapter = _adapter(name, fields)
        schema = _schema(name, adapter, defaults)
        for parameter_name, text in argument_texts(function.__doc__).items():
            if parameter_name in schema["properties"]:
                schema["properties"][parameter_name].setdefault("description", text)
        return cls(adapter, schema, context_parameter)

    def check(self, args: object) -> dict[str, Any]:
        """Return the arguments as the function wants them.

        They are judged as the JSON they are: a text is not a number, but a text may be a date, and
        an object a dataclass, where the hint says so.

        Args:
            args: What the caller gave: JSON-ready.

        Raises:
            BadArguments: They don't fit, or are not JSON.
        """
        try:
            return self._validate_json(_encode(args))
        except ValidationError as refused:
            errors = refused.errors(include_url=False, include_context=False)
            raise BadArguments([_problem(error) for error in errors]) from None
        except (TypeError, ValueError, RecursionError) as not_json:
            raise BadArguments(
                [ArgumentProblem("", f"not JSON: {not_json}", "give a JSON object")]
            ) from None


def _hints(
    name: str, function: Callable[..., Any], local_names: Mapping[str, Any]
) -> dict[str, Any]:
    try:
        # include_extras keeps Annotated[int, Field(gt=0)] whole
        return typing.get_type_hints(function, localns=dict(local_names), include_extras=True)
    except NameError as unknown:
        raise TypeError(
            f"tool {name!r}: a type hint names {unknown.name!r}, which is not defined there;"
            " define or import it above the tool (not under TYPE_CHECKING)"
        ) from unknown


def _hint_of(name: str, parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Any:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise TypeError(
            f"tool {name!r}: *{parameter.name} has no schema; name each argument,"
            " or take one dict[str, Any]"
        )
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise TypeError(
            f"tool {name!r}: {parameter.name!r} is positional-only, but arguments are given by name"
        )
    if parameter.name not in hints:
        raise TypeError(
            f"tool {name!r}: parameter {parameter.name!r} has no type hint; write one"
            f" ('{parameter.name}: Any' takes anything)"
        )
    if isinstance(parameter.default, FieldInfo):
        raise TypeError(
            f"tool {name!r}: write '{parameter.name}: Annotated[…, Field(…)] = default',"
            " not '= Field(…)'"
        )
    hint = hints[parameter.name]
    if hint == ToolContext | None:
        return ToolContext
    return hint


def _adapter(name: str, fields: dict[str, Any]) -> TypeAdapter[Any]:
    # A TypedDict, not a model: parameters may bear any name ("json", "copy"), and an argument that
    # is left out stays out, so that the function's own default applies.
    make_shape: Any = TypedDict
    shape: Any = make_shape("Arguments", fields)
    shape.__pydantic_config__ = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    try:
        return TypeAdapter(shape)
    except PydanticUserError as refused:
        raise TypeError(
            f"tool {name!r}: a type hint has no JSON form: {refused.message.splitlines()[0]}"
        ) from refused


def _schema(name: str, adapter: TypeAdapter[Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    try:
        schema = adapter.json_schema()
    except PydanticUserError as refused:
        raise TypeError(
            f"tool {name!r}: a type hint has no JSON Schema: {refused.message.splitlines()[0]}"
        ) from refused
    schema.pop("title", None)
    properties: dict[str, dict[str, Any]] = schema.setdefault("properties", {})
    for shown in properties.values():
        shown.pop("title", None)
    for parameter, default in defaults.items():
        try:
            properties[parameter]["default"] = json.loads(json.dumps(default, allow_nan=False))
        except (TypeError, ValueError):
            continue  # a default without JSON form is simply not shown
    return schema


def _problem(error: Any) -> ArgumentProblem:
    """Turn one of pydantic's errors into a pointer, a sentence and a cure."""
    kind, location = str(error["type"]), error["loc"]
    pointer = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)
    if kind == "missing":
        return ArgumentProblem(pointer, "missing", _CURE[kind])
    if kind == "extra_forbidden":
        return ArgumentProblem(pointer, "no such argument", _CURE[kind])
    given = _kind_of(error["input"])
    message = str(error["msg"])
    message = message[:1].lower() + message[1:]
    return ArgumentProblem(pointer, message, f"it is {given}")


def _kind_of(value: object) -> str:
    """Name the JSON type of a value, never the value: it may be a secret."""
    if value is None:
        return "null"
    names = {
        "bool": "a boolean",
        "int": "an integer",
        "float": "a number",
        "str": "a text",
        "list": "an array",
        "dict": "an object",
    }
    return names.get(type(value).__name__, type(value).__name__)
