from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Invoke
from tests.program import Program

PLUGIN = '''
import time
from seedcore.agent import ToolContext, ToolError, tool

@tool("shop.price", timeout_s=5, handles=["price"])
def price(article: str, count: int = 1) -> dict:
    """Tell what some articles cost.

    More about it.
    """
    return {"cents": 250 * count, "article": article}

@tool("shop.fail")
def fail(permanent: bool = False):
    raise ToolError("sold out", permanent=permanent)

@tool("shop.bug")
def bug():
    return 1 // 0

@tool("shop.slow", at_most_once=True)
def slow(ctx: ToolContext):
    while not ctx.cancelled():
        time.sleep(0.01)
'''


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module in the current directory, named in SEEDCORE_PLUGINS."""
    name = f"shop_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(PLUGIN)
    before = list(sys.path)
    yield name
    sys.path[:] = before
    sys.modules.pop(name, None)


@pytest.fixture
def shop(invoke: Invoke, plugin: str, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    monkeypatch.setenv("SEEDCORE_PLUGINS", plugin)
    return invoke


def test_list_shows_what_tasks_can_call(shop: Invoke):
    result = shop("tool", "list")
    assert result.code == 0
    header, *lines = [line.split("\t") for line in result.out.splitlines()]
    assert header[:4] == ["name", "origin", "idempotent", "timeout_s"]
    names = [line[0] for line in lines]
    assert names == [
        "artifact.add",
        "echo",
        "fact.add",
        "fact.search",
        "graph.neighbors",
        "memory.search",
        "registry.instances",
        "shop.bug",
        "shop.fail",
        "shop.price",
        "shop.slow",
        "sleep",
        "task.submit",
    ]
    assert result.err == ""


def test_list_as_json_has_every_fact(shop: Invoke, plugin: str):
    tools = {each["name"]: each for each in shop("tool", "list", "-o", "json").json}
    price = tools["shop.price"]
    assert price["origin"].endswith(f"{plugin}.py:5")
    assert (price["timeout_s"], price["handles"]) == (5.0, ["price"])
    assert (price["idempotent"], tools["shop.slow"]["idempotent"]) == (True, False)
    assert price["schema"]["required"] == ["article"]


def test_show_prints_the_schema_and_how_to_run_it(shop: Invoke):
    result = shop("tool", "show", "shop.price", "-o", "json")
    assert result.json["description"] == "Tell what some articles cost."
    assert result.json["schema"]["properties"]["count"] == {"type": "integer", "default": 1}
    assert "tool run shop.price --args '{\"article\": …}'" in shop("tool", "show", "shop.price").err


@pytest.mark.parametrize("command", [["show"], ["run"]])
def test_an_unknown_tool_exits_4_and_names_its_neighbours(shop: Invoke, command: list[str]):
    result = shop("tool", *command, "shop.prize", "-o", "json")
    assert (result.code, result.out) == (4, "")
    assert result.error["code"] == "tool.not_found"
    assert "shop.price" in result.error["hint"]


def test_run_prints_the_value(shop: Invoke):
    result = shop(
        "tool", "run", "shop.price", "--args", '{"article": "tea", "count": 2}', "-o", "json"
    )
    assert result.code == 0
    assert result.json["result"] == {"cents": 500, "article": "tea"}
    assert result.json["latency_ms"] > 0
    assert result.err == ""


@pytest.mark.parametrize("value", ["text", 1, None, [1, None], {}])
def test_run_prints_any_json(invoke: Invoke, value: Any):
    result = invoke("tool", "run", "echo", "--args", json.dumps({"value": value}), "-o", "json")
    assert result.json["result"] == value


def test_run_reads_arguments_from_a_file_or_standard_input(shop: Invoke, tmp_path: Path):
    document = '{"article": "tea"}'
    (tmp_path / "args.json").write_text(document)
    from_file = shop("tool", "run", "shop.price", "--args", "@args.json", "-o", "json")
    from_input = shop(
        "tool", "run", "shop.price", "--args", "-", "-o", "json", input=document.encode()
    )
    assert from_file.json["result"] == from_input.json["result"] == {"cents": 250, "article": "tea"}


@pytest.mark.parametrize("form", ["json", "jsonl", "yaml", "tsv"])
def test_arguments_that_do_not_fit_exit_2_with_their_pointers(shop: Invoke, form: str):
    result = shop(
        "tool", "run", "shop.price", "--args", '{"article": 1, "colour": "red"}', "-o", form
    )
    assert (result.code, result.out) == (2, "")
    assert "/article" in result.err
    assert "/colour" in result.err


@pytest.mark.parametrize("args", ["{", "[1]", "1", '{"article": "a", "article": "b"}'])
def test_arguments_that_are_no_json_object_exit_2(shop: Invoke, args: str):
    result = shop("tool", "run", "shop.price", "--args", args)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["shop.fail"], "tool.tool_error", "shop.fail: sold out"),
        (["shop.bug"], "tool.tool_error", "ZeroDivisionError"),
        (["sleep", "--args", '{"seconds": -1}'], "tool.bad_arguments", "/seconds"),
    ],
)
def test_a_failed_tool_is_one_json_error(shop: Invoke, words: list[str], code: str, says: str):
    result = shop("tool", "run", *words, "-o", "json")
    assert result.code == (2 if code == "tool.bad_arguments" else 1)
    assert result.out == ""
    assert result.error["code"] == code
    assert says in result.error["message"]
    assert result.error["exit_code"] == result.code


def test_retryable_is_told(shop: Invoke):
    for permanent in (True, False):
        args = json.dumps({"permanent": permanent})
        error = shop("tool", "run", "shop.fail", "--args", args, "-o", "json").error
        assert error["details"]["retryable"] is not permanent


def test_a_tool_that_is_not_granted_is_refused(shop: Invoke, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEFAULT_ALLOWED_TOOLS", "shop.*")
    result = shop("tool", "run", "echo", "-o", "json")
    assert (result.code, result.error["code"]) == (1, "tool.not_permitted")


def test_a_broken_plugin_exits_78_and_is_named(invoke: Invoke, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SEEDCORE_PLUGINS", "no_such_plugin")
    result = invoke("tool", "list", "-o", "json")
    assert (result.code, result.out) == (78, "")
    assert result.error["code"] == "plugin.not_found"
    assert "no_such_plugin" in result.error["message"]
    monkeypatch.setenv("SEEDCORE_PLUGINS_STRICT", "0")
    assert invoke("tool", "list", "-o", "name").code == 0


def test_the_time_given_ends_a_tool_that_hangs(seedcore: Program, plugin: str, tmp_path: Path):
    """In a process of its own: the thread that hangs must not keep it from ending."""
    slow = (
        (tmp_path / f"{plugin}.py").read_text().replace("while not ctx.cancelled()", "while True")
    )
    (tmp_path / f"{plugin}.py").write_text(slow)
    result = seedcore(
        "tool", "run", "shop.slow", "--timeout", "0.5", env={"SEEDCORE_PLUGINS": plugin}
    )
    assert (result.returncode, result.stdout) == (6, "")


def test_debug_shows_where_a_tool_raised(seedcore: Program, plugin: str):
    env = {"SEEDCORE_PLUGINS": plugin}
    assert "Traceback" not in seedcore("tool", "run", "shop.bug", env=env).stderr
    assert "return 1 // 0" in seedcore("tool", "run", "shop.bug", "--debug", env=env).stderr
