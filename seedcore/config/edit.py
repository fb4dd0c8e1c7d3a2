"""Change one key of a configuration file and leave everything else, comments included, as it is.

The standard library reads TOML but does not write it. Instead of one more dependency, this edits the
line in question and then proves, by reading the result, that nothing but the key has changed; a file
that is written too cleverly for that (multi-line values, inline tables) is refused, not damaged.
"""

from __future__ import annotations

import copy
import os
import re
import tempfile
import tomllib
from pathlib import Path
from typing import Any, cast

from seedcore.errors import ConfigError

Value = str | int | float | bool
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_HEADER = re.compile(r"^\s*\[([^\[\]]+)\]\s*(?:#.*)?$")


def set_key(
    path: Path, table: tuple[str, ...], key: str, value: Value | None, *, dry_run: bool = False
) -> Value | None:
    """Set one key of a file, or remove it; the file and its folders are made when missing.

    Args:
        path: The file.
        table: Names of the table, such as `("profiles", "prod")`; empty = the top of the file.
        key: The key.
        value: Its new value; None removes it.
        dry_run: Check everything and write nothing.

    Returns:
        The value before, or None.

    Raises:
        ConfigError: The file can't be read, parsed, changed safely or written.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"can't read {path}: {error}") from error
    try:
        before = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    old = _get(before, table).get(key)
    if old == value and type(old) is type(value):
        return old
    changed = _changed(text, table, key, value)
    expected = copy.deepcopy(before)
    _put(expected, table, key, value)
    try:
        proven = tomllib.loads(changed) == expected
    except tomllib.TOMLDecodeError:
        proven = False
    if not proven:
        raise ConfigError(
            f"{path} is written in a way that can't be changed safely here",
            hint=f"edit it by hand: {'.'.join((*table, key))}",
        )
    if not dry_run:
        _replace(path, changed)
    return old


def _changed(text: str, table: tuple[str, ...], key: str, value: Value | None) -> str:
    lines = text.splitlines()
    start, end = _span(lines, table)
    new_line = [] if value is None else [f"{_quoted(key)} = {literal(value)}"]
    if start is None:
        if value is None:
            return text
        gap = [""] if lines and lines[-1].strip() else []
        lines += [*gap, f"[{'.'.join(_quoted(part) for part in table)}]", *new_line]
        return "\n".join(lines) + "\n"
    assigns = re.compile(rf"""^\s*["']?{re.escape(key)}["']?\s*=""")
    for number in range(start, end):
        if assigns.match(lines[number]):
            comment = _comment(lines[number])
            lines[number : number + 1] = [line + comment for line in new_line]
            break
    else:
        while end > start and not lines[end - 1].strip():
            end -= 1
        lines[end:end] = new_line
    return "\n".join(lines) + "\n"


def _span(lines: list[str], table: tuple[str, ...]) -> tuple[int | None, int]:
    """Return the first line of a table's body and the line after its last."""
    start = 0 if not table else None
    for number, line in enumerate(lines):
        header = _HEADER.match(line)
        if header is None and not line.lstrip().startswith("[["):
            continue
        if start is not None:
            return start, number
        if header and tuple(p.strip().strip("\"'") for p in header.group(1).split(".")) == table:
            start = number + 1
    return start, len(lines)


def _comment(line: str) -> str:
    """Return the comment at the end of a line, found by what still parses without it."""
    for match in re.finditer(r"\s+#", line):
        try:
            tomllib.loads(line[: match.start()])
        except tomllib.TOMLDecodeError:
            continue
        return line[match.start() :]
    return ""


def literal(value: Value) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    escaped = "".join(_escaped(character) for character in value)
    return f'"{escaped}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if ord(character) < 32 or ord(character) == 127:
        return f"\\u{ord(character):04x}"
    return character


def _quoted(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else literal(key)


def _get(document: dict[str, Any], table: tuple[str, ...]) -> dict[str, Any]:
    for name in table:
        found: Any = document.get(name, {})
        document = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    return document


def _put(document: dict[str, Any], table: tuple[str, ...], key: str, value: Value | None) -> None:
    for name in table:
        document = document.setdefault(name, {})
    if value is None:
        document.pop(key, None)
    else:
        document[key] = value


def _replace(path: Path, text: str) -> None:
    """Write beside the file and rename: a crash leaves the old file or the new one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        real = path.resolve()
        mode = real.stat().st_mode & 0o777 if real.exists() else 0o600
        descriptor, name = tempfile.mkstemp(prefix=".config-", dir=real.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(mode)
            Path(name).replace(real)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(f"can't write {path}: {error.strerror or error}") from error
