"""The machines of a storm: a PostgreSQL server of its own, and worker processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from seedcore.db.embedded import EmbeddedServer
from seedcore.db.embedded.layout import PORT
from seedcore.db.migrate import up_url
from storm.ledger import PREPARE
from storm.proxy import Proxy

SEEDCORE = Path(sys.executable).with_name("seedcore")
SCRIPTS = Path(__file__).resolve().parents[1]
CLOCK = SCRIPTS / "storm" / "clock"
UNAVAILABLE = 69
GIVE_UP_S = 120.0


class Server:
    """A throw-away PostgreSQL with the ledger's tables, and a session that survives its crashes.

    Args:
        folder: Where everything lies; short, and enterable for the server's user.
    """

    def __init__(self, folder: Path) -> None:
        self._embedded = EmbeddedServer(folder / "pg")
        self._embedded.ensure_running()
        up_url(self._embedded.conninfo())
        self.url = self._embedded.conninfo()
        self._conn: psycopg.Connection[Any] | None = None
        self.rows(PREPARE)

    @property
    def socket(self) -> Path:
        """The socket that the server listens on."""
        return Path(conninfo_to_dict(self.url)["host"]) / f".s.PGSQL.{PORT}"

    def through(self, proxy: Proxy) -> str:
        """Return the URL of the way through a proxy."""
        return make_conninfo(self.url, host="127.0.0.1", port=proxy.port, sslmode="disable")

    def crash(self) -> None:
        """Stop it as a power failure would, as far as its processes are concerned."""
        self._embedded.stop("immediate")

    def start(self) -> None:
        """Bring it back; it replays its log first."""
        self._embedded.ensure_running(wait_s=GIVE_UP_S)

    def rows(self, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Run a statement as superuser, again until the server answers; it must bear repetition.

        Superusers have connections in reserve, so this works while all others are taken.
        """
        end = time.monotonic() + GIVE_UP_S
        while True:
            try:
                if self._conn is None:
                    url = self._embedded.conninfo(superuser=True)
                    self._conn = psycopg.connect(url, autocommit=True, application_name="chaos")
                cursor = self._conn.execute(statement, parameters)
                return cursor.fetchall() if cursor.description else []
            except psycopg.OperationalError:
                if self._conn is not None:
                    self._conn.close()
                self._conn = None
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def one(self, statement: str, parameters: Any = None) -> Any:
        """Return the first column of the first row."""
        return self.rows(statement, parameters)[0][0]

    def destroy(self) -> None:
        """Stop it and remove all it had."""
        if self._conn is not None:
            self._conn.close()
        self._embedded.stop("immediate")
        self._embedded.destroy()


class Worker:
    """A place for one worker process, which may be killed and started again.

    Args:
        name: What its sessions and its log are called.
        folder: Where its logs and its home lie.
        environment: All of its environment.
        concurrency: Tasks at a time.
    """

    def __init__(
        self, name: str, folder: Path, environment: Mapping[str, str], concurrency: int
    ) -> None:
        self.name = name
        self.clock_s = 0
        self.is_stopped = False
        self.log = folder / f"{name}.log"
        self.unexpected: list[int] = []
        """Exit codes of ends that nobody asked for."""
        self._home = folder / name
        self._home.mkdir()
        self._environment = {**environment, "CHAOS_WORKER": name, "SEEDCORE_HOME": str(self._home)}
        self._concurrency = concurrency
        self._offset = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, with the clock that it is to have."""
        environment = dict(self._environment)
        if self.clock_s:
            environment["CHAOS_CLOCK_S"] = str(self.clock_s)
            environment["PYTHONPATH"] = f"{CLOCK}{os.pathsep}{environment['PYTHONPATH']}"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(SEEDCORE), "worker", "queue",
                    "--concurrency", str(self._concurrency), "--startup-timeout", "60s",
                ],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                # Ctrl-C is for the storm, which then ends its workers.
                start_new_session=True,
            )  # fmt: skip

    def signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self._process is not None:
            self._process.send_signal(number)
            self.is_stopped = number == signal.SIGSTOP

    def kill(self) -> None:
        """End it without warning, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self.is_stopped = False

    def end(self, timeout_s: float = 60.0) -> int | None:
        """Ask it to end; return its exit code, or None when it had to be killed."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return None
        self._process = None
        return code

    def keep(self) -> None:
        """Start it again when it has ended by itself, and remember that."""
        code = None if self._process is None else self._process.poll()
        if code is not None:
            self.unexpected.append(code)
            self.start()

    def news(self) -> bytes:
        """Return what it logged since the last call."""
        with self.log.open("rb") as log:
            log.seek(self._offset)
            news = log.read()
        self._offset += len(news)
        return news


class Cluster:
    """The server, the proxy and the workers together.

    Args:
        folder: A short folder that others may enter.
        workers: How many; the second half reaches the database through the proxy, and the last one
            only polls.
        concurrency: Tasks at a time in each.
        lease_s: Lease of a claim, in seconds.
    """

    def __init__(self, folder: Path, *, workers: int, concurrency: int, lease_s: float) -> None:
        self.lease_s = lease_s
        self.slots = workers * concurrency
        self.server = Server(folder)
        self.proxy = Proxy(self.server.socket)
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(folder),
            "PYTHONPATH": str(SCRIPTS),
            "SEEDCORE_PLUGINS": "storm.tools",
            "SEEDCORE_LOG_FORMAT": "json",
            "CHAOS_LEDGER_URL": self.server.url,
            "TASK_LEASE_S": str(lease_s),
            "LEASE_SECONDS": str(lease_s),
            "DISPATCHER_RENEW_S": str(lease_s / 3),
            "DISPATCHER_POLL_INTERVAL_S": "1",
            "DISPATCHER_DRAIN_S": "30",
            "WATCHDOG_INTERVAL": "0.5",
            "MAX_TASK_LAPSES": "30000",
        }
        self.workers: list[Worker] = []
        for number in range(workers):
            url = self.server.url if number < workers / 2 else self.server.through(self.proxy)
            own = {**environment, "SEEDCORE_DATABASE_URL": url}
            if number == workers - 1:
                own["USE_LISTEN_NOTIFY"] = "0"
            self.workers.append(Worker(f"w{number}", folder, own, concurrency))

    def start(self) -> None:
        """Start the workers."""
        for worker in self.workers:
            worker.start()

    def wait(
        self, seconds: float, until: Callable[[], bool] | None = None, every_s: float = 0.1
    ) -> bool:
        """Let time pass or a condition come true, and keep the workers there; tell whether it did."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for worker in self.workers:
                worker.keep()
            if until is not None and until():
                return True
            time.sleep(max(0.0, min(every_s, end - time.monotonic())))
        return until is not None and until()

    def close(self) -> None:
        """End everything, whatever state it is in."""
        for worker in self.workers:
            worker.kill()
        self.proxy.close()
        self.server.destroy()
