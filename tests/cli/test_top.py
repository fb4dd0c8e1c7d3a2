"""`seedcore top`: plain frames here, and the live view in a real terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from seedcore_cli.top import terminal, view
from tests.cli.conftest import Invoke, Worker
from tests.integration.task.test_frame import submit
from tests.program import EXECUTABLE, Program

Conn = psycopg.Connection[dict[str, Any]]

QUIT = b"\x1b[?1049l"
"""What gives the screen back."""
_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[=>])")


class Screen:
    """A program in a terminal of its own, and what it shows."""

    def __init__(self, program: Program, *words: str, env: dict[str, str] | None = None) -> None:
        self.master, self._slave = pty.openpty()
        self.resize(80, 24)
        self.before = termios.tcgetattr(self._slave)
        self.raw = b""
        self._lock = threading.Condition()
        slave = self._slave
        self.process = subprocess.Popen(
            [str(EXECUTABLE), *words],
            env=program.environment({"TERM": "xterm", **(env or {})}),
            preexec_fn=lambda: os.login_tty(os.dup(slave)),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            with self._lock:
                self.raw += data
                self._lock.notify_all()

    def resize(self, width: int, height: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    @property
    def frame(self) -> list[str]:
        """The lines of the last frame that was written whole."""
        parts = self.raw.decode("utf-8", "replace").split("\x1b[H")
        text = parts[-1]
        # Shorter than the one before it: still being read, or the screen became smaller, and then
        # the next one is as short.
        if len(parts) > 1 and text.count("\n") < parts[-2].count("\n"):
            text = parts[-2]
        return [line.rstrip() for line in _SEQUENCE.sub("", text).replace("\r", "").split("\n")]

    def wait(self, wanted: Callable[[list[str]], bool] | str, timeout_s: float = 20) -> list[str]:
        """Wait until the frame has a text, or is as wanted."""
        end = time.monotonic() + timeout_s
        with self._lock:
            while True:
                frame = self.frame
                if wanted in "\n".join(frame) if isinstance(wanted, str) else wanted(frame):
                    return frame
                left = end - time.monotonic()
                assert left > 0, "\n".join(frame)
                self._lock.wait(left)

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def end(self) -> int:
        """Wait for the end; the terminal has to be as it was."""
        code = self.process.wait(20)
        assert termios.tcgetattr(self._slave) == self.before
        with self._lock:
            self._lock.wait_for(lambda: QUIT in self.raw, 5)
        assert self.raw.rindex(QUIT) > self.raw.rindex(b"\x1b[?1049h")
        assert self.raw.rindex(b"\x1b[?25h") > self.raw.rindex(b"\x1b[?25l")
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._slave)
        os.close(self.master)
        self._reader.join(5)


@pytest.fixture
def open_screen(seedcore: Program) -> Iterator[Callable[..., Screen]]:
    """Start `seedcore top` in a terminal of 80 columns and 24 lines."""
    opened: list[Screen] = []

    def start(*words: str, **more: Any) -> Screen:
        opened.append(Screen(seedcore, "top", *words, **more))
        return opened[-1]

    yield start
    for screen in opened:
        screen.close()


def test_a_plain_frame_names_everything(cli: Invoke, conn: Conn, worker: Worker) -> None:
    submit(conn, "bad")
    (failed,) = worker.fail()
    running = submit(conn, "good")
    worker.claim()
    done = cli("top", "--once", "--interval", "100ms")
    assert done.code == 0
    assert "\x1b" not in done.out
    lines = done.out.splitlines()
    heads = " ".join(lines[1].split())
    assert heads == "LANE STATE CREATED QUEUED DUE RUNNING RETRY FAILED OLDEST IDLE"
    assert lines[2].split() == ["queue", "open", "0", "0", "0", "1", "0", "1", "-", "0"]
    assert f"{running} good" in done.out
    assert "worker-1" in done.out
    assert f"{failed} bad" in done.out
    assert "bad_payload: no" in done.out
    # Without a terminal nothing else is possible.
    assert cli("top", "--interval", "100ms").out.splitlines()[1:2] == lines[1:2]


def test_json_is_the_data_of_a_frame(cli: Invoke, conn: Conn) -> None:
    submit(conn, "echo")
    found = cli("top", "--once", "--interval", "100ms", "-o", "json").json
    assert list(found) == ["at", "lanes", "rates", "waits", "running", "workers", "failures"]
    assert found["lanes"][0]["queued"] == 1
    assert found["rates"]["submitted"] is not None


def test_jsonl_goes_on_until_interrupted(seedcore: Program) -> None:
    process = seedcore.start("top", "-o", "jsonl", "--interval", "100ms")
    assert process.stdout is not None
    for _ in range(2):
        assert '"lanes"' in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130


def test_without_a_database_it_says_so(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    done = invoke("top", "--once")
    assert (done.code, done.out) == (69, "")
    monkeypatch.setenv("SEEDCORE_DATABASE_URL", "postgresql://u@127.0.0.1:1/none")
    assert invoke("top", "--once", "-o", "json").code == 69


def test_keys_inspect_filter_cancel_retry_and_pause(
    open_screen: Callable[..., Screen], conn: Conn, worker: Worker
) -> None:
    failing = submit(conn, "bad")
    worker.fail()
    running = submit(conn, "good")
    worker.claim()
    screen = open_screen("--interval", "200ms")
    frame = screen.wait(str(failing))
    assert len(frame) == 24
    assert all(len(line) <= 80 for line in frame)
    assert frame[-1].startswith("up/down select")

    screen.press("r")
    screen.wait("select a failed task first")
    screen.press("\x1b[B\x1b[Bc")
    screen.wait(f"cancel task {running} (good)? [y/N]")
    screen.press("n")
    screen.wait("nothing was changed")
    assert status(conn, running) == "running"
    screen.press("cy")
    screen.wait(f"task {running}: running -> cancelled")
    assert status(conn, running) == "cancelled"

    screen.press("\x1b[B\x1b[B\x1b[B")
    screen.press("\r")
    screen.wait(lambda lines: any(line.startswith("attempts") for line in lines))
    screen.press("\x1b")
    screen.wait("FAILED")
    screen.press("/zzz\r")
    screen.wait(lambda lines: str(failing) not in "".join(lines) and "type zzz*" in lines[0])
    screen.press("/\x1b")
    screen.wait(str(failing))
    screen.press("r")
    screen.wait("retry task")
    screen.press("y")
    screen.wait("-> queued")
    assert status(conn, failing) == "queued"

    screen.press("k" * 5 + "p")
    screen.wait("pause lane queue? [y/N]")
    screen.press("y")
    screen.wait(lambda lines: "paused" in lines[2])
    screen.press("py")
    screen.wait(lambda lines: "open" in lines[2])

    screen.resize(120, 30)
    assert len(screen.wait(lambda lines: len(lines) == 30)) == 30
    screen.resize(30, 6)
    frame = screen.wait(lambda lines: len(lines) == 6)
    assert all(len(line) <= 30 for line in frame)
    screen.press("q")
    assert screen.end() == 0
    events = conn.execute(
        "SELECT DISTINCT reason FROM task_events WHERE reason LIKE '%seedcore top%'"
    ).fetchall()
    assert events


def status(conn: Conn, task: Any) -> str:
    row = conn.execute("SELECT status::text AS s FROM tasks WHERE id = %s", [task]).fetchone()
    assert row is not None
    return row["s"]


def test_ctrl_c_gives_the_terminal_back(open_screen: Callable[..., Screen]) -> None:
    screen = open_screen(env={"NO_COLOR": "1"})
    screen.wait("rate/s")
    screen.press("\x1a")  # Ctrl-Z does not leave the shell a terminal without echo
    screen.press("\x03")
    assert screen.end() == 130
    assert not re.search(rb"\x1b\[[0-9;]*3[0-7]m", screen.raw)


def test_sigterm_gives_the_terminal_back(open_screen: Callable[..., Screen]) -> None:
    screen = open_screen()
    screen.wait("rate/s")
    screen.process.terminate()
    assert screen.end() == 143


def test_a_lost_database_is_said_and_found_again(
    open_screen: Callable[..., Screen], conn: Conn
) -> None:
    screen = open_screen("--interval", "200ms")
    screen.wait("rate/s")
    allow = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT {}', current_database()); END $$"
    conn.execute(allow.format("0"))  # pyright: ignore[reportArgumentType, reportCallIssue]
    conn.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'seedcore top' AND datname = current_database()"
    )
    frame = screen.wait("database lost, retrying")
    assert frame[1].startswith("LANE")  # the last frame stays
    screen.press("p")
    screen.press("y")
    screen.wait("there is no database")
    conn.execute(allow.format("-1"))  # pyright: ignore[reportArgumentType, reportCallIssue]
    screen.wait(lambda lines: "lost" not in lines[0])
    screen.press("q")
    assert screen.end() == 0


def test_a_crash_gives_the_terminal_back() -> None:
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    try:
        with pytest.raises(ZeroDivisionError):
            _crash(master, slave)
        assert termios.tcgetattr(slave) == before
    finally:
        os.close(slave)
        os.close(master)


def _crash(master: int, slave: int) -> None:
    before = termios.tcgetattr(slave)
    with terminal.keyboard(slave) as keys:
        os.write(master, b"\x1b[Aq\xc3\xa9")
        assert keys.wait(5) == [("up", ""), ("q", "q"), ("é", "é")]
        assert termios.tcgetattr(slave) != before
        raise ZeroDivisionError


def test_text_of_users_cannot_reach_the_terminal(cli: Invoke, conn: Conn, worker: Worker) -> None:
    submit(conn, "evil\x1b[2J[bold]")
    worker.claim()
    out = cli("top", "--once", "--interval", "100ms").out
    assert "\x1b" not in out
    assert "evil" in out


def test_a_window_of_any_size_is_filled_exactly() -> None:
    look = view.Look(target="here")
    for width, height in ((80, 24), (20, 3), (1, 1), (200, 60)):
        lines = view.lines(None, look, width, height)
        assert len(lines) == height
        assert all(line.cell_len <= width for line in lines)
