"""Run the real `seedcore` program in processes of its own, cut off from the caller's settings."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

EXECUTABLE = Path(sys.executable).with_name("seedcore")


class Program:
    """The command line as a user has it, with a home and a configuration that are the test's.

    Args:
        home: Home folder of the program and of its user.
        cwd: Where it is called.
        env: More environment variables.
    """

    def __init__(self, home: Path, cwd: Path, env: Mapping[str, str] | None = None) -> None:
        self.cwd = cwd
        self.env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(home / "user"),
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_DATA_HOME": str(home / "share"),
            "XDG_RUNTIME_DIR": str(home),
            "SEEDCORE_HOME": str(home),
            "TMPDIR": tempfile.gettempdir(),
            **(env or {}),
        }
        self._started: list[subprocess.Popen[str]] = []

    def __call__(
        self,
        *args: str,
        input: str | None = None,
        env: Mapping[str, str | None] | None = None,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end.

        Args:
            args: The words after `seedcore`.
            input: Its standard input. Default: empty.
            env: Variables on top of the usual ones; None removes one.
            timeout: Seconds.
        """
        return subprocess.run(
            [str(EXECUTABLE), *args],
            input=input or "",
            env=self.environment(env),
            cwd=self.cwd,
            timeout=timeout,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    def start(
        self, *args: str, env: Mapping[str, str | None] | None = None, **options: object
    ) -> subprocess.Popen[str]:
        """Start a command that runs on; what is left of it is killed when the test ends."""
        settings: dict[str, object] = {
            "env": self.environment(env),
            "cwd": self.cwd,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "encoding": "utf-8",
            **options,
        }
        process: subprocess.Popen[str] = subprocess.Popen([str(EXECUTABLE), *args], **settings)
        self._started.append(process)
        return process

    def environment(self, changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
        """Return the environment of a call."""
        merged: dict[str, str | None] = {**self.env, **(changes or {})}
        return {name: value for name, value in merged.items() if value is not None}

    def close(self) -> None:
        """Kill what `start` began and still runs."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
            process.wait()
