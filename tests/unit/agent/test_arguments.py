from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NotRequired

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from seedcore.agent import Tool, ToolContext, tool
from seedcore.agent.arguments import BadArguments


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Place(TypedDict):
    room: str
    floor: NotRequired[int]


@dataclass
class Money:
    cents: int
    currency: str = "EUR"


class Person(BaseModel):
    name: str
    age: int = 0


@tool("demo.every")
def every(
    text: str,
    number: int,
    ratio: float = 0.5,
    flag: bool = False,
    mode: Literal["fast", "slow"] = "fast",
    color: Color = Color.RED,
    level: Level = Level.LOW,
    maybe: int | None = None,
    either: int | str = 0,
    names: list[str] | None = None,
    counts: dict[str, int] | None = None,
    place: Place | None = None,
    money: Money | None = None,
    person: Person | None = None,
    day: date | None = None,
    at: datetime | None = None,
    wait: timedelta | None = None,
    pair: tuple[int, str] | None = None,
    small: Annotated[int, Field(gt=0, le=9, description="a digit")] = 1,
    anything: Any = None,
) -> None: ...


def refused(a_tool: Tool[..., Any], args: object) -> dict[str, str]:
    with pytest.raises(BadArguments) as caught:
        a_tool.arguments.check(args)
    return {problem.pointer: problem.message for problem in caught.value.problems}


def test_each_kind_of_hint_receives_what_it_names():
    given = every.arguments.check(
        {
            "text": "x",
            "number": 3,
            "ratio": 1,
            "flag": True,
            "mode": "slow",
            "color": "blue",
            "level": 2,
            "either": "a",
            "names": ["a"],
            "counts": {"a": 1},
            "place": {"room": "101"},
            "money": {"cents": 5},
            "person": {"name": "Ada"},
            "day": "2031-05-17",
            "at": "2031-05-17T09:30:00Z",
            "wait": "PT90S",
            "pair": [1, "b"],
            "small": 9,
            "anything": [None, {"deep": 1.5}],
        }
    )
    assert given["color"] is Color.BLUE
    assert given["level"] is Level.HIGH
    assert given["money"] == Money(5)
    assert given["person"] == Person(name="Ada")
    assert given["place"] == {"room": "101"}
    assert given["day"] == date(2031, 5, 17)
    assert given["at"].utcoffset() == timedelta(0)
    assert given["wait"] == timedelta(seconds=90)
    assert given["pair"] == (1, "b")
    assert type(given["ratio"]) is float


def test_what_is_left_out_stays_out_so_the_function_s_default_applies():
    assert every.arguments.check({"text": "x", "number": 1}) == {"text": "x", "number": 1}


@pytest.mark.parametrize(
    ("args", "pointer"),
    [
        ({"number": "3"}, "/number"),
        ({"number": 3.0}, "/number"),
        ({"number": True}, "/number"),
        ({"number": None}, "/number"),
        ({"text": 3}, "/text"),
        ({"flag": 1}, "/flag"),
        ({"flag": "true"}, "/flag"),
        ({"ratio": "0.5"}, "/ratio"),
        ({"mode": "medium"}, "/mode"),
        ({"color": "green"}, "/color"),
        ({"small": 10}, "/small"),
        ({"names": ["a", 2]}, "/names/1"),
        ({"counts": {"a/b~c": "x"}}, "/counts/a~1b~0c"),
        ({"place": {}}, "/place/room"),
        ({"place": {"room": "1", "wing": "b"}}, "/place/wing"),
        ({"money": {"cents": "5"}}, "/money/cents"),
        ({"person": {"name": 1}}, "/person/name"),
        ({"day": "tomorrow"}, "/day"),
        ({"unknown": 1}, "/unknown"),
    ],
)
def test_what_does_not_fit_is_named_by_its_pointer(args: dict[str, Any], pointer: str):
    assert list(refused(every, {"text": "x", "number": 1} | args)) == [pointer]


def test_every_misfit_is_listed_with_its_cure():
    with pytest.raises(BadArguments) as caught:
        every.arguments.check({"number": "1", "txt": "x"})
    said = str(caught.value)
    assert "/text: missing (add it)" in said
    assert "/number: input should be a valid integer (it is a text)" in said
    assert "/txt: no such argument (remove it, or correct its name)" in said


def test_the_message_never_repeats_a_value():
    with pytest.raises(BadArguments) as caught:
        every.arguments.check({"text": "x", "number": "hunter2"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("args", [None, [], "text", 1])
def test_arguments_must_be_an_object(args: object):
    assert "" in refused(every, args)


@pytest.mark.parametrize("args", [{"ratio": math.nan}, {"anything": math.inf}, {"text": b"x"}])
def test_arguments_must_be_json(args: object):
    assert "not JSON" in refused(every, args)[""]


def test_the_schema_shows_types_limits_and_defaults():
    schema = every.schema
    assert schema["required"] == ["text", "number"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["small"] == {
        "type": "integer",
        "exclusiveMinimum": 0,
        "maximum": 9,
        "description": "a digit",
        "default": 1,
    }
    assert schema["properties"]["mode"] == {
        "type": "string",
        "enum": ["fast", "slow"],
        "default": "fast",
    }


def test_any_parameter_name_will_do():
    @tool("demo.names")
    def names(json: int, copy: str, model_dump: bool, _private: int = 0) -> None: ...

    args = {"json": 1, "copy": "a", "model_dump": True, "_private": 2}
    assert names.arguments.check(args) == args


def test_the_context_is_no_argument_wherever_it_stands():
    @tool("demo.first")
    def first(ctx: ToolContext, a: int) -> None: ...

    @tool("demo.last")
    def last(a: int, *, context: ToolContext | None = None) -> None: ...

    assert first.arguments.context_parameter == "ctx"
    assert last.arguments.context_parameter == "context"
    assert list(first.schema["properties"]) == list(last.schema["properties"]) == ["a"]
    assert "/ctx" in refused(first, {"a": 1, "ctx": {}})


def test_a_tool_without_parameters_takes_an_empty_object():
    @tool("demo.none")
    def none() -> None: ...

    assert none.arguments.check({}) == {}
    assert list(refused(none, {"a": 1})) == ["/a"]


class NoJson:
    pass


def no_hint(a) -> None: ...
def star(*a: int) -> None: ...
def stars(**a: int) -> None: ...
def positional(a: int, /) -> None: ...
def no_json(a: NoJson) -> None: ...
def function_argument(a: Callable[[], int]) -> None: ...
def old_default(a: int = Field(default=1, gt=0)) -> None: ...
def two_contexts(a: ToolContext, b: ToolContext) -> None: ...
def undefined(a: Undefined) -> None: ...  # noqa: F821


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (no_hint, "has no type hint"),
        (star, r"\*a has no schema"),
        (stars, r"\*a has no schema"),
        (positional, "positional-only"),
        (no_json, "no JSON form"),
        (function_argument, "no JSON Schema"),
        (old_default, "Annotated"),
        (two_contexts, "two parameters"),
        (undefined, "names 'Undefined', which is not defined"),
    ],
)
def test_a_signature_without_schema_is_refused_with_its_cure(
    function: Callable[..., None], says: str
):
    with pytest.raises(TypeError, match=says):
        tool("demo.bad")(function)
