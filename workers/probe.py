"""Reading the health endpoints of workers on this machine, through their Unix sockets."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any, cast

from seedcore.errors import Unavailable
from workers import address as addresses

TIMEOUT_S = 2.0


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path
        self._timeout_s = timeout_s

    def connect(self) -> None:
        """Connect to the path instead of a host."""
        self.sock = addresses.connect(self._path, self._timeout_s)


def get(path: Path, target: str, *, timeout_s: float = TIMEOUT_S) -> tuple[int, bytes]:
    """Ask a worker and return HTTP status and body.

    Args:
        path: Its socket.
        target: Such as `/status`.
        timeout_s: How long to wait for each step.

    Raises:
        Unavailable: Nobody answers there.
    """
    connection = _UnixConnection(path, timeout_s)
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(
            f"no worker answers on {path}: {error}", code="worker.no_answer"
        ) from error
    finally:
        connection.close()


def status(path: Path) -> dict[str, Any]:
    """Return what a worker says about itself, and where it was asked.

    Raises:
        Unavailable: Nobody answers there.
    """
    code, body = get(path, "/status")
    try:
        said = json.loads(body) if code == 200 else None
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise Unavailable(f"what answers on {path} is no worker", code="worker.no_answer")
    return {**cast("dict[str, Any]", said), "socket": str(path)}


def statuses(folder: Path) -> list[dict[str, Any]]:
    """Return what every worker below a folder says, by name; those that don't answer are left out."""
    found: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.sock")):
        try:
            found.append(status(path))
        except Unavailable:
            continue
    return sorted(found, key=lambda said: str(said.get("name")))


def sweep(folder: Path) -> None:
    """Remove the sockets of processes that were killed."""
    for path in folder.glob("*.sock"):
        try:
            addresses.connect(path, 0.2).close()
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except OSError:
            continue
