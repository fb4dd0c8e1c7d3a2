"""A policy's files as one tar: the same files give the same bytes, on every machine."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path

from seedcore.errors import CheckFailed, Conflict, NotFound, UsageError
from seedcore.pkg.fault import Fault, InvalidPolicy
from seedcore.pkg.model import Where

MAX_FILES = 20_000
MAX_FILE_BYTES = 8 << 20
MAX_BYTES = 64 << 20
MAX_NAME_CHARS = 100

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_FOLDERS = {"subtasks": ".yaml", "rules": (".yaml", ".rego"), "fixtures": ".yaml"}
_FILES = frozenset({"policy.yaml", "policy.wasm", "policy.rbb"})
_BESIDE = (".md", ".txt")
"""Files for readers: kept and exported, and not looked into."""


def read_files(path: Path) -> dict[str, bytes]:
    """Read a folder's files. Hidden ones and copies that editors leave (`x~`) are no part of it.

    Args:
        path: The folder.

    Returns:
        Content by path, relative with forward slashes, sorted.

    Raises:
        NotFound: There is no such folder.
        InvalidPolicy: It holds what no policy consists of, links, or too much.
    """
    if not path.exists():
        raise NotFound(
            f"there is no folder {path}", code="pkg.no_folder", hint="seedcore pkg init DIR"
        )
    found: dict[str, bytes] = {}
    faults: list[Fault] = []
    total = 0
    try:
        for entry in _entries(path, faults):
            name = entry.relative_to(path).as_posix()
            size = entry.stat().st_size
            total += size
            fault = _refused(name, size) or _too_much(name, len(found), total)
            if fault:
                faults.append(fault)
                if len(faults) > 20:
                    break
            else:
                found[name] = entry.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{error.filename or path} can't be read: {error.strerror}", code="pkg.unreadable"
        ) from None
    if faults:
        raise InvalidPolicy(faults)
    return dict(sorted(found.items()))


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return the files as a tar: sorted, without times, owners or modes of their own."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size = len(files[name])
            member.mode = 0o644
            tar.addfile(member, io.BytesIO(files[name]))
    return buffer.getvalue()


def unpack(content: bytes) -> dict[str, bytes]:
    """Return the files of a tar that `pack` wrote, or another that holds a policy.

    Raises:
        CheckFailed: It is no tar, or cut off.
        InvalidPolicy: It holds what no policy consists of, or too much.
    """
    found: dict[str, bytes] = {}
    faults: list[Fault] = []
    total = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            for member in tar:
                if member.isdir():
                    continue
                name = member.name.removeprefix("./")
                total += member.size
                fault = _refused(name, member.size) or _too_much(name, len(found), total)
                handle = None if fault else tar.extractfile(member)
                if not member.isreg():
                    fault = Fault(Where(name), "no_file", "this is a link or a device, no file")
                if fault or handle is None:
                    faults.append(fault or Fault(Where(name), "no_file", "this is no file"))
                    break
                found[name] = handle.read()
    except (tarfile.TarError, EOFError, ValueError, KeyError) as error:
        raise CheckFailed(
            f"the archive can't be read: {' '.join(str(error).split())}", code="pkg.bad_archive"
        ) from None
    if faults:
        raise InvalidPolicy(faults)
    return dict(sorted(found.items()))


def write_new_folder(files: Mapping[str, bytes], target: Path) -> None:
    """Write the files into a new or empty folder.

    Raises:
        Conflict: The folder is not empty.
        UsageError: It is no folder, or can't be written.
    """
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is no folder", code="pkg.no_folder")
    try:
        if target.exists() and any(target.iterdir()):
            raise Conflict(f"{target} is not empty", code="pkg.folder_not_empty")
        target.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            path = target / name
            path.parent.mkdir(exist_ok=True)
            with path.open("xb") as handle:
                handle.write(content)
    except OSError as error:
        raise _unwritable(error, target) from None


def write_new_file(content: bytes, target: Path) -> None:
    """Write a new file.

    Raises:
        Conflict: It is there already.
        UsageError: It can't be written.
    """
    try:
        with target.open("xb") as handle:
            handle.write(content)
    except FileExistsError:
        raise Conflict(f"{target} is there already", code="pkg.file_exists") from None
    except OSError as error:
        raise _unwritable(error, target) from None


def _unwritable(error: OSError, target: Path) -> UsageError:
    return UsageError(
        f"{error.filename or target} can't be written: {error.strerror}", code="pkg.unwritable"
    )


def _entries(path: Path, faults: list[Fault]) -> list[Path]:
    """Return the files of the folder and of the folders in it, sorted by name."""
    files: list[Path] = []
    folders = [path]
    while folders:
        for entry in sorted(folders.pop().iterdir()):
            name = entry.relative_to(path).as_posix()
            if entry.name.startswith(".") or entry.name.endswith("~"):
                continue
            if entry.is_symlink():
                faults.append(
                    Fault(Where(name), "link", "this is a link; put the file itself here")
                )
            elif entry.is_dir():
                if name in _FOLDERS:
                    folders.append(entry)
                else:
                    known = ", ".join(_FOLDERS)
                    faults.append(
                        Fault(Where(name), "unknown_folder", f"a policy's folders are {known}")
                    )
            elif entry.is_file():
                files.append(entry)
            else:
                faults.append(Fault(Where(name), "no_file", "this is no file"))
    return files


def _refused(name: str, size: int) -> Fault | None:
    """Return what is wrong with a file's name or size."""
    folder, _, last = name.rpartition("/")
    where = Where(name)
    if not _NAME.fullmatch(last) or len(name) > MAX_NAME_CHARS:
        return Fault(
            where,
            "bad_name",
            f"a file's name consists of letters a-z, digits, '.', '_' and '-', "
            f"and has at most {MAX_NAME_CHARS} characters",
        )
    if size > MAX_FILE_BYTES and last != "policy.wasm":
        return Fault(where, "too_large", f"the file is larger than {MAX_FILE_BYTES >> 20} MiB")
    if last.endswith(_BESIDE) and folder in ("", *_FOLDERS):
        return None
    known = folder in _FOLDERS and last.endswith(_FOLDERS[folder]) if folder else last in _FILES
    if known:
        return None
    hint = "; name it .yaml" if last.endswith(".yml") else ""
    return Fault(where, "unknown_file", f"this is no part of a policy{hint}")


def _too_much(name: str, files: int, total: int) -> Fault | None:
    if files >= MAX_FILES:
        return Fault(Where(name), "too_large", f"the policy has more than {MAX_FILES} files")
    if total > MAX_BYTES:
        return Fault(Where(name), "too_large", f"the policy is larger than {MAX_BYTES >> 20} MiB")
    return None
