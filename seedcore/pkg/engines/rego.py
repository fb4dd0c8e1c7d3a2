"""The Rego engine: regopy in a child process, with limits of time and memory that hold.

The process is started with the policy and kept for all inputs. One that takes too long, grows too large or
dies is ended, and the next input starts another; what it was asked is an error, whatever the reason.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

from seedcore.jsontext import encoder
from seedcore.pkg.engines.decision import Decision
from seedcore.pkg.engines.document import Input
from seedcore.pkg.engines.errors import BadPolicy, PolicyError, missing_library
from seedcore.pkg.engines.foreign import Reader
from seedcore.pkg.engines.port import entry_rule
from seedcore.pkg.model import ArtifactType, Engine, Policy

_LOOK_S = 0.05
"""How often the memory of a process that works is looked at."""
_START_S = 30.0
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "LANG")
_MAX_ANSWER = 64 * 1024 * 1024
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PLACE = re.compile(r"\(error(?:ast)? \d+:([^|)]+)\|(\d+)\|\d+")
_SAID = re.compile(r"\(errormsg \d+:([^)]*)\)")
_text = encoder(allow_nan=False)


class RegoEngine:
    """Evaluates a policy of Rego modules, or of a compiled bundle.

    Args:
        policy: The policy.
        timeout_s: Longest evaluation, in seconds.
        memory_mb: Largest process, in megabytes.

    Raises:
        Unavailable: regopy is not installed.
        BadPolicy: A module does not compile (with file and line), or the bundle is damaged.
    """

    engine = Engine.REGO

    def __init__(self, policy: Policy, *, timeout_s: float = 2.0, memory_mb: int = 256) -> None:
        if importlib.util.find_spec("regopy") is None:
            raise missing_library("regopy", "Rego")
        self._timeout_s = timeout_s
        self._memory = memory_mb * 1024 * 1024
        self._reader = Reader(policy)
        self._entrypoint = policy.entrypoint
        self._sources = {
            str(rule.where.path) if rule.where else f"{rule.name}.rego": rule.source
            for rule in policy.rules
            if rule.engine is Engine.REGO and not rule.disabled
        }
        self._program: dict[str, Any] = {"entrypoint": entry_rule(policy.entrypoint)}
        artifact = policy.artifact(ArtifactType.REGO_BUNDLE)
        if artifact is not None:
            found = hashlib.sha256(artifact.content).hexdigest()
            if found != artifact.sha256:
                raise BadPolicy(
                    f"the bundle is damaged: its sha256 is {found}, not {artifact.sha256}",
                    code="pkg.artifact_damaged",
                )
            self._program["bundle"] = artifact.content.hex()
        else:
            self._program["modules"] = self._sources
        self._child: _Child | None = None
        self._started()

    def evaluate(self, document: Input, *, explain: bool = False) -> Decision:
        """Decide.

        Args:
            document: The input.
            explain: Makes no difference: Rego does not tell what it looked at.

        Raises:
            PolicyError: It took too long, grew too large, died, failed, or returned no decision.
        """
        began = time.perf_counter()
        answer = self._ask(self._started(), {"input": document.document()}, self._timeout_s)
        if "value" not in answer:
            if "error" in answer:
                raise PolicyError(f"the policy failed: {_message(answer['error'])}")
            raise PolicyError(
                f"{self._entrypoint} is undefined for this input",
                code="pkg.undefined",
                hint="give it a default, such as: default denied := false",
            )
        duration_ms = (time.perf_counter() - began) * 1000
        return self._reader.decision(answer["value"], document.dropped, duration_ms)

    def close(self) -> None:
        """End the process."""
        child, self._child = self._child, None
        if child is not None:
            child.end()

    def __del__(self) -> None:
        """End the process with whoever used it."""
        with contextlib.suppress(Exception):
            self.close()

    def _started(self) -> _Child:
        child = self._child
        if child is None:
            child = self._child = _Child()
            answer = self._ask(child, self._program, _START_S)
            if "ready" not in answer:
                self.close()
                place = self._place(answer.get("error", ""))
                raise BadPolicy(
                    f"{place}{_message(answer.get('error', ''))}", code="pkg.does_not_compile"
                )
        return child

    def _ask(self, child: _Child, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        try:
            return child.ask({**request, "cpu_s": timeout_s}, timeout_s, self._memory)
        except PolicyError:
            self.close()
            raise

    def _place(self, error: str) -> str:
        """Return the file and line that an error of the compiler is about."""
        found = _PLACE.search(error)
        if found is None:
            return ""
        name, offset = found[1], int(found[2])
        source = self._sources.get(name)
        if source is None:
            return f"{name}: "
        line = source.encode()[:offset].count(b"\n") + 1
        return f"{name}:{line}: "


def _message(error: str) -> str:
    """Return what the library says, without its syntax tree, on one line."""
    said = _SAID.search(error)
    text = said[1] if said is not None else error
    return " ".join(text.split())[:500] or "it gives no reason"


class _Child:
    """One process, and the two pipes to it."""

    def __init__(self) -> None:
        # Foreign code gets nothing of ours: no credentials, no settings.
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "seedcore.pkg.engines.rego_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # It must find this package, wherever the caller stands.
            env={**environment, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            start_new_session=True,
        )
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        self._answers = self._process.stdout.fileno()
        os.set_blocking(self._answers, False)
        self._memory = Path(f"/proc/{self._process.pid}/statm")

    def ask(self, request: dict[str, Any], timeout_s: float, memory: int) -> dict[str, Any]:
        """Send one line and wait for one line.

        Raises:
            PolicyError: None came.
        """
        deadline = time.monotonic() + timeout_s
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101 - as above
        try:
            stdin.write(_text(request).encode() + b"\n")
            stdin.flush()
        except (BrokenPipeError, ValueError) as error:
            raise self._died() from error
        received = bytearray()
        while not received.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0:
                raise PolicyError(
                    f"the policy did not decide within {timeout_s:g} s",
                    code="pkg.timeout",
                    hint="a larger PKG_TIMEOUT_S gives it more",
                )
            if not select.select([self._answers], [], [], min(left, _LOOK_S))[0]:
                self._look_at_memory(memory)
                continue
            chunk = os.read(self._answers, 1 << 20)
            if not chunk:
                raise self._died()
            received += chunk
            if len(received) > _MAX_ANSWER:
                raise PolicyError("the policy's result is too large", code="pkg.bad_result")
        return cast("dict[str, Any]", json.loads(received))

    def end(self) -> None:
        """Kill it and let go of the pipes."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _look_at_memory(self, limit: int) -> None:
        try:
            resident = int(self._memory.read_text().split()[1]) * _PAGE
        except (OSError, IndexError, ValueError):
            return  # it has just died, which the pipe tells
        if resident > limit:
            raise PolicyError(
                f"the policy uses more than {limit // (1024 * 1024)} MB",
                code="pkg.out_of_memory",
            )

    def _died(self) -> PolicyError:
        code = self._process.wait()
        if -code == signal.SIGXCPU:
            return PolicyError("the policy used up its processor time", code="pkg.timeout")
        reason = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return PolicyError(f"the engine's process died ({reason})", code="pkg.engine_died")
