"""Where tools come from: entry points of installed packages and modules that the operator names.

A plugin is an importable module. Its tools are those it defines or imports by the time it has been
imported, submodules included; a module that must look at the settings first defines
`seedcore_tools(settings)` and returns them.

The operator's modules may also lie in the current directory, as with `python -m`, though a console
script does not search it. Only a module named in SEEDCORE_PLUGINS is looked for there, after every
installed one, and only if its file belongs to the caller (or root) and others can't write it.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import re
import stat
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from seedcore.agent.definition import Tool
from seedcore.config.settings import Settings
from seedcore.errors import ConfigError

log = logging.getLogger(__name__)

GROUP = "seedcore.tools"
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True)
class Plugin:
    """A module with tools, not imported yet.

    Attributes:
        name: The module's dotted name.
        source: Who asked for it: `SEEDCORE_PLUGINS`, or the package with the entry point.
        from_operator: Whether the current directory is searched for it too.
    """

    name: str
    source: str
    from_operator: bool = False

    def tools(self, settings: Settings) -> Iterable[Tool[..., Any]]:
        """Import the module and return its tools.

        Raises:
            ConfigError: It can't be imported, or has no tools.
        """
        try:
            if self.from_operator:
                _make_importable(self.name)
            module = importlib.import_module(self.name)
            make = cast(
                "Callable[[Settings], Iterable[Tool[..., Any]]] | None",
                getattr(module, "seedcore_tools", None),
            )
            found = list(make(settings)) if make is not None else _tools_in(module)
        except ConfigError:
            raise
        except (Exception, SystemExit) as error:
            raise _broken(self.name, error) from error
        if not found and make is None:
            raise ConfigError(
                "it defines no tools",
                code="plugin.empty",
                hint="decorate a function with @tool, or import the submodule that does",
            )
        return found

    def skipped(self, problem: ConfigError) -> None:
        """Say in the log that the worker goes on without this plugin."""
        log.warning(
            "Skipped plugin %s: %s",
            self.name,
            problem.message,
            extra={"event": "plugin.skipped", "plugin": self.name, "hint": problem.hint},
        )


def discover(settings: Settings) -> Iterator[Plugin]:
    """Yield the plugins in the order in which they are loaded, each module once.

    Raises:
        ConfigError: SEEDCORE_PLUGINS holds something that is no module name.
    """
    seen: set[str] = set()
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        if entry.module not in seen:
            seen.add(entry.module)
            package = entry.dist.name if entry.dist is not None else "an entry point"
            yield Plugin(entry.module, f"entry point of {package}")
    for name in filter(None, (part.strip() for part in settings.plugins.split(","))):
        if not _MODULE.fullmatch(name):
            raise ConfigError(
                f"SEEDCORE_PLUGINS names {name!r}, which is no module",
                code="plugin.name",
                hint="give dotted module names separated by commas, without .py and without paths",
            )
        if name not in seen:
            seen.add(name)
            yield Plugin(name, "SEEDCORE_PLUGINS", from_operator=True)


def _tools_in(module: ModuleType) -> list[Tool[..., Any]]:
    """Collect the tools of a module and of the submodules that it imported."""
    inside = module.__name__ + "."
    modules = [module, *(m for n, m in sorted(sys.modules.items()) if n.startswith(inside))]
    unique: dict[int, Tool[..., Any]] = {}
    for each in modules:
        for value in list(vars(each).values()):
            if isinstance(value, Tool):
                found = cast("Tool[..., Any]", value)
                unique[id(found)] = found
    return list(unique.values())


def _make_importable(name: str) -> None:
    """Let the interpreter find a module of the current directory, if that is where it is."""
    top = name.partition(".")[0]
    if top in sys.modules or importlib.util.find_spec(top) is not None:
        return
    here = Path.cwd()
    for candidate in (here / top / "__init__.py", here / f"{top}.py"):
        if candidate.is_file():
            _check_owner(candidate)
            # Last, so that nothing in this directory hides an installed module.
            sys.path.append(str(here))
            importlib.invalidate_caches()
            return


def _check_owner(file: Path) -> None:
    status = file.stat()
    if status.st_uid in (0, os.geteuid()) and not status.st_mode & stat.S_IWOTH:
        return
    raise ConfigError(
        f"{file} belongs to somebody else, or others may write it, so it is not imported",
        code="plugin.unsafe_file",
        hint="change its owner and mode, or put its folder into PYTHONPATH if you trust it",
    )


def _broken(name: str, error: BaseException) -> ConfigError:
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is not None and (name == missing or name.startswith(f"{missing}.")):
        return ConfigError(
            f"there is no module {missing!r}, neither installed nor in {Path.cwd()}",
            code="plugin.not_found",
            hint="install its package, or start in the folder that holds it, or set PYTHONPATH",
        )
    return ConfigError(
        f"{_place(error)}: {type(error).__name__}: {error}",
        code="plugin.broken",
        hint="mend it ('python -c \"import "
        + name
        + "\"' shows all of it), or leave it out with SEEDCORE_PLUGINS_STRICT=0",
    )


def _place(error: BaseException) -> str:
    """Return `file:line` of the plugin's line that failed."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    ours = str(Path(__file__).parent)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<frozen", ours))
        and f"{os.sep}importlib{os.sep}" not in frame.filename
    ]
    # The innermost line of code that is not a library's: what its author can change.
    own = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    return f"{own[-1].filename}:{own[-1].lineno}" if own else "import"
