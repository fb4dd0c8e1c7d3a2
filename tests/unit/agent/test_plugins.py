"""Where tools come from, and what stops a start."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seedcore.agent import Tool, ToolRegistry, load, tool
from seedcore.config.settings import Settings
from seedcore.errors import ConfigError, NotFound

Write = Callable[[str, str], None]

BUILT_IN = [
    "artifact.add",
    "echo",
    "fact.add",
    "fact.search",
    "graph.neighbors",
    "memory.search",
    "registry.instances",
    "sleep",
    "task.submit",
]

GOOD = '''
from seedcore.agent import tool

@tool("shop.greet", handles=["greet"])
def greet(name: str) -> str:
    """Greet."""
    return f"Hello, {name}"
'''


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write modules into the current directory, which is on no search path."""
    modules, path = dict(sys.modules), list(sys.path)
    monkeypatch.chdir(tmp_path)
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode

    def write_file(name: str, text: str) -> None:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    yield write_file
    sys.dont_write_bytecode = before
    sys.path[:] = path
    for name in set(sys.modules) - set(modules):
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def names(registry: ToolRegistry) -> list[str]:
    return [each.name for each in registry]


def entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """Install a distribution with one entry point into a folder of the search path."""
    info = tmp_path / "site" / "shop_tools-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-tools\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[seedcore.tools]\nshop = {value}\n")
    monkeypatch.syspath_prepend(str(info.parent))


def test_the_built_in_tools_are_always_there():
    assert names(load(Settings())) == BUILT_IN


def test_http_is_there_only_where_hosts_are_listed():
    assert "http.request" in load(Settings(tool_http_allow="api.example.com"))


def test_a_module_of_the_current_directory_is_found(write: Write):
    write("shop_a.py", GOOD)
    registry = load(Settings(plugins="shop_a"))
    found = registry.get("shop.greet")
    assert registry.for_type("greet") is found
    assert found.origin.endswith("shop_a.py:4")


def test_the_current_directory_hides_no_installed_module(write: Write):
    write("shop_b.py", GOOD.replace("Hello", "Hi"))
    write("colorsys.py", "raise RuntimeError('this must not be imported')")
    load(Settings(plugins="shop_b"))
    import colorsys

    assert "this" not in Path(colorsys.__file__).read_text()[:80]
    assert sys.path[0] != str(Path.cwd())


def test_a_package_brings_the_tools_of_the_submodules_it_imports(write: Write):
    write("shop_c/__init__.py", "import shop_c.inner")
    write("shop_c/inner.py", GOOD)
    write("shop_c/unused.py", GOOD.replace("shop.greet", "shop.unused"))
    assert "shop.greet" in load(Settings(plugins=" shop_c , "))
    assert "shop.unused" not in load(Settings(plugins="shop_c"))
    assert "shop.greet" in load(Settings(plugins="shop_c.inner"))


def test_an_installed_package_is_found_by_its_entry_point(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write("site/shop_d.py", GOOD)
    entry_point(tmp_path, monkeypatch, "shop_d")
    assert "shop.greet" in load(Settings())
    # Named twice, loaded once.
    assert "shop.greet" in load(Settings(plugins="shop_d"))


def test_a_plugin_may_look_at_the_settings_first(write: Write):
    write(
        "shop_e.py",
        GOOD + "\ndef seedcore_tools(settings):\n    return [greet] * settings.tool_threads\n",
    )
    assert "shop.greet" in load(Settings(plugins="shop_e", tool_threads=1))
    assert "shop.greet" not in load(Settings(plugins="shop_e", tool_threads=0))


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("import math\nx = 1 +\n", "plugin.broken", "shop_f.py:2: SyntaxError"),
        ("import math\nmath.sqrt(-1)\n", "plugin.broken", "shop_f.py:2: ValueError"),
        ("import not_there_at_all\n", "plugin.broken", "shop_f.py:1: ModuleNotFoundError"),
        ("raise SystemExit(3)\n", "plugin.broken", "shop_f.py:1: SystemExit"),
        (GOOD.replace("shop.greet", "Shop"), "plugin.broken", "shop_f.py:4: ValueError: tool name 'Shop'"),
        (GOOD.replace("name: str", "name"), "plugin.broken", "parameter 'name' has no type hint"),
        ("x = 1\n", "plugin.empty", "defines no tools"),
        (GOOD.replace("shop.greet", "echo"), "tool.collision", "two tools named 'echo'"),
        (GOOD + GOOD.replace("def greet", "def greet2"), "tool.collision", "shop_f.py:11"),
        (
            GOOD + GOOD.replace("def greet", "def greet2").replace("shop.greet", "shop.other"),
            "tool.collision",
            "handling tasks of type 'greet'",
        ),
    ],
)  # fmt: skip
def test_a_bad_plugin_stops_the_start_and_is_named(
    write: Write, caplog: pytest.LogCaptureFixture, text: str, code: str, says: str
):
    write("shop_f.py", text)
    with pytest.raises(ConfigError) as caught:
        load(Settings(plugins="shop_f"))
    assert caught.value.exit_code == 78
    assert caught.value.code == code
    assert "plugin 'shop_f' (SEEDCORE_PLUGINS)" in caught.value.message
    assert says in caught.value.message
    assert caught.value.hint
    assert caught.value.details["plugin"] == "shop_f"

    sys.modules.pop("shop_f", None)
    with caplog.at_level(logging.WARNING):
        registry = load(Settings(plugins="shop_f", plugins_strict=False))
    assert names(registry) == BUILT_IN
    assert [line.__dict__["event"] for line in caplog.records] == ["plugin.skipped"]


@pytest.mark.parametrize("name", ["no_such_module_anywhere", "no_such.inner", "json.no_such"])
def test_a_module_that_is_nowhere_is_said_so(write: Write, name: str):
    with pytest.raises(ConfigError, match="there is no module") as caught:
        load(Settings(plugins=name))
    assert caught.value.code == "plugin.not_found"


@pytest.mark.parametrize("name", ["./tools.py", "tools.py/", "a b", "a..b", "-x"])
def test_what_is_no_module_name_is_refused(name: str):
    with pytest.raises(ConfigError, match="which is no module"):
        load(Settings(plugins=name))


def test_a_file_that_others_may_write_is_not_imported(write: Write):
    write("shop_g.py", GOOD)
    Path("shop_g.py").chmod(0o666)
    with pytest.raises(ConfigError, match="others may write it"):
        load(Settings(plugins="shop_g"))


@pytest.mark.parametrize("order", [0, 1])
def test_override_wins_whatever_comes_first(order: int):
    @tool("demo.one", handles=["a", "b"])
    def plain() -> None: ...

    @tool("demo.one", handles=["a"], override=True)
    def better() -> None: ...

    given: list[Tool[..., object]] = [plain, better]
    registry = ToolRegistry(given[::-1] if order else given)
    assert registry.get("demo.one") is better
    assert registry.for_type("a") is better
    # What was replaced serves nothing any more.
    assert registry.for_type("b") is None
    assert len(registry) == 1


def test_two_overrides_collide():
    @tool("demo.one", override=True)
    def one() -> None: ...

    @tool("demo.one", override=True)
    def two() -> None: ...

    with pytest.raises(ConfigError, match=r"test_plugins\.py:\d+ and .*test_plugins\.py:\d+"):
        ToolRegistry([one, two])


def test_an_unknown_tool_is_not_found():
    with pytest.raises(NotFound) as caught:
        load(Settings()).get("task.sumbit")
    assert caught.value.hint == "did you mean task.submit?"
