"""Where lines come from: a file, or standard input."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from seedcore.errors import UsageError


class _AsItComes:
    """Reads what is there: `read` of a pipe would wait for a whole block before the first line.

    Args:
        stream: What to read.
        before: Called before every read, which may take as long as the writer likes.
    """

    def __init__(self, stream: BinaryIO, before: Callable[[], None]) -> None:
        self._stream = cast("io.BufferedReader", stream)
        self._before = before

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        self._before()
        return self._stream.read1(size)


@contextmanager
def opened(
    name: str, before: Callable[[], None], command: str = "seedcore task submit"
) -> Generator[_AsItComes]:
    """Open a file, or standard input for `-`.

    Args:
        name: Its path.
        before: Called before every read, such as `cli.printer.flush`: what was said about the lines so
            far should be seen while the next ones are awaited.
        command: Whose help explains the lines.

    Raises:
        UsageError: It can't be opened, or standard input is a terminal.
    """
    if name == "-":
        if sys.stdin is None or sys.stdin.isatty():
            raise UsageError(
                "-f - reads standard input, which is a terminal",
                hint=f"pipe lines of JSON in, or name a file; see {command} --help",
            )
        yield _AsItComes(sys.stdin.buffer, before)
        return
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(Path(name).open("rb"))
        except OSError as error:
            raise UsageError(f"can't read {name}: {error.strerror}") from error
        yield _AsItComes(stream, before)
