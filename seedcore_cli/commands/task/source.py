"""Where lines of tasks come from."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from seedcore.errors import UsageError


@contextmanager
def opened(name: str) -> Generator[BinaryIO]:
    """Open a file, or standard input for `-`.

    Raises:
        UsageError: It can't be opened, or standard input is a terminal.
    """
    if name == "-":
        if sys.stdin is None or sys.stdin.isatty():
            raise UsageError(
                "-f - reads standard input, which is a terminal",
                hint="pipe lines of JSON in, or name a file; see seedcore task submit --help",
            )
        yield sys.stdin.buffer
        return
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(Path(name).open("rb"))
        except OSError as error:
            raise UsageError(f"can't read {name}: {error.strerror}") from error
        yield stream
