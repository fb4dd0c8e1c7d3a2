"""Options that the pkg commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedcore.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from seedcore.pkg.model import Snapshot


class Environment(StrEnum):
    """The environments, without the core's modules on the way of --help."""

    PROD = "prod"
    STAGING = "staging"
    DEV = "dev"


Env = Annotated[
    Environment | None,
    typer.Option("--env", help="The environment: prod, staging or dev.", metavar="ENV"),
]
Version = Annotated[
    str,
    typer.Argument(
        metavar="VERSION", help="Version of a snapshot; VERSION@ENV names the environment too."
    ),
]


def find(
    conn: Any, version: str, env: Environment | None, *, prefer: str | None = None
) -> Snapshot:
    """Return the snapshot that a command names.

    Raises:
        NotFound: There is none.
        UsageError: Several environments have that version.
    """
    from seedcore.pkg import snapshots

    return snapshots.resolve(conn, version, env.value if env else None, prefer=prefer)


def read_key(path: Path | None) -> bytes | None:
    """Return what a key file holds, without the line's end.

    Raises:
        UsageError: It can't be read.
    """
    if path is None:
        return None
    try:
        return path.read_bytes().strip()
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}") from None
