"""What a worker shows: probes, metrics, status, and its signs of life to systemd."""

from __future__ import annotations

import json
import signal
import socket
import stat
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.program import Program
from tests.workers.conftest import QUICK, SHORT_LEASE, StartWorker, until
from workers import probe

Submit = Callable[..., str]


def only_socket(home: Path) -> Path:
    (path,) = (home / "run").glob("*.sock")
    return path


def test_the_socket_answers_and_belongs_to_us_alone(
    start_worker: StartWorker, submit: Submit, home: Path
) -> None:
    worker = start_worker()
    submit("test.nap", seconds=20)
    path = only_socket(home)
    until(lambda: probe.status(path)["inflight_tasks"] == 1)

    assert probe.get(path, "/livez") == (200, b"ok\n")
    assert probe.get(path, "/readyz") == (200, b"ok\n")
    said = probe.status(path)
    assert said["status"] == "healthy"
    assert said["tasks"][0]["attempt"] == 1
    assert said["router_type"] == "local"
    assert "seedcore_test:" not in json.dumps(said)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    worker.signal(signal.SIGTERM)
    until(lambda: probe.get(path, "/readyz")[0] == 503)
    assert probe.get(path, "/readyz") == (503, b"draining\n")
    assert probe.get(path, "/livez")[0] == 200
    worker.signal(signal.SIGTERM)
    worker.end()
    assert not path.exists()


def test_metrics_have_the_fixed_names_and_no_type_of_a_user(
    start_worker: StartWorker, submit: Submit, conn: Any, home: Path
) -> None:
    worker = start_worker()
    submit()
    submit("test.fail")
    submit("test.fail", permanent=True)
    conn.execute("INSERT INTO tasks (type, status) VALUES ('acme.secret', 'queued')")
    worker.wait_for("task.finished", count=4)

    page = probe.get(only_socket(home), "/metrics")[1].decode()

    for line in (
        "seedcore_tasks_claimed_total 4.0",
        "seedcore_tasks_completed_total 1.0",
        "seedcore_tasks_failed_total 2.0",
        "seedcore_tasks_retried_total 1.0",
        "seedcore_dispatcher_inflight 0.0",
        'seedcore_task_duration_seconds_count{outcome="completed",type="action"} 1.0',
        'seedcore_task_duration_seconds_count{outcome="failed",type="other"} 1.0',
        "seedcore_task_queue_wait_seconds_count 4.0",
        'seedcore_tool_calls_total{outcome="ok"} 1.0',
        'seedcore_tool_calls_total{outcome="tool_error"} 2.0',
        "seedcore_tool_threads_abandoned 0.0",
    ):
        assert line in page.splitlines()
    assert "seedcore_dispatcher_process_rss_bytes" in page
    assert "acme" not in page


def test_every_metric_is_explained(start_worker: StartWorker, home: Path) -> None:
    start_worker()
    page = probe.get(only_socket(home), "/metrics")[1].decode()
    shown = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")}
    explained = Path("docs/reference/metrics.md").read_text(encoding="utf-8")
    assert not [name for name in shown if f"`{name}" not in explained]


def test_a_port_asks_for_the_token_but_not_of_probes(start_worker: StartWorker) -> None:
    worker = start_worker("--health-addr", "127.0.0.1:0", env={"SEEDCORE_API_TOKEN": "t0ken"})
    address = worker.events("worker.started")[0]["health"]

    def get(target: str, **headers: str) -> tuple[int, bytes]:
        connection = HTTPConnection(address, timeout=5)
        connection.request("GET", target, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body

    assert get("/livez")[0] == 200
    until(lambda: get("/readyz")[0] == 200)  # after the first round trip
    assert get("/metrics")[0] == 401
    assert get("/metrics", Authorization="Bearer wrong")[0] == 401
    assert get("/metrics", Authorization="Bearer \xff")[0] == 401
    status, body = get("/status", Authorization="Bearer t0ken")
    assert (status, json.loads(body)["status"]) == (200, "healthy")
    assert "t0ken" not in worker.log.read_text()


def test_a_home_with_a_long_name_has_a_socket_too(
    seedcore: Program, tmp_path: Path, start_worker: StartWorker
) -> None:
    long = tmp_path / ("deep" * 12) / ("deeper" * 12)
    long.mkdir(parents=True)
    worker = start_worker(env={"SEEDCORE_HOME": str(long)})
    path = only_socket(long)
    assert len(str(path)) > 150
    assert probe.status(path)["status"] == "healthy"
    worker.signal(signal.SIGTERM)
    assert worker.end() == 0
    assert not path.exists()


def test_the_socket_of_a_killed_worker_is_removed_by_the_next(
    start_worker: StartWorker, home: Path
) -> None:
    dead = start_worker()
    left = only_socket(home)
    dead.signal(signal.SIGKILL)
    dead.end()
    assert left.exists()
    start_worker()
    assert only_socket(home) != left


def test_readiness_ends_with_the_database(
    seedcore: Program, start_worker: StartWorker, conn: Any, home: Path, server_url: str
) -> None:
    import psycopg

    start_worker()
    path = only_socket(home)
    until(lambda: probe.get(path, "/readyz")[0] == 200)
    name = conn.info.dbname
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0')
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'seedcore worker%%' AND datname = %s",
            (name,),
        )
        until(lambda: probe.get(path, "/readyz") == (503, b"the database is not reachable\n"))
        assert probe.get(path, "/livez")[0] == 200
        assert probe.status(path)["status"] == "pool_issue"
        admin.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1')
    until(lambda: probe.get(path, "/readyz")[0] == 200)


