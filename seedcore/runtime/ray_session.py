"""The connection of this process to a Ray cluster.

`ray.init` never comes back from an address where nothing listens, and takes most of a minute for one
where something else does. So the address is tried first: a TCP connection, then the greeting of HTTP/2,
which every gRPC server answers at once (RFC 9113, 3.4).
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

from seedcore.config.settings import Settings
from seedcore.errors import ConfigError, Unavailable

log = logging.getLogger(__name__)

PROBE_S = 2.0
_JOIN_S = 30.0
_SAID_MAX = 500
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
"""The client's preface and an empty SETTINGS frame."""
_SETTINGS_FRAME = 4
_FRAME_HEAD = 9
_CLIENT = "ray://"

_lock = threading.Lock()
_joined: str | None = None
"""The address that this process has joined by itself; None also in an actor."""


def connect(settings: Settings) -> None:
    """Join the cluster of RAY_ADDRESS; nothing when this process has joined it, or is an actor.

    Raises:
        Unavailable: It can't be reached, runs another version, wants a token; this process has joined
            another one; or the package `ray` is not installed.
        ConfigError: RAY_ADDRESS is missing or can't be read.
    """
    global _joined
    ray = installed()
    with _lock:
        if ray.is_initialized() and _joined is None:
            return
        address = resolve(settings.ray_address)
        if ray.is_initialized():
            if address != _joined:
                raise _unreachable(address, f"this process is in the one at {_joined}")
            return
        probe(address)
        _join(ray, address, settings)
        _joined = address


def installed() -> ModuleType:
    """Return the package `ray`, imported.

    Raises:
        Unavailable: It is not installed.
    """
    # Read when it is imported; a cluster of ours tells nobody about itself.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise Unavailable(
            "the package 'ray' is not installed",
            code="ray.not_installed",
            hint="pip install 'seedcore[ray]'",
        ) from error
    return ray


def is_connected() -> bool:
    """Tell whether this process has joined a cluster, without importing anything for it."""
    import sys

    ray: Any = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def disconnect() -> None:
    """Leave the cluster: what this process owns there ends, what is detached stays."""
    global _joined
    if is_connected():
        installed().shutdown()
    _joined = None


def node_id() -> str | None:
    """Return the id of the cluster's machine that this process runs on; None = it is on none."""
    if not is_connected():
        return None
    return str(installed().get_runtime_context().get_node_id())


def resolve(address: str | None) -> str:
    """Return an address as `HOST:PORT` or `ray://HOST:PORT`.

    Args:
        address: RAY_ADDRESS; `auto` is the cluster that was last started on this machine.

    Raises:
        ConfigError: It is none of these.
        Unavailable: It is `auto`, and there is none.
    """
    if not address:
        raise ConfigError(
            "RAY_ADDRESS names no cluster",
            code="ray.no_address",
            hint="export RAY_ADDRESS=HOST:6379, or 'auto' on a machine of the cluster",
        )
    if address == "auto":
        file = Path(os.environ.get("RAY_TMPDIR") or "/tmp") / "ray" / "ray_current_cluster"  # noqa: S108 - where Ray writes it
        try:
            address = file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise Unavailable(
                "RAY_ADDRESS is 'auto', and no Ray cluster was started on this machine",
                code="ray.unavailable",
                hint="ray start --head, or set RAY_ADDRESS to HOST:PORT of a cluster",
            ) from error
    if not re.fullmatch(r"(ray://)?([\w.-]+|\[[0-9a-fA-F:.]+\]):\d{1,5}", address):
        raise ConfigError(
            f"RAY_ADDRESS={address} is neither HOST:PORT, ray://HOST:PORT nor 'auto'",
            code="ray.bad_address",
        )
    return address


def probe(address: str, timeout_s: float = PROBE_S) -> None:
    """Find out whether a Ray cluster answers at an address, within twice the time.

    Raises:
        Unavailable: Nothing does, or something else.
    """
    host, _, port = address.removeprefix(_CLIENT).rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout_s) as line:
            if os.environ.get("RAY_USE_TLS") == "1":
                return  # the greeting would have to be encrypted
            line.settimeout(timeout_s)
            line.sendall(_GREETING)
            head = _read(line, _FRAME_HEAD)
    except (OSError, OverflowError) as error:
        reason = "no answer" if isinstance(error, TimeoutError) else str(error)
        raise _unreachable(address, reason) from error
    if len(head) < _FRAME_HEAD or head[3] != _SETTINGS_FRAME:
        raise _unreachable(address, "what listens there is not Ray")


