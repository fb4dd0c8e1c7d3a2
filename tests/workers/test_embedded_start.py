"""The embedded server starts on first use, for everyone who asks, and belongs to none of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from seedcore.db.embedded import EmbeddedServer
from seedcore.errors import WaitTimeout

_START = """
import sys
from pathlib import Path
from seedcore.db.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]), unsafe=True)
status = server.ensure_running()
print(status.pid, server.conninfo(), flush=True)
"""


def _starter(home: Path, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _START, str(home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def _answers(url: str) -> bool:
    with psycopg.connect(url) as conn:
        return conn.execute("SELECT 1").fetchone() == (1,)


def test_first_use_makes_a_database_and_a_second_one_finds_it(home: Path) -> None:
    server = EmbeddedServer(home, unsafe=True)
    assert server.status().state == "absent"
    status = server.ensure_running()
    assert status.is_running
    assert status.major == 18
    with psycopg.connect(server.conninfo(), autocommit=True) as conn:
        conn.execute("CREATE TABLE kept (id int)")
        found = conn.execute(
            "SELECT current_user, current_database(), pg_encoding_to_char(encoding), rolsuper,"
            " (SELECT count(*) FROM pg_extension WHERE extname = 'vector'),"
            " current_setting('max_connections'), current_setting('fsync')"
            " FROM pg_database, pg_roles WHERE datname = 'seedcore' AND rolname = 'seedcore'"
        ).fetchone()
    assert found == ("seedcore", "seedcore", "UTF8", False, 1, "300", "off")
    assert server.ensure_running().pid == status.pid
    server.stop()
    again = EmbeddedServer(home, unsafe=True).ensure_running()
    assert again.pid != status.pid
    with psycopg.connect(server.conninfo()) as conn:
        assert conn.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_durability_is_given_up_only_when_asked(home: Path) -> None:
    server = EmbeddedServer(home)
    server.ensure_running()
    with psycopg.connect(server.conninfo()) as conn:
        found = conn.execute(
            "SELECT current_setting('fsync'), current_setting('synchronous_commit'),"
            " current_setting('full_page_writes'), current_setting('jit'),"
            " current_setting('listen_addresses')"
        ).fetchone()
    assert found == ("on", "on", "on", "off", "")


def test_settings_of_the_operator_win(home: Path) -> None:
    server = EmbeddedServer(home, unsafe=True)
    server.ensure_running()
    server.stop()
    server.layout.local_conf.write_text("work_mem = '13MB'\n")
    server.ensure_running()
    with psycopg.connect(server.conninfo()) as conn:
        assert conn.execute("SHOW work_mem").fetchone() == ("13MB",)


def test_running_server_is_found_without_starting_a_process(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = EmbeddedServer(home, unsafe=True)
    status = server.ensure_running()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(os, "fork", refuse)
    other = EmbeddedServer(home, unsafe=True)
    assert other.ensure_running().pid == status.pid
    assert _answers(other.conninfo())


def test_six_first_starts_at_once_share_one_server(home: Path) -> None:
    home.chmod(0o711)
    home /= "missing/too"  # each of them finds out that it has to be made
    starters = [_starter(home) for _ in range(6)]
    said = [process.communicate(timeout=50) for process in starters]
    assert [p.returncode for p in starters] == [0] * 6, said
    pids = {out.split()[0] for out, _ in said}
    assert len(pids) == 1
    assert all(_answers(out.split()[1]) for out, _ in said)


def test_server_outlives_ctrl_c_and_the_end_of_whoever_started_it(home: Path) -> None:
    process = _starter(home, start_new_session=True)
    out, err = process.communicate(timeout=50)
    assert process.returncode == 0, err
    server_pid, url = out.split()
    assert os.getsid(int(server_pid)) != process.pid
    for number in (signal.SIGINT, signal.SIGHUP):
        with pytest.raises(ProcessLookupError):  # nobody is left in the starter's group
            os.killpg(process.pid, number)
    assert _answers(url)


def test_start_goes_on_when_the_starter_is_killed(home: Path) -> None:
    process = _starter(home)
    time.sleep(0.35)  # somewhere between the import and the end of initdb
    process.kill()
    process.communicate()
    server = EmbeddedServer(home, unsafe=True)
    server.ensure_running()
    assert _answers(server.conninfo())
    assert not list(server.layout.root.glob("initialising-*"))


def test_stop_waits_for_clients_only_when_asked(home: Path) -> None:
    server = EmbeddedServer(home, unsafe=True)
    server.ensure_running()
    with psycopg.connect(server.conninfo()) as conn:
        with pytest.raises(WaitTimeout) as caught:
            server.stop("smart", timeout_s=0.3)
        assert caught.value.hint is not None
        assert "--mode fast" in caught.value.hint
        assert server.stop("fast")
        assert server.status().state == "stopped"
        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")
    assert not server.stop("fast")
    server.ensure_running()
    assert server.stop("immediate")
    server.ensure_running()
    assert _answers(server.conninfo())


def test_destroy_removes_everything_of_the_server_and_nothing_else(home: Path) -> None:
    (home / "run").mkdir()
    server = EmbeddedServer(home, unsafe=True)
    assert not server.destroy()
    server.ensure_running()
    assert server.destroy()
    assert server.status().state == "absent"
    assert [path.name for path in home.iterdir()] == ["run"]
    server.ensure_running()
    assert _answers(server.conninfo())
