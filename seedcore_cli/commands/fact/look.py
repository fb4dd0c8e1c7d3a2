"""Look at facts: search, at, show, history, stats."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedcore.errors import CheckFailed, UsageError
from seedcore_cli.commands.fact.columns import FOUND, LISTED, REST, SAID, STATS, day, listed
from seedcore_cli.commands.fact.group import app
from seedcore_cli.commands.fact.selectors import Namespace, Predicate, Snapshot, Subject, Tags
from seedcore_cli.options import Cli, Limit, common
from seedcore_cli.output import Column
from seedcore_cli.params import parse_time

if TYPE_CHECKING:
    from seedcore.fact.model import Selection

_NO_BOUND = 10**9


class By(StrEnum):
    """By what facts are found."""

    TEXT = "text"
    VECTOR = "vector"
    HYBRID = "hybrid"


At = Annotated[
    datetime | None,
    typer.Option("--at", help="Holding at this time.", metavar="TIME", parser=parse_time),
]


@app.command("search")
@common
def search(
    cli: Cli,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="Words to find. Default: newest first.")
    ] = None,
    *,
    mode: Annotated[By, typer.Option("--mode", help="By words, by vectors, or by both.")] = By.TEXT,
    subject: Subject = None,
    predicate: Predicate = None,
    tag: Tags = None,
    namespace: Namespace = None,
    snapshot: Snapshot = None,
    at: At = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Also those that hold no more, or not yet.")
    ] = False,
    k: Annotated[int, typer.Option("-k", help="At most this many; 0 = all.", min=0)] = 10,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 3 when there is none.")
    ] = False,
) -> None:
    """Find facts by their words, by what they are about, or by both.

    Only facts that hold now, unless --at or --all says otherwise. Any word of the text is enough; facts
    with more of them come first. Vectors find what is said in other words; see 'seedcore embed facts'.

    Examples:
      seedcore fact search "when does the gym open"
      seedcore fact search --subject gym --at 2031-05-17

    Exit codes: 3 none with --exit-code, or vectors alone are asked for and there are none; 4 no such
    snapshot.
    """
    from seedcore.fact import service

    if all_ and at is not None:
        raise UsageError("give --at or --all, not both")
    chosen = service.Selection(
        namespace=namespace,
        subject=subject,
        predicate=predicate,
        tags=tuple(tag or ()),
        snapshot=snapshot,
        at=at,
        holding=not all_,
        limit=k,
    )
    if mode is not By.TEXT and (text is None or all_):
        raise UsageError("--mode vector and hybrid need a text, and facts that hold at one time")
    with cli.connect() as conn:
        if mode is By.TEXT or text is None:
            rows = service.search(conn, text, chosen)
        else:
            rows = _by_meaning(cli, conn, text, mode, chosen)
    if not rows and exit_code:
        raise CheckFailed("there is no such fact", code="fact.none_found")
    cli.printer.many(rows, FOUND if text is not None else LISTED)


def _by_meaning(
    cli: Cli, conn: Any, text: str, mode: By, chosen: Selection
) -> list[dict[str, Any]]:
    """Ask the memory, of facts alone."""
    from seedcore.fact import service
    from seedcore.fact.store import snapshot_id
    from seedcore.memory.model import MOST_HITS, Mode, Question, Scope
    from seedcore.memory.retrieval import retrieve

    conditions = {"subject": chosen.subject, "predicate": chosen.predicate}
    wanted: dict[str, Any] = {"kind": "fact"} | {
        k: v for k, v in conditions.items() if v is not None
    }
    if chosen.tags:
        wanted["tags"] = list(chosen.tags)
    scope = Scope(
        namespace=chosen.namespace,
        snapshot_id=None if chosen.snapshot is None else snapshot_id(conn, chosen.snapshot),
        at=chosen.at,
        filter=wanted,
    )
    question = Question(
        text=text,
        k=min(chosen.limit or MOST_HITS, MOST_HITS),
        mode=Mode(mode.value),
        hops=0,
        scope=scope,
        max_tokens=_NO_BOUND,
    )
    found = retrieve(conn, question, cli.settings)
    if found.mode == "lexical":
        cli.note("only equal words counted; 'seedcore embed facts' adds meaning")
    rows = service.by_ids(conn, [hit.id for hit in found.hits])
    return [{"score": hit.score, **rows[hit.id]} for hit in found.hits if hit.id in rows]


@app.command("at")
@common
def at(
    cli: Cli,
    moment: Annotated[
        datetime, typer.Argument(metavar="TIME", help="The moment.", parser=parse_time)
    ],
    *,
    subject: Subject = None,
    predicate: Predicate = None,
    tag: Tags = None,
    namespace: Namespace = None,
    snapshot: Snapshot = None,
    limit: Limit = 50,
) -> None:
    """Show what held at a time, by subject and predicate.

    Example: seedcore fact at 2031-05-17T12:00:00Z --subject gym

    Exit codes: 4 no such snapshot.
    """
    from seedcore.fact import service

    chosen = service.Selection(
        namespace=namespace,
        subject=subject,
        predicate=predicate,
        tags=tuple(tag or ()),
        snapshot=snapshot,
        limit=limit,
    )
    with cli.connect() as conn:
        rows = _Counted(service.held_at(conn, moment, chosen))
        cli.printer.many(iter(rows), LISTED)
    if limit and rows.count == limit:
        cli.note(f"the first {limit}; --limit 0 shows all")


@app.command("show")
@common
def show(
    cli: Cli,
    fact: Annotated[str, typer.Argument(metavar="ID", help="Its id, or the first digits.")],
) -> None:
    """Show one fact in full, and which tasks found or read it.

    Example: seedcore fact show 0198c7a1

    Exit codes: 4 there is no such fact.
    """
    from seedcore.fact import service

    with cli.connect() as conn:
        row = service.show(conn, fact)
    formats = {"valid_from": day, "valid_to": day, "found_by": listed, "read_by": listed}
    special = {column.key: column for column in (*SAID, *REST)}
    columns = [
        Column(
            key,
            id=key == "id",
            format=formats.get(key, special[key].format if key in special else None),
        )
        for key, value in row.items()
        if cli.format not in ("table", "wide") or value not in (None, [], {})
    ]
    cli.printer.one(row, columns)


@app.command("history")
@common
def history(
    cli: Cli,
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="Of whom.")],
    *,
    predicate: Predicate = None,
    namespace: Namespace = None,
    limit: Limit = 50,
) -> None:
    """Show all that was ever said of a subject, the newest first.

    Example: seedcore fact history gym --predicate opens

    Exit codes: 4 nothing is known of it.
    """
    from seedcore.fact import service

    chosen = service.Selection(
        namespace=namespace, subject=subject, predicate=predicate, limit=limit
    )
    with cli.connect() as conn:
        rows = _Counted(service.history(conn, chosen))
        cli.printer.many(iter(rows), LISTED)
    if limit and rows.count == limit:
        cli.note(f"the first {limit}; --limit 0 shows all")


@app.command("stats")
@common
def stats(cli: Cli, *, namespace: Namespace = None) -> None:
    """Count facts: all, holding now, expired, still to come, and by tag.

    Example: seedcore fact stats --namespace gym
    """
    from seedcore.fact import service

    with cli.connect() as conn:
        cli.printer.one(service.stats(conn, namespace), STATS)


class _Counted:
    """Rows that are counted on their way."""

    def __init__(self, rows: Iterator[dict[str, Any]]) -> None:
        self._rows: Any = rows
        self.count = 0

    def __iter__(self) -> Generator[dict[str, Any]]:
        with closing(self._rows) as rows:
            for row in rows:
                self.count += 1
                yield row
