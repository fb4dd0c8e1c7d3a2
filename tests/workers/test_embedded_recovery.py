"""After a crash the next start recovers, whatever the killed server left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from seedcore.config.settings import Settings
from seedcore.db.connection import connect
from seedcore.db.embedded import EmbeddedServer
from seedcore.db.embedded.identity import server_identity
from seedcore.db.embedded.initialise import failure
from seedcore.db.embedded.postmaster import is_alive, processes_of
from seedcore.errors import ConfigError, Unavailable


@pytest.fixture
def server(home: Path) -> EmbeddedServer:
    server = EmbeddedServer(home)
    server.ensure_running()
    with psycopg.connect(server.conninfo(), autocommit=True) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 42 AS id")
    return server


def _kept(server: EmbeddedServer) -> int:
    with psycopg.connect(server.conninfo()) as conn:
        row = conn.execute("SELECT id FROM kept").fetchone()
    assert row is not None
    return int(row[0])


def _kill_postmaster(server: EmbeddedServer) -> int:
    pid = server.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


def _until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_killed_server_is_started_again_by_the_next_connection(
    server: EmbeddedServer, home: Path
) -> None:
    for _ in range(3):
        before = _kill_postmaster(server)
        with connect(Settings(home=str(home))) as conn:
            assert conn.execute("SELECT id FROM kept").fetchone() == {"id": 42}
        assert server.status().pid != before


def test_busy_child_of_a_killed_postmaster_does_not_block_the_start(server: EmbeddedServer) -> None:
    conn = psycopg.connect(server.conninfo(), autocommit=True)
    pid = conn.info.backend_pid
    conn.pgconn.send_query(b"SELECT sum(i) FROM generate_series(1, 1000000000000) AS i")
    _until(lambda: "SELECT" in Path(f"/proc/{pid}/cmdline").read_text())
    _kill_postmaster(server)
    _until(lambda: server.status().state == "leftover")
    server.ensure_running()
    assert pid not in set(processes_of(server.layout.data))
    assert _kept(server) == 42
    conn.close()


def test_leftover_children_can_be_stopped(server: EmbeddedServer) -> None:
    conn = psycopg.connect(server.conninfo(), autocommit=True)
    conn.pgconn.send_query(b"SELECT sum(i) FROM generate_series(1, 1000000000000) AS i")
    _kill_postmaster(server)
    _until(lambda: server.status().state == "leftover")
    assert server.stop()
    assert server.status().state == "stopped"
    conn.close()


@pytest.fixture
def stranger(server: EmbeddedServer) -> Iterator[subprocess.Popen[bytes]]:
    """A process that isn't PostgreSQL but runs as the server's user, as after a reboot."""
    process = subprocess.Popen(
        ["sleep", "60"], cwd="/", **server_identity(server.layout.data).switch()
    )
    yield process
    process.kill()
    process.wait()


def test_stale_pid_file_with_a_dead_process_is_no_obstacle(server: EmbeddedServer) -> None:
    server.stop("immediate")
    ended = subprocess.Popen(["true"])
    ended.wait()
    _write_pid_file(server, ended.pid)
    assert server.status().state == "stopped"
    server.ensure_running()
    assert _kept(server) == 42


def test_stale_pid_file_with_another_live_process_is_no_obstacle(
    server: EmbeddedServer, stranger: subprocess.Popen[bytes]
) -> None:
    server.stop("immediate")
    _write_pid_file(server, stranger.pid)
    lock = server.layout.socket / ".s.PGSQL.5432.lock"
    lock.write_text(f"{stranger.pid}\n{server.layout.data}\n0\n5432\n{server.layout.socket}\n")
    assert server.status().state == "stopped"
    assert not server.stop()
    server.ensure_running()
    assert _kept(server) == 42
    assert stranger.poll() is None


def test_empty_pid_file_of_a_full_disk_is_no_obstacle(server: EmbeddedServer) -> None:
    server.stop()
    server.layout.pid_file.write_text("")
    server.ensure_running()
    assert _kept(server) == 42


@pytest.mark.parametrize("pid_file", ["", "garbage", None], ids=["empty", "garbage", "removed"])
def test_socket_lock_of_a_live_stranger_is_no_obstacle(
    server: EmbeddedServer, stranger: subprocess.Popen[bytes], pid_file: str | None
) -> None:
    server.stop("immediate")
    if pid_file is not None:
        server.layout.pid_file.write_text(pid_file)
    lock = server.layout.socket / ".s.PGSQL.5432.lock"
    lock.write_text(f"{stranger.pid}\n{server.layout.data}\n0\n5432\n{server.layout.socket}\n")
    server.ensure_running()
    assert _kept(server) == 42
    assert stranger.poll() is None


def _write_pid_file(server: EmbeddedServer, pid: int) -> None:
    layout = server.layout
    layout.pid_file.write_text(
        f"{pid}\n{layout.data}\n1700000000\n5432\n{layout.socket}\n\n  1 2\nready   \n"
    )


def test_interrupted_provisioning_is_finished_by_the_next_start(server: EmbeddedServer) -> None:
    server.layout.password.unlink()
    server.ensure_running()  # still running: noticed without a restart
    assert _kept(server) == 42
    server.stop()
    server.layout.password.unlink()
    server.ensure_running()
    assert _kept(server) == 42


def test_failed_start_says_what_the_server_said(server: EmbeddedServer) -> None:
    server.stop()
    server.layout.local_conf.write_text("shared_buffers = 'many'\n")
    with pytest.raises(Unavailable, match="shared_buffers") as caught:
        server.ensure_running()
    assert caught.value.code == "db.start_failed"
    assert server.status().state == "stopped"
    server.layout.local_conf.unlink()
    server.ensure_running()
    assert _kept(server) == 42


def test_user_without_a_name_is_told_to_get_one() -> None:
    said = "initdb: error: could not look up effective user ID 4242: user does not exist\n"
    error = failure("initdb failed", said)
    assert "4242" in error.message
    assert error.hint is not None
    assert "/etc/passwd" in error.hint


def test_recovery_that_takes_long_is_waited_for_and_not_disturbed(server: EmbeddedServer) -> None:
    pid = server.status().pid
    assert pid is not None
    server.stop("immediate")
    with pytest.raises(Unavailable) as caught:
        server.ensure_running(wait_s=0.0)
    assert caught.value.code == "db.starting"
    assert caught.value.retryable
    server.ensure_running()
    assert _kept(server) == 42


_LIMITED = """
import resource, sys
from pathlib import Path
from seedcore.db.embedded import EmbeddedServer
from seedcore.errors import SeedcoreError
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
try:
    EmbeddedServer(Path(sys.argv[1]), unsafe=True).ensure_running()
