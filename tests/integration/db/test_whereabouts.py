"""A daemon finds its embedded server again, and leaves one alone that somebody stops."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from seedcore.config.settings import Settings
from seedcore.db.embedded import EmbeddedServer
from seedcore.db.whereabouts import Whereabouts


@pytest.fixture
def server(home: Path) -> EmbeddedServer:
    home.chmod(0o711)  # a server that root starts runs as another user
    return EmbeddedServer(home, unsafe=True)


@pytest.mark.slow
def test_a_server_is_started_after_a_crash_and_not_after_a_stop(
    server: EmbeddedServer, home: Path
) -> None:
    where = Whereabouts(Settings(home=str(home)), "a test")
    known = where()  # the first time it is started
    pid = server.status().pid
    assert pid is not None

    # While it is being stopped, its file is there and says so.
    file = server.layout.pid_file
    text = file.read_text()
    file.write_text(text.replace("ready", "stopping"))
    assert server.status().state == "stopping"
    assert where() == known
    file.write_text(text)

    server.stop("fast")
    assert where() == known
    assert not server.status().is_running

    server.ensure_running()
    pid = server.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert where() == known
    assert server.status().is_running


def test_a_named_server_is_asked_for_anew(database_url: str) -> None:
    where = Whereabouts(Settings(database_url=database_url), "a test")
    assert "application_name" in where()
    assert where() == where.known
