"""The conditions that choose facts, the same on every command that takes them."""

from __future__ import annotations

from typing import Annotated

import typer

Subject = Annotated[
    str | None, typer.Option("--subject", help="Only of this subject.", metavar="NAME")
]
Predicate = Annotated[
    str | None, typer.Option("--predicate", help="Only this predicate.", metavar="NAME")
]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", help="With this tag; repeat for more.", metavar="TAG")
]
Namespace = Annotated[
    str | None, typer.Option("--namespace", help="Only in this namespace.", metavar="NAME")
]
Snapshot = Annotated[
    str | None,
    typer.Option("--snapshot", help="Of this policy snapshot.", metavar="[ENV/]VERSION"),
]
