"""The policy that `seedcore pkg init` writes; its files stand beside this one."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from seedcore.pkg.archive import write_new_folder

_FOLDERS = ("fixtures", "rules", "subtasks")


def files() -> dict[str, bytes]:
    """Return the example's files by path."""
    root = resources.files(__name__)
    found = {name: root.joinpath(name).read_bytes() for name in ("README.md", "policy.yaml")}
    for folder in _FOLDERS:
        entries = sorted(root.joinpath(folder).iterdir(), key=lambda entry: entry.name)
        found |= {f"{folder}/{entry.name}": entry.read_bytes() for entry in entries}
    return found


def write(target: Path) -> dict[str, bytes]:
    """Write the example to a new or empty folder and return its files.

    Raises:
        Conflict: The folder is not empty.
        UsageError: It is no folder, or can't be written.
    """
    written = files()
    write_new_folder(written, target)
    return written
