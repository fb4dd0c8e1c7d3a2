"""What only shows in a process of its own: start-up, signals, pipes, terminals, full disks."""

from __future__ import annotations

import errno
import os
import pty
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

PYTHON = Path(sys.executable)
HEAVY = (
    "aiohttp", "alembic", "prometheus_client", "psycopg", "pydantic", "rich.table", "sqlalchemy",
    "uvloop", "yaml",
)  # fmt: skip


BASE: dict[str, str] = {}


def environment(folder: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "SEEDCORE_HOME": str(folder),
        "TERM": "xterm",
        **BASE,
        **(more or {}),
    }


def run(folder: Path, *words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PYTHON), "-m", "seedcore_cli", *words],
        cwd=folder,
        env=environment(folder),
        text=True,
        timeout=60,
        check=False,
        **{"capture_output": True, "stdin": subprocess.DEVNULL, **options},
    )


@pytest.mark.parametrize(
    "words",
    [
        ["--version"],
        ["--help"],
        ["-v", "--version"],
        ["task", "--help"],
        ["task", "submit", "--help"],
    ],
)
def test_help_and_version_load_nothing_heavy(tmp_path: Path, words: list[str]) -> None:
    code = (
        "import sys\n"
        "from seedcore_cli.main import main\n"
        f"code = main({words!r})\n"
        f"print(code, [m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [str(PYTHON), "-c", code],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == "0 []\n"
    assert "seedcore" in done.stdout


def test_help_is_the_same_by_either_door(tmp_path: Path) -> None:
    assert (
        run(tmp_path, "help", "config", "set").stdout
        == run(tmp_path, "config", "set", "--help").stdout
    )
    short = run(tmp_path, "config", "-h")
    assert short.stdout.startswith("Usage: seedcore config")


def test_a_closed_pipe_is_silent(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run(
            tmp_path,
            "help",
            "environment",
            capture_output=False,
            stdout=writer,
            stderr=subprocess.PIPE,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_full_disk_behind_the_output_is_one_clear_line(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        # Only Linux has a device that is always full.
        pytest.skip("no /dev/full")
    with Path("/dev/full").open("w") as full:
        done = run(
            tmp_path, "config", "schema", capture_output=False, stdout=full, stderr=subprocess.PIPE
        )
    assert done.returncode == 1
    assert done.stderr == "error: can't write the output: No space left on device\n"


def test_a_file_size_limit_behind_the_output_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Python itself leaves a half-written .pyc behind when a file may not grow any further.
    monkeypatch.setitem(BASE, "PYTHONDONTWRITEBYTECODE", "1")
    with (tmp_path / "out").open("w") as out:
        done = run(
            tmp_path,
            "config",
            "schema",
            capture_output=False,
            stdout=out,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
        )
    assert done.returncode == 1
    assert done.stderr == f"error: can't write the output: {os.strerror(errno.EFBIG)}\n"


def test_a_closed_standard_output_is_an_error_for_data_only(tmp_path: Path) -> None:
    shell = f"{PYTHON} -m seedcore_cli {{}} >&-"
    for words, code in (("config schema", 1), ("config use --none -q -n -o name", 1)):
        done = subprocess.run(
            ["/bin/sh", "-c", shell.format(words)],
            cwd=tmp_path,
            env=environment(tmp_path),
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code
        assert done.stderr.startswith("error: can't write the output")
        assert "Traceback" not in done.stderr


_WAITING = """
import sys, time
from seedcore_cli.main import main
def stuck(*args, **kwargs):
    try:
        print("ready", file=sys.stderr, flush=True)
        while True:
            time.sleep(0.01)
    finally:
        print("cleaned", file=sys.stderr, flush=True)
import seedcore.config
seedcore.config.schema = stuck
sys.exit(main(["config", "schema"]))
"""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 143), (signal.SIGINT, 130)]
)
def test_a_signal_cleans_up_quietly(tmp_path: Path, number: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        [str(PYTHON), "-c", _WAITING],
        env=environment(tmp_path),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "ready\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (code, "", "cleaned\n")


def test_an_ignored_hangup_stays_ignored(tmp_path: Path) -> None:
    code = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from seedcore_cli.main import main\n"
        "main(['config', 'show'])\n"
        "assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN\n"
    )
    subprocess.run(
        [str(PYTHON), "-c", code],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        check=True,
    )


def in_terminal(folder: Path, *words: str, answer: bytes = b"", **environ: str) -> tuple[int, str]:
    """Run a command on a pseudo-terminal; return its exit code and all that appeared."""
    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover - the child becomes the command
        os.chdir(folder)
        os.execve(  # noqa: S606
            PYTHON,
            [str(PYTHON), "-m", "seedcore_cli", *words],
            environment(folder, {"COLUMNS": "100", **environ}),
        )
    if answer:
        os.write(terminal, answer)
    seen = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            block = os.read(terminal, 65536)
        except OSError:  # Linux says EIO when the other side is gone
            break
        if not block:
            break
        seen += block
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), seen.decode()


def test_a_terminal_gets_a_coloured_table(tmp_path: Path) -> None:
    code, text = in_terminal(tmp_path, "config", "show", "--defaults")
    assert code == 0
    assert "\x1b[1mKEY" in text
    assert "\t" not in text


@pytest.mark.parametrize(
    "environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"SEEDCORE_COLOR": "never"}]
)
def test_a_terminal_without_colours_gets_no_escapes(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    code, text = in_terminal(tmp_path, "config", "show", "--defaults", **environ)
    assert code == 0
    assert "\x1b" not in text
    assert "KEY" in text


def test_the_output_is_utf8_in_every_locale(tmp_path: Path) -> None:
    (tmp_path / "seedcore.toml").write_text('actor = "Ädá 漢"\n', encoding="utf-8")
    done = subprocess.run(
        [str(PYTHON), "-X", "utf8=0", "-m", "seedcore_cli", "config", "show"],
        cwd=tmp_path,
        env=environment(tmp_path, {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"}),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert "Ädá 漢".encode() in done.stdout
