"""RAY_ADDRESS: what can't be a cluster is told so in one line, and at once."""

from __future__ import annotations

import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from seedcore.config.settings import Settings
from seedcore.errors import ConfigError, Unavailable
from seedcore.runtime import ray_session, runtime_of


@pytest.fixture(autouse=True)
def nothing_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another test's cluster may be joined by this process; these addresses are tried all the same."""
    monkeypatch.setattr(ray_session.installed(), "is_initialized", lambda: False)


def _refusal(address: str) -> Unavailable:
    began = time.monotonic()
    with pytest.raises(Unavailable) as refused:
        runtime_of(Settings(ray_address=address))
    assert time.monotonic() - began < 10
    assert refused.value.code == "ray.unavailable"
    assert refused.value.exit_code == 69
    assert "\n" not in refused.value.message
    return refused.value


def test_an_address_where_nothing_listens() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        assert f"the Ray cluster at {address} is not reachable" in _refusal(address).message


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2", b""])
def test_an_address_where_something_else_listens(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            line, _ = listening.accept()
            with line:
                line.recv(4096)
                line.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        address = f"ray://127.0.0.1:{listening.getsockname()[1]}"
        assert "what listens there is not Ray" in _refusal(address).message


def test_an_address_that_never_answers() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        pytest.raises(Unavailable, match="no answer"),
    ):
        ray_session.probe(f"127.0.0.1:{listening.getsockname()[1]}", 0.05)


def test_auto_without_a_cluster_on_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert "no Ray cluster was started on this machine" in _refusal("auto").message


@pytest.mark.parametrize("address", ["cluster", "localhost", "http://x:1", "a b:1", ":6379"])
def test_an_address_that_can_not_be_one(address: str) -> None:
    with pytest.raises(ConfigError, match=f"RAY_ADDRESS={address} is neither") as refused:
        runtime_of(Settings(ray_address=address))
    assert refused.value.exit_code == 78


def test_without_the_package_the_way_to_install_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(Unavailable, match="'ray' is not installed") as refused:
        runtime_of(Settings(ray_address="127.0.0.1:6379"))
    assert refused.value.hint == "pip install 'seedcore[ray]'"
