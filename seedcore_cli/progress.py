"""A progress bar on standard error, where somebody can see it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

from seedcore_cli.session import MACHINE_FORMATS, Cli


@contextmanager
def progress_bar(cli: Cli, what: str) -> Generator[Callable[[int, int], None]]:
    """Show how far something is: a bar on a terminal, nothing elsewhere.

    Args:
        cli: Silent with `-q` and in machine formats.
        what: What is being done.

    Yields:
        A function to call with done and total.
    """
    quiet = cli.options.quiet or cli.format in MACHINE_FORMATS
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        transient=True,
    )
    with bar:
        job = bar.add_task(what, total=None)

        def show(done: int, total: int) -> None:
            bar.update(job, completed=done, total=max(done, total) or None)

        yield show
