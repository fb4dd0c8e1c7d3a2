"""Named SQL: a slice's statements live in `queries.sql`, one block per statement.

A block starts with `-- name --` on a line of its own; the comment lines below say why. The loader
follows the layout that procrastinate uses for its own statements.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from typing import LiteralString, cast

_HEADER = re.compile(r"^-- ([a-z][a-z0-9_]*) --$", re.MULTILINE)


class Queries:
    """The statements of one file, as attributes.

    Args:
        package: Package that holds the file, such as `seedcore.task`.
        filename: Name of the file in it.

    Raises:
        ValueError: A name occurs twice.
    """

    def __init__(self, package: str, filename: str = "queries.sql") -> None:
        self._where = f"{package}/{filename}"
        text = resources.files(package).joinpath(filename).read_text(encoding="utf-8")
        parts = _HEADER.split(text)
        self._statements: dict[str, LiteralString] = {}
        for name, body in zip(parts[1::2], parts[2::2], strict=True):
            if name in self._statements:
                raise ValueError(f"{self._where} has two statements named {name}")
            # The text ships with the package and never holds input, which is what LiteralString means.
            self._statements[name] = cast("LiteralString", body.strip())

    def __getattr__(self, name: str) -> LiteralString:
        """Return the statement of that name.

        Raises:
            AttributeError: There is none.
        """
        try:
            return self._statements[name]
        except KeyError:
            raise AttributeError(f"{self._where} has no statement named {name}") from None

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, in the file's order."""
        return iter(self._statements)
