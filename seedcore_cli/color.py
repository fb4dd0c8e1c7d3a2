"""Whether to write colours."""

from __future__ import annotations

import os
from typing import TextIO


def wants_color(stream: TextIO | None, choice: str = "auto") -> bool:
    """Return whether a stream gets escape sequences.

    Args:
        stream: Where the text goes.
        choice: `always` and `never` decide; `auto` asks NO_COLOR, TERM and whether it is a terminal.
    """
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream is not None and stream.isatty()
