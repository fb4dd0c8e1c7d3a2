"""The tools that this process can run: from SeedCore itself, installed packages and the operator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from seedcore.agent.definition import Tool
from seedcore.agent.plugins import Plugin, discover
from seedcore.config.settings import Settings
from seedcore.errors import ConfigError, NotFound

AnyTool = Tool[..., object]


class ToolRegistry:
    """Tools by name and by the task type that they handle.

    Args:
        tools: The first tools, as `add` takes them.
    """

    def __init__(self, tools: Iterable[AnyTool] = ()) -> None:
        self._by_name: dict[str, AnyTool] = {}
        self._by_type: dict[str, AnyTool] = {}
        for tool in tools:
            self.add(tool)

    def add(self, tool: AnyTool) -> None:
        """Register one tool; registering the same one again changes nothing.

        Raises:
            ConfigError: Another tool has its name, or handles one of its types, and neither or
                both of the two say override=True.
        """
        _claim(self._by_name, tool.name, tool, "named")
        for task_type in tool.handles:
            _claim(self._by_type, task_type, tool, "handling tasks of type")
        # A tool that was replaced, or came too late, must not go on serving its types.
        for task_type, handler in list(self._by_type.items()):
            if self._by_name.get(handler.name) is not handler:
                del self._by_type[task_type]

    def find(self, name: str) -> AnyTool | None:
        """Return the tool of that name, or None."""
        return self._by_name.get(name)

    def get(self, name: str) -> AnyTool:
        """Return the tool of that name.

        Raises:
            NotFound: There is none; the hint names the nearest ones.
        """
        tool = self._by_name.get(name)
        if tool is None:
            raise NotFound(
                f"there is no tool {name!r}", code="tool.not_found", hint=self.suggestion(name)
            )
        return tool

    def suggestion(self, name: str) -> str:
        """Say what the caller of an unknown tool may have meant, or how to look."""
        import difflib

        near = difflib.get_close_matches(name, self._by_name, n=3)
        if near:
            return f"did you mean {' or '.join(near)}?"
        return "see 'seedcore tool list'; a plugin's module must be named in SEEDCORE_PLUGINS"

    def for_type(self, task_type: str) -> AnyTool | None:
        """Return the tool that handles tasks of a type without tool_calls, or None."""
        return self._by_type.get(task_type)

    def __contains__(self, name: object) -> bool:
        """Tell whether a tool of that name exists."""
        return name in self._by_name

    def __iter__(self) -> Iterator[AnyTool]:
        """Yield every tool, by name."""
        return iter(sorted(self._by_name.values(), key=lambda tool: tool.name))

    def __len__(self) -> int:
        """Count the tools."""
        return len(self._by_name)


def _claim(owners: dict[str, AnyTool], key: str, tool: AnyTool, how: str) -> None:
    held = owners.get(key)
    if held is None or held is tool or (tool.override and not held.override):
        owners[key] = tool
    elif held.override == tool.override:
        raise ConfigError(
            f"two tools {how} {key!r}: {held.origin} and {tool.origin}",
            code="tool.collision",
            hint="rename one, or write override=True on the one that shall win",
        )


def load(settings: Settings) -> ToolRegistry:
    """Load the built-in tools, those of installed packages and those of SEEDCORE_PLUGINS.

    Raises:
        ConfigError: A plugin can't be loaded, or two tools collide. With SEEDCORE_PLUGINS_STRICT=0
            such a plugin is left out with a warning instead.
    """
    from seedcore.agent import builtin

    registry = ToolRegistry(builtin.seedcore_tools(settings))
    for plugin in discover(settings):
        registry = _with_plugin(registry, plugin, settings)
    return registry


def _with_plugin(registry: ToolRegistry, plugin: Plugin, settings: Settings) -> ToolRegistry:
    """Return a registry with the plugin's tools: all of them, or none."""
    try:
        extended = ToolRegistry(registry)
        for tool in plugin.tools(settings):
            extended.add(tool)
    except ConfigError as problem:
        named = ConfigError(
            f"plugin {plugin.name!r} ({plugin.source}): {problem.message}",
            code=problem.code,
            hint=problem.hint,
            details={"plugin": plugin.name, **problem.details},
        )
        if settings.plugins_strict:
            raise named from problem
        plugin.skipped(named)
        return registry
    return extended