def _read(line: socket.socket, size: int) -> bytes:
    read = b""
    while len(read) < size and (more := line.recv(size - len(read))):
        read += more
    return read


def _join(ray: ModuleType, address: str, settings: Settings) -> None:
    # In a thread: in the main one Ray would put its own handler of SIGTERM in the place of ours.
    raised: list[BaseException] = []
    joining = threading.Thread(
        target=_init,
        args=(ray, address, settings.ray_namespace, raised),
        name="ray-init",
        daemon=True,
    )
    before = _children()
    joining.start()
    joining.join(_JOIN_S)
    if joining.is_alive():
        # It tries for ever: an address that leads here, but not where Ray wants to go from it.
        raise _unreachable(address, f"it answers, but can't be joined within {_JOIN_S:g} s")
    if raised:
        with contextlib.suppress(Exception):
            ray.shutdown()
        _end(_children() - before)
        raise _translated(address, raised[0]) from raised[0]


def _init(ray: ModuleType, address: str, namespace: str, raised: list[BaseException]) -> None:
    import warnings

    logging.getLogger("ray").setLevel(logging.ERROR)
    _keep_quiet()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray's about its own future
            ray.init(
                address,
                namespace=namespace,
                log_to_driver=False,
                configure_logging=False,
                logging_level=logging.ERROR,
            )
    except BaseException as error:  # handed to the thread that waits
        raised.append(error)


def _keep_quiet() -> None:
    """Take what Ray has to say of the cluster into the log: it would print it among our data.

    There is no setting for it; `log_to_driver` is about what actors print.
    """
    import importlib

    worker: Any = importlib.import_module("ray._private.worker")

    def heard(data: dict[str, Any], ignore_prefix: bool = False) -> None:
        said = str(next(iter(data.get("lines", ())), ""))[:_SAID_MAX]
        log.debug("Ray said something", extra={"event": "ray.said", "said": said})

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = heard


def _translated(address: str, error: BaseException) -> Exception:
    """Say in one line why a cluster that answers would not have us."""
    text = " ".join(str(error).split())
    if "ersion mismatch" in text:
        found = re.search(r"started with: Ray: (\S+) Python: (\S+)", text)
        theirs = f"Ray {found[1]} on Python {found[2]}" if found else "another version"
        return Unavailable(
            f"the Ray cluster at {address} runs {theirs}, which this process does not",
            code="ray.version",
            hint=f"pip install 'ray=={found[1]}'" if found else "install the cluster's version",
        )
    if "oken" in text and "auth" in text.lower():
        return Unavailable(
            f"the Ray cluster at {address} does not accept our token",
            code="ray.unauthenticated",
            hint="set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH, to the cluster's",
        )
    if isinstance(error, ImportError) or "ray[client]" in text or "grpc" in text.lower():
        return Unavailable(
            f"{address} needs Ray's client, which is not installed",
            code="ray.not_installed",
            hint="pip install 'ray[client]', or join by HOST:PORT on a machine of the cluster",
        )
    return _unreachable(address, text[:200] or type(error).__name__)


def _unreachable(address: str, reason: str) -> Unavailable:
    return Unavailable(
        f"the Ray cluster at {address} is not reachable: {reason}",
        code="ray.unavailable",
        hint="see that it runs ('ray status' on its head node), or unset RAY_ADDRESS",
    )


def _children() -> set[int]:
    """Return the ids of this process's children."""
    try:
        found: set[int] = set()
        for task in Path("/proc/self/task").iterdir():
            found.update(int(pid) for pid in (task / "children").read_text().split())
    except OSError:
        return set()  # no such file here (macOS); nothing to tidy up then
    return found


def _end(pids: set[int]) -> None:
    """End what a failed start has left behind; by id, as 'ray stop' would end everybody's."""
    import signal

    for pid in pids:
        try:
            name = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"/ray/" in name:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
