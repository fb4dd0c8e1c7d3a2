"""The program: `main` is the only place that turns errors into text and exit codes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Any

from seedcore.errors import SeedcoreError, WaitTimeout
from seedcore_cli import exit_codes

PROGRAM = "seedcore"
_MACHINE_FORMATS = ("json", "jsonl", "yaml")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    Args:
        arguments: Words after the program's name. Default: those of this process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words == ["--version"]:
        from seedcore import __version__

        sys.stdout.write(f"{PROGRAM} {__version__}\n")
        return exit_codes.OK
    try:
        return _run(words)
    except BaseException as error:  # the one place that maps them all
        return _ended_by(error, words)


def _run(words: list[str]) -> int:
    from seedcore_cli import app, signals

    signals.raise_on_termination()
    if isinstance(sys.stdout, TextIOWrapper):
        # Ids and JSON are the same bytes in every locale.
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    if isinstance(sys.stderr, TextIOWrapper):
        sys.stderr.reconfigure(errors="backslashreplace")
    code = app.run(app.root(), PROGRAM, words)
    if sys.stdout is not None:
        sys.stdout.flush()  # here, where a full disk still becomes a message
    return code


def _ended_by(error: BaseException, words: list[str]) -> int:
    from seedcore_cli.signals import Terminated, TimedOut

    if _wants_traceback(words) and not isinstance(error, SystemExit | BrokenPipeError):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, BrokenPipeError):
        _abandon_stdout()
        return exit_codes.CLOSED_PIPE
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else exit_codes.ERROR
    if isinstance(error, Terminated):
        return exit_codes.TERMINATED
    if isinstance(error, KeyboardInterrupt) and not isinstance(error, TimedOut):
        return exit_codes.INTERRUPTED
    known = _as_known(error)
    _report(known, _format_of(error, words))
    return known.exit_code


def _as_known(error: BaseException) -> Any:
    """Return an error of ours for anything that can end a command."""
    from typer import Abort
    from typer.exceptions import TyperException

    from seedcore_cli.signals import TimedOut

    if isinstance(error, SeedcoreError):
        return error
    if isinstance(error, TyperException):
        return _usage(error)
    if isinstance(error, TimedOut):
        return WaitTimeout("the time of --timeout has passed", code="cli.timeout")
    if isinstance(error, Abort):
        return SeedcoreError("aborted", code="cli.aborted")
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        return _undecodable(error)
    if isinstance(error, MemoryError):
        return SeedcoreError("out of memory", code="cli.out_of_memory")
    if isinstance(error, OSError) and _is_about_stdout(error):
        _abandon_stdout()
        reason = error.strerror or str(error)
        return SeedcoreError(f"can't write the output: {reason}", code="cli.output_failed")
    text = " ".join(str(error).split())
    return SeedcoreError(
        f"unexpected {type(error).__name__}: {text}"
        if text
        else f"unexpected {type(error).__name__}",
        code="cli.unexpected",
        hint="run it again with --debug and report what it prints",
    )


def _undecodable(error: UnicodeEncodeError) -> SeedcoreError:
    """Return the error of an argument whose bytes are no UTF-8: Python keeps them as lone surrogates."""
    from seedcore.errors import UsageError

    return UsageError(
        f"{error.object[:60]!a} is not UTF-8 (character {error.start + 1})",
        code="usage.not_utf8",
        hint="give text in UTF-8",
    )


def _usage(error: Any) -> SeedcoreError:
    """Return a usage error of typer's in our words."""
    from seedcore.errors import UsageError

    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else PROGRAM
    message = error.format_message().strip().rstrip(".").replace("\n\t", " ").replace("\n", " ")
    message = message[:1].lower() + message[1:] if message else "wrong usage"
    return UsageError(message, code="usage.arguments", hint=f"{command} --help")


def _is_about_stdout(error: OSError) -> bool:
    """A full disk, a file size limit or a closed descriptor; files of ours are named in theirs."""
    import errno

    full = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO, errno.EBADF)
    return error.filename is None and (error.errno in full or error.errno is None)


def _abandon_stdout() -> None:
    """Point standard output elsewhere, or the interpreter would complain when it flushes at exit."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
    except OSError:
        return


def _report(error: SeedcoreError, output_format: str | None) -> None:
    if sys.stderr is None:
        return
    if output_format in _MACHINE_FORMATS:
        body = {
            "code": error.code,
            "message": error.message,
            "hint": error.hint,
            "details": error.details,
            "exit_code": error.exit_code,
        }
        text = json.dumps({"error": body}, ensure_ascii=False, default=str)
    else:
        from seedcore_cli.encode import cell

        # One line each, whatever a file or a server made us quote.
        text = f"error: {cell(error.message)}" + (
            f"\nhint: {cell(error.hint)}" if error.hint else ""
        )
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except OSError:
        return  # the exit code still tells


def _format_of(error: BaseException, words: list[str]) -> str | None:
    """Return the output format asked for, also when the command line itself is wrong."""
    known = getattr(error, "output_format", None)
    if known is not None:
        return known
    found = os.environ.get("SEEDCORE_OUTPUT")
    for index, word in enumerate(words):
        if word in ("-o", "--output") and index + 1 < len(words):
            found = words[index + 1]
        elif word.startswith("--output="):
            found = word.partition("=")[2]
        elif word.startswith("-o") and len(word) > 2:
            found = word[2:]
    return found.lower() if found else None


def _wants_traceback(words: list[str]) -> bool:
    if "--debug" in words:
        return True
    return os.environ.get("SEEDCORE_DEBUG", "").lower() in ("1", "true", "yes", "on")
