"""Where health endpoints listen: a Unix socket in the home's `run/`, or host and port."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from seedcore.config import home
from seedcore.config.settings import Settings
from seedcore.errors import ConfigError

_PATH_MAX = 100
"""Longest socket path that every system takes (108 bytes with the NUL on Linux, 104 elsewhere)."""


@dataclass(frozen=True)
class Address:
    """Either a socket's path or a host and a port."""

    path: Path | None = None
    host: str = ""
    port: int = 0

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach it."""
        return self.path is not None or _is_loopback(self.host)

    def __str__(self) -> str:
        """Write it as `--health-addr` takes it."""
        if self.path is not None:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse(text: str) -> Address:
    """Read `unix:PATH` or `HOST:PORT`.

    Raises:
        ConfigError: It is neither.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path:
            raise ConfigError("SEEDCORE_HEALTH_ADDR: unix: needs a path", hint="unix:/run/x.sock")
        return Address(path=Path(path).absolute())
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise ConfigError(
            f"SEEDCORE_HEALTH_ADDR: {text!r} is neither HOST:PORT nor unix:PATH",
            hint="for example 127.0.0.1:9464",
        )
    return Address(host=host.strip("[]") or "127.0.0.1", port=int(port))


def run_folder(settings: Settings) -> Path:
    """Return the folder of the health sockets of this home."""
    return home(settings) / "run"


def of(settings: Settings, owner_id: str) -> Address:
    """Return where a worker listens.

    Raises:
        ConfigError: The address can't be read, or others could reach it without a token.
    """
    if not settings.health_addr:
        return Address(path=run_folder(settings) / f"{owner_id}.sock")
    address = parse(settings.health_addr)
    if not address.is_private and not settings.api_token:
        raise ConfigError(
            f"SEEDCORE_HEALTH_ADDR: {address} can be reached from other machines,"
            " and SEEDCORE_API_TOKEN is not set",
            code="config.token_missing",
            hint="set SEEDCORE_API_TOKEN, or listen on 127.0.0.1",
        )
    return address


def bind(address: Address) -> socket.socket:
    """Open the listening socket; a Unix socket's folder is made private when it is made here.

    Raises:
        ConfigError: It can't be opened.
    """
    try:
        return _bind_path(address.path) if address.path is not None else _bind_port(address)
    except OSError as error:
        raise ConfigError(
            f"can't listen on {address}: {error.strerror or error}",
            code="config.health_addr",
            hint="choose another --health-addr",
        ) from error


def connect(path: Path, timeout_s: float) -> socket.socket:
    """Connect to a Unix socket, however long its path is.

    Raises:
        OSError: Nobody listens there.
    """
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(timeout_s)
    try:
        with _short(path) as name:
            client.connect(name)
    except BaseException:
        client.close()
        raise
    return client


def _bind_path(path: Path) -> socket.socket:
    if not path.parent.exists():
        path.parent.mkdir(mode=0o700, parents=True)
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        try:
            connect(path, 1.0).close()
        except OSError:
            path.unlink()  # left behind by a process that was killed
        else:
            raise OSError(f"another process listens on {path}")
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(path) as name:
            server.bind(name)
        path.chmod(0o600)
        server.listen(64)
    except BaseException:
        server.close()
        raise
    server.setblocking(False)
    return server


def _bind_port(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address.host, address.port))
        server.listen(64)
    except BaseException:
        server.close()
        raise
    server.setblocking(False)
    return server


@contextmanager
def _short(path: Path) -> Generator[str, None, None]:
    """Give a name of the socket that fits into a socket address.

    A path that is too long is reached through the descriptor of its folder.
    """
    name = str(path)
    if len(os.fsencode(name)) <= _PATH_MAX:
        yield name
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        short = f"/proc/self/fd/{folder}/{path.name}"
        if not Path(f"/proc/self/fd/{folder}").exists():
            raise OSError(f"the path {path} is too long for a socket")
        if len(os.fsencode(short)) > _PATH_MAX:
            raise OSError(f"the name {path.name} is too long for a socket")
        yield short
    finally:
        os.close(folder)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
