"""The process that runs Rego for `seedcore.pkg.engines.rego`; started as a module, never imported.

regopy runs in C++ without limits of time or memory, and a bundle that it can't digest may end the process. So
it has one of its own. Each line in is one JSON document, as is each line out: first the policy, then inputs.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

_UNKNOWN = "a function that it calls is not known"
_CONFLICT = "a rule came to two values, or a built-in function refused its arguments"


def main() -> int:
    """Serve until the other side closes the pipe."""
    # What the library prints belongs to nobody; answers keep the pipe to themselves.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    serve = None
    for line in sys.stdin:
        request = json.loads(line)
        _limit_cpu(request["cpu_s"])
        try:
            if serve is None:
                serve = _load(request)
                answer: dict[str, Any] = {"ready": True}
            else:
                answer = serve(request["input"])
        except Exception as error:
            answer = {"error": str(error) or type(error).__name__}
        answers.write(json.dumps(answer, ensure_ascii=True) + "\n")
        answers.flush()
    return 0


def _limit_cpu(seconds: float) -> None:
    """Let the kernel end this process when the next request takes more of its time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = used.ru_utime + used.ru_stime
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(spent + seconds) + 1, hard))


def _load(request: dict[str, Any]) -> Any:
    import regopy
    from regopy.rego_shared import LogLevel

    interpreter = regopy.Interpreter()
    interpreter.log_level = LogLevel.NONE
    entrypoint = request["entrypoint"]
    if request.get("bundle") is not None:
        bundle = _bundle(interpreter, bytes.fromhex(request["bundle"]))
    else:
        for name, source in request["modules"].items():
            interpreter.add_module(name, source)
        bundle = interpreter.build(None, [entrypoint])
    # Asking a bundle that is not whole ends the process.
    if not bundle.ok():
        raise ValueError("the policy does not compile")
    interpreter.strict_built_in_errors = True

    def serve(document: Any) -> dict[str, Any]:
        interpreter.set_input(document)
        try:
            output: Any = interpreter.query_bundle_entrypoint(bundle, entrypoint)
        except json.JSONDecodeError:
            return {"error": _UNKNOWN}  # the library reads its own error message as a result
        if not output.ok():
            said = str(output)
            return {"error": _CONFLICT if said == "<error>" else said}
        expressions: list[Any] = output.results[0].expressions if output.results else []
        return {"value": expressions[0]} if expressions else {"undefined": True}

    return serve


def _bundle(interpreter: Any, content: bytes) -> Any:
    import regopy

    handle, name = tempfile.mkstemp(suffix=".rbb")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        return interpreter.load_bundle(name, regopy.BundleFormat.Binary)
    finally:
        with contextlib.suppress(OSError):
            Path(name).unlink()


if __name__ == "__main__":
    sys.exit(main())
