"""`seedcore fact add`: one fact from options, or many from a file."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedcore.errors import PartialFailure, SeedcoreError, UsageError
from seedcore_cli.commands.fact.columns import ADDED, LOADED
from seedcore_cli.commands.fact.group import app
from seedcore_cli.commands.task.source import opened
from seedcore_cli.commands.task.submit import OnError
from seedcore_cli.humanize import count_of
from seedcore_cli.options import Cli, DryRun, Reason, common
from seedcore_cli.params import parse_duration, parse_time, read_json, read_source

if TYPE_CHECKING:
    from seedcore.fact.adding import Entry
    from seedcore.fact.bulk import Load

_ONE = "For one fact"
_MANY = "For many facts"


def _one(*names: str, help: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=_ONE, **more)


def _many(*names: str, help: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=_MANY, **more)


@app.command("add")
@common
def add(
    cli: Cli,
    text: Annotated[
        str | None,
        typer.Argument(metavar="TEXT", help="The statement in words; - reads standard input."),
    ] = None,
    *,
    subject: Annotated[
        str | None, _one("--subject", help="Of whom it speaks.", metavar="NAME")
    ] = None,
    predicate: Annotated[
        str | None, _one("--predicate", help="What it says of the subject.", metavar="NAME")
    ] = None,
    object_: Annotated[
        str | None,
        _one("--object", help="The value that it says: JSON, @FILE or -.", metavar="JSON"),
    ] = None,
    tag: Annotated[
        list[str] | None,
        _one("--tag", help="A word to find it by; repeat for more.", metavar="TAG"),
    ] = None,
    namespace: Annotated[
        str, _one("--namespace", help="Facts of another one contradict nothing.", metavar="NAME")
    ] = "default",
    valid_from: Annotated[
        datetime | None,
        _one(
            "--valid-from",
            help="First moment at which it holds. Default: now.",
            metavar="TIME",
            parser=parse_time,
        ),
    ] = None,
    valid_to: Annotated[
        datetime | None,
        _one(
            "--valid-to",
            help="First moment at which it holds no more. Default: open.",
            metavar="TIME",
            parser=parse_time,
        ),
    ] = None,
    for_: Annotated[
        float | None,
        _one("--for", help="How long it holds (2h, 30d).", metavar="DUR", parser=parse_duration),
    ] = None,
    snapshot: Annotated[
        str | None,
        _one(
            "--snapshot",
            help="Policy snapshot. Default: the active one.",
            metavar="[ENV/]VERSION",
        ),
    ] = None,
    rule: Annotated[
        str | None, _one("--rule", help="Policy rule that governs it.", metavar="ID")
    ] = None,
    file: Annotated[
        str | None,
        _many("--file", "-f", help="Lines of JSON, or - for standard input.", metavar="FILE"),
    ] = None,
    on_error: Annotated[
        OnError,
        _many("--on-error", help="stop before a bad line, or continue without it."),
    ] = OnError.STOP,
    from_line: Annotated[
        int, _many("--from-line", help="Begin with this line.", metavar="N", min=1)
    ] = 1,
    batch_size: Annotated[
        int, _many("--batch-size", help="Lines in a transaction.", metavar="N", min=1, max=10_000)
    ] = 2000,
    supersede: Annotated[
        bool,
        typer.Option(
            "--supersede", help="End the older fact of the same subject where this one begins."
        ),
    ] = False,
    embed: Annotated[
        bool, typer.Option("--embed", help="Embed what was added, so that it is found by meaning.")
    ] = False,
    reason: Reason = None,
    dry_run: DryRun = False,
) -> None:
    """Add a fact, or a file of them.

    A fact that says what is known already is not added again. One that contradicts another at any
    time is refused, unless --supersede ends that one.

    Lines of a file are JSON objects with text, subject, predicate, object, tags, namespace, valid_from,
    valid_to, for, snapshot, rule, provenance, meta, created_by, id. `fact export` writes such lines.

    Examples:
      seedcore fact add "The gym opens at nine." --tag gym
      seedcore fact add --subject gym --predicate opens --object '"09:00"' --supersede
      seedcore fact add -f facts.ndjson --on-error continue

    Exit codes: 4 no such snapshot; 5 another fact says otherwise; 7 lines of a file were refused; 69 with
    --embed, the encoder can't be reached.
    """
    if text == "-" and file is None:
        if object_ == "-":
            raise UsageError("TEXT and --object can't both read standard input")
        text = read_source(text, "TEXT")[0].strip()
    given: dict[str, Any] = {
        "text": text,
        "subject": subject,
        "predicate": predicate,
        "tags": tag,
        "valid_from": valid_from,
        "valid_to": valid_to,
        "for": for_,
        "snapshot": snapshot,
        "rule": rule,
    }
    document = {name: value for name, value in given.items() if value is not None}
    if file is not None:
        if document or object_ is not None or namespace != "default":
            raise UsageError("give a fact or --file, not both", code="fact.two_sources")
        _load(
            cli, file, supersede=supersede, stops=on_error is OnError.STOP, from_line=from_line,
            batch_size=batch_size, reason=reason, dry_run=dry_run,
        )  # fmt: skip
        if embed and not dry_run:
            _embed(cli, None)
        return
    if not document and object_ is None:
        raise UsageError(
            "there is nothing to add",
            code="fact.empty_text",
            hint="give a text, a triple or --file; see seedcore fact add --help",
        )
    if object_ is not None:
        document["object"] = read_json(object_, "--object")
    document["namespace"] = namespace
    added = _add(cli, document, supersede=supersede, reason=reason, dry_run=dry_run)
    if embed and not dry_run:
        _embed(cli, [added])


def _add(
    cli: Cli, document: dict[str, Any], *, supersede: bool, reason: str | None, dry_run: bool
) -> str:
    from seedcore.fact import service

    fact = service.read_fact(document)
    with cli.connect() as conn:
        row = service.add(
            conn, fact, actor=cli.actor, reason=reason, supersede=supersede, dry_run=dry_run
        )
    cli.printer.one(row | {"dry_run": True} if dry_run else row, ADDED)
    if dry_run:
        cli.note("nothing was added")
    elif not row["created"]:
        cli.note("unchanged: that is known")
    else:
        cli.hint(f"seedcore fact show {row['id']}")
    return str(row["id"])


def _embed(cli: Cli, ids: list[str] | None) -> None:
    """Embed facts, or all that have no vector yet; what was added stays, whatever becomes of this."""
    from seedcore.embed import run, selection

    try:
        with cli.connect() as conn:
            choice = selection.choose(conn, cli.settings)
            done = run.run(conn, choice, run.FACTS, run.Wanted(ids=ids))
    except SeedcoreError as error:
        again = "the facts are in; embed them with 'seedcore embed facts'"
        error.hint = f"{error.hint.rstrip('.')}; {again}" if error.hint else again
        raise
    cli.note(f"{count_of(done.embedded, 'fact')} embedded by {done.encoder}")


def _load(
    cli: Cli,
    file: str,
    *,
    supersede: bool,
    stops: bool,
    from_line: int,
    batch_size: int,
    reason: str | None,
    dry_run: bool,
) -> None:
    from seedcore.fact.bulk import Load

    with (
        opened(file, cli.printer.flush, "seedcore fact add") as stream,
        cli.connect() as conn,
    ):
        load = Load(
            conn,
            stream,
            actor=cli.actor,
            reason=reason,
            supersede=supersede,
            stops=stops,
            from_line=from_line,
            batch_size=batch_size,
            dry_run=dry_run,
        )
        first_bad: list[Entry] = []
        try:
            rows = _rows(load, first_bad, dry_run=dry_run)
            cli.printer.stream(rows, LOADED, flush=False)
        except SeedcoreError as error:
            next_line = load.summary.next_line or from_line
            if not dry_run:
                so_far = f"the lines before {next_line} are in; go on with --from-line {next_line}"
                error.hint = f"{error.hint.rstrip('.')}; {so_far}" if error.hint else so_far
            raise
    _conclude(cli, load, first_bad, dry_run=dry_run)


def _rows(load: Load, first_bad: list[Entry], *, dry_run: bool) -> Generator[dict[str, Any]]:
    with closing(iter(load)) as entries:
        for entry in entries:
            row = {"line": entry.line, **entry.row(), "error": None}
            if entry.error is not None:
                first_bad.append(entry) if not first_bad else None
                row |= {"error": entry.error.message, "code": entry.error.code}
            yield row | {"dry_run": True} if dry_run else row


def _conclude(cli: Cli, load: Load, first_bad: list[Entry], *, dry_run: bool) -> None:
    summary = load.summary
    would = "would be " if dry_run else ""
    counts = (
        f"{summary.created} {would}added, {summary.known} known, {summary.superseded} superseded"
    )
    if not first_bad:
        cli.note(f"{count_of(summary.lines, 'line')}: {counts}")
        return
    bad = first_bad[0]
    assert bad.error is not None  # noqa: S101 - that is why it is in the list
    if summary.next_line is not None:
        message = f"stopped at line {bad.line}: {bad.error.message} ({counts} before it)"
        cure = f"{bad.error.hint}; then" if bad.error.hint else "mend the line and"
        hint = f"{cure} go on with --from-line {bad.line}, or use --on-error continue"
    else:
        refused = count_of(summary.failed, "line")
        message = f"{refused} refused, the first at {bad.line}: {bad.error.message} ({counts})"
        hint = bad.error.hint or "mend these lines and add them alone; the others are in"
    raise PartialFailure(
        message,
        code="fact.partial",
        hint=hint,
        details={
            "lines": summary.lines,
            "created": summary.created,
            "known": summary.known,
            "superseded": summary.superseded,
            "failed": summary.failed,
            "next_line": summary.next_line,
            "codes": summary.codes,
        },
    )
