"""One worker of several: started by the supervisor, which talks to it through its pipes.

Standard input carries one line, settings and options as JSON (so that no secret stands in arguments or
environment), and then stays open: its end means that the supervisor is gone, and the worker drains.
Standard output carries one line back: the summary, or the error that ended the run.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import threading
from typing import Any

from seedcore.config.settings import Settings
from seedcore.errors import SeedcoreError
from seedcore.telemetry import logs
from workers.options import Options
from workers.queue import leave, run


def order(settings: Settings, options: Options) -> bytes:
    """Return the line that starts a worker."""
    values = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    values["origins"] = dict(settings.origins)
    return json.dumps({"settings": values, "options": dataclasses.asdict(options)}).encode() + b"\n"


def main() -> int:
    """Run one worker as ordered and return its exit code."""
    given = json.loads(sys.stdin.buffer.readline())
    options = given["options"]
    for name in ("types", "domains"):
        options[name] = tuple(options[name])
    settings = Settings(**given["settings"])
    logs.configure(settings.log_level, settings.log_format)
    threading.Thread(target=_drain_when_alone, name="supervisor-watch", daemon=True).start()
    try:
        ended = run(settings, Options(**options))
    except SeedcoreError as error:
        said = {"message": error.message, "code": error.code, "hint": error.hint}
        _say({"error": {**said, "exit_code": error.exit_code}})
        return error.exit_code
    _say({"summary": ended.summary})
    if ended.is_stuck:
        leave(ended.exit_code)
    return ended.exit_code


def _drain_when_alone() -> None:
    # Unbuffered: a daemon thread that holds a buffer's lock can make the interpreter's end fail.
    while os.read(0, 1):
        continue
    os.kill(os.getpid(), signal.SIGTERM)


def _say(answer: dict[str, Any]) -> None:
    try:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    except OSError:
        return  # the supervisor is gone


if __name__ == "__main__":
    sys.exit(main())
