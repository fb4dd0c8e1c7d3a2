"""The configuration files: where they are, whether they count, and on which line a key stands."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from seedcore.errors import ConfigError

SYSTEM_FILE = Path("/etc/seedcore/config.toml")
PROJECT_FILE = "seedcore.toml"
_HEADER = re.compile(r"^\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*([A-Za-z0-9_-]+|\"[^\"]+\"|'[^']+')\s*=")


@dataclass(frozen=True)
class ConfigFile:
    """One file that was read.

    Args:
        path: Where it is.
        kind: `project`, `user` or `system`.
        data: What it says.
        lines: Its text, for line numbers.
    """

    path: Path
    kind: str
    data: Mapping[str, Any]
    lines: list[str] = field(repr=False)

    @property
    def profiles(self) -> dict[str, Mapping[str, Any]]:
        """The tables `[profiles.NAME]`; empty when they are not tables."""
        found: Any = self.data.get("profiles", {})
        tables = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
        return {name: values for name, values in tables.items() if isinstance(values, dict)}

    def place(self, table: tuple[str, ...], key: str) -> str:
        """Return `path:line` of a key; only the path when it is written in an unusual way."""
        current: tuple[str, ...] = ()
        for number, line in enumerate(self.lines, start=1):
            if header := _HEADER.match(line):
                current = tuple(_bare(part) for part in header.group(1).split("."))
            elif current == table and (match := _KEY.match(line)) and _bare(match.group(1)) == key:
                return f"{self.path}:{number}"
        return str(self.path)


def _bare(word: str) -> str:
    return word.strip().strip("\"'")


def user_file(environ: Mapping[str, str]) -> Path:
    """Return the path of the user's file, which `config set` writes."""
    base = Path(environ.get("XDG_CONFIG_HOME", ""))
    if not base.is_absolute():
        base = Path(environ.get("HOME") or "~").expanduser() / ".config"
    return base / "seedcore" / "config.toml"


def candidates(environ: Mapping[str, str], cwd: Path) -> list[tuple[str, Path]]:
    """Return the files that may exist, the strongest first."""
    return [
        ("project", cwd / PROJECT_FILE),
        ("user", user_file(environ)),
        ("system", SYSTEM_FILE),
    ]


def read_file(kind: str, path: Path) -> ConfigFile | None:
    """Read one file; None when there is none.

    Raises:
        ConfigError: It can't be read, or isn't TOML.
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"can't read {path}: {error.strerror}") from error
    import tomllib

    try:
        text = data.decode("utf-8")
        return ConfigFile(path, kind, tomllib.loads(text), text.splitlines())
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 (byte {error.start + 1})") from None
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        place = f"{path}:{line.group(1)}" if line else str(path)
        raise ConfigError(f"{place} is not TOML: {error}") from None


def distrusted(path: Path) -> str | None:
    """Return why a project file doesn't count, or None when it does.

    It counts only when the caller owns it and nobody else can write it: otherwise changing into a
    folder that somebody else prepared would choose the database that commands talk to.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    if status.st_uid != os.geteuid():
        return "another user owns it"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "others can write it"
    return None
