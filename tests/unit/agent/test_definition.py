from __future__ import annotations

import pytest

from seedcore.agent import Tool, ToolError, tool


@pytest.mark.parametrize("name", ["echo", "billing.charge", "a1.b_2.c", "x" * 120])
def test_dotted_lower_case_names_are_taken(name: str):
    @tool(name)
    def function() -> None: ...

    assert function.name == name


@pytest.mark.parametrize(
    "name",
    ["", "Billing", "billing.", ".charge", "billing..charge", "1st", "a-b", "a b", "ä", "x" * 121],
)
def test_other_names_are_refused_where_they_are_written(name: str):
    with pytest.raises(ValueError, match="dotted lower-case"):
        tool(name)


def test_the_decorated_function_can_still_be_called():
    @tool("demo.add")
    def add(a: int, b: int = 2) -> int:
        """Add two numbers.

        With a second paragraph.
        """
        return a + b

    assert isinstance(add, Tool)
    assert add(40) == 42
    assert add.description == "Add two numbers."
    assert add.origin.startswith(f"{__file__}:")


def test_at_least_once_is_the_default():
    @tool("demo.plain")
    def plain() -> None: ...

    assert plain.idempotent
    assert not plain.at_most_once


@pytest.mark.parametrize("promise", [{"idempotent": False}, {"at_most_once": True}])
def test_both_ways_to_promise_at_most_once_mean_the_same(promise: dict[str, bool]):
    @tool("demo.charge", **promise)
    def charge() -> None: ...

    assert charge.at_most_once
    assert not charge.idempotent


@pytest.mark.parametrize("both", [True, False])
def test_contradicting_promises_are_refused(both: bool):
    with pytest.raises(ValueError, match="contradicts"):
        tool("demo.charge", idempotent=both, at_most_once=both)


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan")])
def test_a_time_out_must_be_positive(timeout_s: float):
    with pytest.raises(ValueError, match="timeout_s"):
        tool("demo.slow", timeout_s=timeout_s)


@pytest.mark.parametrize("handles", ["charge", [""], ["charge", " "]])
def test_handles_must_be_a_list_of_types(handles: list[str]):
    with pytest.raises(ValueError, match="handles"):
        tool("demo.charge", handles=handles)


def test_a_generator_is_refused():
    with pytest.raises(TypeError, match="return a list"):

        @tool("demo.many")
        def many() -> object:
            yield 1


def test_only_functions_can_be_tools():
    with pytest.raises(TypeError, match="decorates a function"):
        tool("demo.number")(int)


def test_a_tool_error_says_how_to_go_on():
    error = ToolError("no such account", permanent=True)
    assert (str(error), error.permanent, error.retry_after) == ("no such account", True, None)
    assert ToolError("busy", retry_after=7.5).retry_after == 7.5