@pytest.fixture
def systemd(home: Path) -> Iterator[socket.socket]:
    """A notification socket as systemd has one."""
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(str(home / "notify"))
    receiver.settimeout(15)
    yield receiver
    receiver.close()


def heard(receiver: socket.socket, wanted: str) -> list[str]:
    """Return datagrams up to the one that holds a line."""
    said: list[str] = []
    while not said or wanted not in said[-1].splitlines():
        said.append(receiver.recv(4096).decode())
    return said


def test_systemd_hears_of_start_life_and_end(
    start_worker: StartWorker, submit: Submit, systemd: socket.socket, home: Path
) -> None:
    submit("test.nap", seconds=3)
    worker = start_worker(env={"NOTIFY_SOCKET": str(home / "notify"), "WATCHDOG_USEC": "3000000"})
    assert heard(systemd, "READY=1")[0].startswith("READY=1")
    heard(systemd, "WATCHDOG=1")

    worker.wait_running()
    worker.signal(signal.SIGTERM)

    said = heard(systemd, "STOPPING=1")
    assert "STATUS=draining 1 tasks" in said[-1]
    assert any(line.startswith("EXTEND_TIMEOUT_USEC=") for line in _rest(worker, systemd))


def _rest(worker: Any, receiver: socket.socket) -> list[str]:
    worker.end()
    receiver.setblocking(False)
    said: list[str] = []
    try:
        while True:
            said += receiver.recv(4096).decode().splitlines()
    except BlockingIOError:
        return said


def test_a_loop_that_hangs_shows_no_life(
    start_worker: StartWorker, submit: Submit, systemd: socket.socket, home: Path, conn: Any
) -> None:
    worker = start_worker(
        env={"NOTIFY_SOCKET": str(home / "notify"), "WATCHDOG_USEC": "1500000", **SHORT_LEASE}
    )
    heard(systemd, "WATCHDOG=1")
    submit("test.freeze", seconds=5)
    until(lambda: conn.execute("SELECT FROM tasks WHERE status = 'running'").rowcount == 1)
    time.sleep(0.5)
    systemd.setblocking(False)
    try:
        while systemd.recv(4096):
            pass
    except BlockingIOError:
        pass
    systemd.settimeout(2)
    with pytest.raises(TimeoutError):
        systemd.recv(4096)
    worker.signal(signal.SIGKILL)


def test_several_workers_are_one_service(
    start_worker: StartWorker,
    submit_many: Callable[..., None],
    counts: Callable[[], dict[str, int]],
    systemd: socket.socket,
    home: Path,
) -> None:
    service = start_worker(
        "--count",
        "2",
        "--health-addr",
        f"unix:{home}/all.sock",
        env={"NOTIFY_SOCKET": str(home / "notify")},
    )
    heard(systemd, "READY=1")
    assert probe.get(home / "all.sock", "/readyz")[0] == 200
    submit_many(200)
    until(lambda: counts().get("completed") == 200)

    until(
        lambda: (
            "seedcore_tasks_completed_total 200.0"
            in probe.get(home / "all.sock", "/metrics")[1].decode()
        )
    )
    said = probe.status(home / "all.sock")
    assert said["metrics"]["tasks_completed"] == 200
    assert len(said["workers"]) == 2

    # One dies; another takes its place, and what it counted is not forgotten.
    first = service.events("worker.started")[0]["instance_id"]
    import os

    pids = _children(service.pid)
    os.kill(pids[0], signal.SIGKILL)
    service.wait_for("supervisor.restart")
    service.wait_for("worker.started", count=3)
    page = probe.get(home / "all.sock", "/metrics")[1].decode()
    assert "seedcore_tasks_completed_total 200.0" in page.splitlines()
    assert first

    service.signal(signal.SIGTERM)
    assert service.end() == 0
    assert len(service.events("worker.ended")) == 2


def test_the_workers_of_a_killed_supervisor_end(start_worker: StartWorker) -> None:
    service = start_worker("--count", "2")
    service.wait_for("worker.started", count=2)
    service.signal(signal.SIGKILL)
    service.wait_for("worker.ended", count=2)


def test_a_supervisor_whose_workers_cannot_start_says_why(
    seedcore: Program, blank_database_url: str
) -> None:
    ended = seedcore(
        "worker",
        "queue",
        "--count",
        "2",
        env={**QUICK, "SEEDCORE_DATABASE_URL": blank_database_url},
    )
    assert ended.returncode == 69
    assert "hint: seedcore migrate up" in ended.stderr


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


def test_metrics_can_be_left_in_a_file(seedcore: Program, submit: Submit, tmp_path: Path) -> None:
    submit()
    file = tmp_path / "seedcore.prom"
    ended = seedcore("worker", "queue", "--once", "--metrics-textfile", str(file), env=QUICK)
    assert ended.returncode == 0
    page = file.read_text()
    assert "seedcore_tasks_completed_total 1.0" in page
    assert "seedcore_worker_last_success_timestamp_seconds 1" in page
