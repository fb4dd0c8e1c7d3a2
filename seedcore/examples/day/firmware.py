"""Checking a firmware package against its manifest before it goes to any device."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from seedcore.agent import ToolError, tool


class ManifestFile(TypedDict):
    """What the manifest says about one file."""

    path: str
    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Verified(TypedDict):
    """A package that is what its manifest says."""

    model: str
    version: str
    files: int
    bytes: int
    digest: str


@tool("firmware.verify", timeout_s=30, handles=["firmware"])
def verify(
    model: str,
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")],
    manifest: Annotated[list[ManifestFile], Field(min_length=1)],
    files: dict[str, str],
) -> Verified:
    """Verify a firmware package: every file of the manifest, whole and unchanged, and no other.

    A package that fails is refused for good: fetching the same bytes again would not mend them.

    Args:
        model: Device model that the firmware is for.
        version: Its version, such as `2.4.1`.
        manifest: What should be in the package.
        files: What is: path to content in base64.
    """
    problems = [f"{path}: not in the manifest" for path in sorted(files)
                if path not in {entry["path"] for entry in manifest}]  # fmt: skip
    total = 0
    digest = hashlib.sha256()
    for entry in sorted(manifest, key=lambda entry: entry["path"]):
        path = entry["path"]
        try:
            content = _content(path, files)
        except ValueError as problem:
            problems.append(f"{path}: {problem}")
            continue
        if len(content) != entry["size"]:
            problems.append(f"{path}: {len(content)} bytes, {entry['size']} expected")
        elif not hmac.compare_digest(hashlib.sha256(content).hexdigest(), entry["sha256"]):
            problems.append(f"{path}: the checksum is wrong")
        total += len(content)
        digest.update(path.encode() + b"\0" + entry["sha256"].encode() + b"\n")
    if problems:
        raise ToolError(
            f"firmware {model} {version} is not what its manifest says: {'; '.join(problems)}",
            permanent=True,
        )
    return {
        "model": model,
        "version": version,
        "files": len(manifest),
        "bytes": total,
        "digest": digest.hexdigest(),
    }


def _content(path: str, files: dict[str, str]) -> bytes:
    """Return a file's bytes.

    Raises:
        ValueError: Its path would leave the package, it is missing, or it is not base64.
    """
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts:
        raise ValueError("the path leads out of the package")
    if path not in files:
        raise ValueError("missing")
    try:
        return base64.b64decode(files[path], validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