except SeedcoreError as error:
    print(error.exit_code, error.code, error.message)
"""


def test_full_disk_during_the_first_start_leaves_nothing_and_is_named(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(home), str(1 << 20)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.stdout.startswith("69 db.disk_full "), (done.stdout, done.stderr)
    server = EmbeddedServer(home, unsafe=True)
    assert server.status().state == "absent"
    server.ensure_running()
    with psycopg.connect(server.conninfo()) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_vanished_data_beside_a_kept_one_is_not_replaced_by_an_empty_one(
    server: EmbeddedServer,
) -> None:
    server.stop()
    kept = server.layout.root / "data.16.old"
    server.layout.data.rename(kept)
    with pytest.raises(ConfigError, match="an upgrade was interrupted") as caught:
        server.ensure_running()
    assert caught.value.hint is not None
    assert str(kept) in caught.value.hint
    kept.rename(server.layout.data)
    server.ensure_running()
    assert _kept(server) == 42


def test_foreign_files_in_the_data_folder_are_refused(home: Path) -> None:
    server = EmbeddedServer(home, unsafe=True)
    server.layout.data.mkdir(parents=True)
    (server.layout.data / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds no PostgreSQL data"):
        server.ensure_running()
    assert (server.layout.data / "thesis.txt").read_text() == "mine"
    shutil.rmtree(server.layout.data)


def test_server_that_is_gone_leaves_no_process(server: EmbeddedServer) -> None:
    processes = list(processes_of(server.layout.data))
    assert len(processes) > 3
    server.stop()
    _until(lambda: not any(is_alive(pid) for pid in processes))
