"""`seedcore task submit`: one task from options, or many from a file."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from seedcore.errors import UsageError
from seedcore_cli.commands.task.columns import SUBMITTED
from seedcore_cli.commands.task.group import app
from seedcore_cli.commands.task.source import opened
from seedcore_cli.commands.task.tools import known_tools
from seedcore_cli.options import Cli, DryRun, Reason, common
from seedcore_cli.params import parse_duration, parse_time

if TYPE_CHECKING:
    from seedcore.task.model import Submitted


class OnConflict(StrEnum):
    """What to do when the idempotency key is taken."""

    RETURN = "return"
    SKIP = "skip"
    FAIL = "fail"


class Unique(StrEnum):
    """How long a task keeps its idempotency key taken."""

    WAITING = "waiting"
    UNFINISHED = "unfinished"
    LIVE = "live"
    EVER = "ever"


class OnError(StrEnum):
    """What a bad line does to the rest of a file."""

    STOP = "stop"
    CONTINUE = "continue"


class ThenWhen(StrEnum):
    """What the members of a batch have to do before the task that waits for them runs."""

    COMPLETED = "completed"
    ENDED = "ended"


_ONE = "For one task"
_MANY = "For many tasks"


def _one(*names: str, help: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=_ONE, **more)


def _many(*names: str, help: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=_MANY, **more)


@app.command("submit")
@common(own_timeout=True)
def submit(
    cli: Cli,
    type_: Annotated[
        str | None,
        typer.Argument(metavar="TYPE", help="What kind of task, such as action or query."),
    ] = None,
    *,
    params: Annotated[
        str | None,
        _one("--params", help="A JSON object, @FILE, or - for standard input.", metavar="JSON"),
    ] = None,
    tool: Annotated[
        str | None,
        _one("--tool", help="A tool to call; short for params.tool_calls.", metavar="NAME"),
    ] = None,
    args: Annotated[
        str | None,
        _one("--args", help="Its arguments: a JSON object, @FILE or -.", metavar="JSON"),
    ] = None,
    description: Annotated[
        str | None, _one("--description", help="What to do, in words.", metavar="TEXT")
    ] = None,
    domain: Annotated[str | None, _one("--domain", help="Namespace.", metavar="NAME")] = None,
    drift_score: Annotated[
        float | None,
        _one("--drift-score", help="How unusual it looks, from 0.", metavar="N", min=0),
    ] = None,
    priority: Annotated[
        int | None, _one("--priority", help="10 is first; default 5.", metavar="N", min=0, max=10)
    ] = None,
    at: Annotated[
        datetime | None,
        _one("--at", help="Not before this time (ISO-8601).", metavar="TIME", parser=parse_time),
    ] = None,
    in_: Annotated[
        float | None,
        _one("--in", help="Not before so long from now.", metavar="DUR", parser=parse_duration),
    ] = None,
    deadline_at: Annotated[
        datetime | None,
        _one(
            "--deadline-at", help="When it stops being useful.", metavar="TIME", parser=parse_time
        ),
    ] = None,
    expires_at: Annotated[
        datetime | None,
        _one("--expires-at", help="Never start it after this.", metavar="TIME", parser=parse_time),
    ] = None,
    max_attempts: Annotated[
        int | None,
        _one("--max-attempts", help="Attempts before it counts as failed.", metavar="N", min=1),
    ] = None,
    depends_on: Annotated[
        list[str] | None,
        _one(
            "--depends-on",
            help="Wait for this task to complete: an id, or key:K for the one with that "
            "idempotency key; ended:ID if it only has to end. Repeat for more.",
            metavar="ID",
        ),
    ] = None,
    idempotency_key: Annotated[
        str | None,
        _one("--idempotency-key", help="Says 'once': a second one is not stored.", metavar="K"),
    ] = None,
    concurrency_key: Annotated[
        str | None,
        _one(
            "--concurrency-key",
            help="Tasks with the same key run one after the other, or --concurrency at once.",
            metavar="K",
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        _one("--concurrency", help="How many of the key may run at once.", metavar="N", min=1),
    ] = None,
    hold: Annotated[bool, _one("--hold", help="Wait for 'seedcore task release'.")] = False,
    wait: Annotated[
        bool, _one("--wait", help="Return when it has ended, like 'task wait'; see --timeout.")
    ] = False,
    file: Annotated[
        str | None,
        _many("--file", "-f", help="Lines of JSON, or - for standard input.", metavar="FILE"),
    ] = None,
    on_error: Annotated[
        OnError,
        _many("--on-error", help="stop or continue at a bad line.", metavar="WHAT"),
    ] = OnError.STOP,
    from_line: Annotated[
        int, _many("--from-line", help="Leave out the lines before this one.", metavar="N", min=1)
    ] = 1,
    batch_size: Annotated[
        int, _many("--batch-size", help="Lines per transaction.", metavar="N", min=1, max=100_000)
    ] = 5000,
    atomic: Annotated[bool, _many("--atomic", help="All lines or none.")] = False,
    only_errors: Annotated[
        bool, _many("--only-errors", help="Print only the lines that were refused.")
    ] = False,
    then: Annotated[
        str | None,
        _many(
            "--then", help="Type of one more task, which waits for all of these.", metavar="TYPE"
        ),
    ] = None,
    then_params: Annotated[
        str | None,
        _many("--then-params", help="Its params: a JSON object or @FILE.", metavar="JSON"),
    ] = None,
    then_when: Annotated[
        ThenWhen,
        _many(
            "--then-when",
            help="completed: it is cancelled when one of them fails; ended: it runs however they end.",
            metavar="WHEN",
        ),
    ] = ThenWhen.COMPLETED,
    then_key: Annotated[
        str | None,
        _many("--then-key", help="Its idempotency key.", metavar="K"),
    ] = None,
    on_conflict: Annotated[
        OnConflict,
        typer.Option(
            "--on-conflict",
            help="When the key is taken: return the task that has it, skip, or fail.",
            metavar="WHAT",
        ),
    ] = OnConflict.RETURN,
    unique: Annotated[
        Unique,
        typer.Option(
            "--unique",
            help="How long a task keeps its key: waiting, until its first attempt begins; unfinished, "
            "until it has ended; live, until it failed or was cancelled; ever.",
            metavar="HOW",
        ),
    ] = Unique.LIVE,
    reason: Reason = None,
    dry_run: DryRun = False,
) -> None:
    """Store a task, or a file of them, for the workers to run.

    A task has a type, any word, and params, a JSON object. A worker calls the tools that
    params.tool_calls lists (--tool and --args write one for you), else the tool that handles the
    type. 'seedcore tool list' shows the tools, 'seedcore worker queue' starts a worker.

    One task:
      seedcore task submit action --tool echo --args '{"value": "hello"}'
      seedcore task submit action --params @params.json --priority 8 --in 10m
      seedcore task submit action --tool echo --idempotency-key nightly-17 --wait --timeout 2m
      first=$(seedcore task submit action --tool echo -o name)
      seedcore task submit query --tool echo --depends-on "$first" --description "the second"

    Many tasks, one JSON object per line (or one JSON array); - reads standard input:
      seedcore task submit -f tasks.ndjson
      jq -c '.[]' tasks.json | seedcore task submit -f - --on-error continue -o jsonl

    A line has the type and whichever of these it needs; an unknown key is refused:
      {"type": "action", "params": {"tool_calls": [{"name": "echo", "args": {"value": 1}}]},
       "description": "say one", "domain": "lab", "priority": 8, "in": "10m", "max_attempts": 5,
       "idempotency_key": "one", "concurrency_key": "printer", "concurrency": 2}
      {"type": "query", "depends_on": ["key:one"], "hold": false, "drift_score": 0.1,
       "run_after": "2031-05-17T09:30:00Z", "deadline_at": null, "expires_at": null, "id": null}
    (each in one line; here they are folded)

    A batch, and one task that runs when all of it has completed (or ended):
      seedcore task submit -f pages.ndjson --then report --then-params '{"title": "Pages"}'
      seedcore task submit -f pages.ndjson --then report --then-when ended --then-key pages-17

    Each line is answered by one: its number, the id, the state, or what is wrong with it. A file is
    stored in batches of --batch-size lines, each whole or not at all; when it stops, the message
    says with which --from-line to go on. Params are checked as 'seedcore task lint' does.

    Exit codes: 5 the key is taken (--on-conflict fail); 7 lines were refused. With --wait also 3 it
    ended failed or cancelled, 6 time-out.
    """
    if (type_ is None) == (file is None):
        raise UsageError(
            "give a type or -f FILE" + (", not both" if file else ""),
            hint="seedcore task submit --help",
        )
    if then is None and (then_params is not None or then_key is not None):
        raise UsageError("--then-params and --then-key belong to --then TYPE")
    if file is None and then is not None:
        raise UsageError(
            "--then is for a file of tasks",
            hint="for one task: submit the second with --depends-on ID",
        )
    if file is not None:
        from seedcore_cli.commands.task.bulk import Then, submit_file

        if then is not None and from_line > 1:
            raise UsageError(
                "--then and --from-line exclude each other: the task waits for all lines",
                hint="send the whole file again; lines with ids or keys are not stored twice",
            )

        one_only = {
            "--params": params, "--tool": tool, "--args": args, "--description": description, "--domain": domain,
            "--drift-score": drift_score, "--priority": priority, "--at": at, "--in": in_,
            "--deadline-at": deadline_at, "--expires-at": expires_at,
            "--max-attempts": max_attempts, "--depends-on": depends_on,
            "--idempotency-key": idempotency_key, "--concurrency-key": concurrency_key,
            "--concurrency": concurrency, "--hold": hold or None, "--wait": wait or None,
        }  # fmt: skip
        given = [name for name, value in one_only.items() if value is not None]
        if given:
            raise UsageError(
                f"{given[0]} is for a single task; write it into the lines of the file"
            )
        with opened(file, cli.printer.flush) as stream:
            submit_file(
                cli,
                stream,
                on_error=on_error.value,
                on_conflict=on_conflict.value,
                unique=unique.value,
                from_line=from_line,
                batch_size=batch_size,
                atomic=atomic,
                only_errors=only_errors,
                then=None
                if then is None
                else Then(
                    type=then,
                    params=_object(then_params, "--then-params"),
                    required=then_when is ThenWhen.COMPLETED,
                    idempotency_key=then_key,
                ),
                reason=reason,
                dry_run=dry_run,
            )
        return
    fields = {
        "type": type_,
        "params": read_params(params, tool, args),
        "description": description,
        "domain": domain,
        "drift_score": drift_score if drift_score is not None else 0.0,
        "priority": priority,
        "run_after": at,
        "in_s": in_,
        "deadline_at": deadline_at,
        "expires_at": expires_at,
        "max_attempts": max_attempts,
        "idempotency_key": idempotency_key,
        "concurrency_key": concurrency_key,
        "concurrency_limit": concurrency,
        "hold": hold,
    }
    _submit_one(
        cli,
        fields,
        depends_on or [],
        on_conflict=on_conflict.value,
        unique=unique.value,
        reason=reason,
        dry_run=dry_run,
        wait=wait,
    )


def read_params(word: str | None, tool: str | None, args: str | None) -> dict[str, Any]:
    """Return what --params, --tool and --args say together.

    Raises:
        UsageError: One is no JSON object, or they contradict each other.
    """
    params = _object(word, "--params")
    if tool is None:
        if args is not None:
            raise UsageError("--args needs --tool NAME")
        return params
    if "tool_calls" in params:
        raise UsageError("--tool and params.tool_calls exclude each other")
    return {**params, "tool_calls": [{"name": tool, "args": _object(args, "--args")}]}


def _object(word: str | None, what: str) -> dict[str, Any]:
    if word is None:
        return {}
    from seedcore_cli.params import read_json

    found: Any = read_json(word, what)
    if not isinstance(found, dict):
        raise UsageError(f"{what} is not a JSON object", hint=f"""{what} '{{"key": "value"}}'""")
    return cast("dict[str, Any]", found)


def _submit_one(
    cli: Cli,
    fields: dict[str, Any],
    depends_on: list[str],
    *,
    on_conflict: Literal["return", "skip", "fail"],
    unique: Literal["waiting", "unfinished", "live", "ever"],
    reason: str | None,
    dry_run: bool,
    wait: bool,
) -> None:
    from seedcore.task import service
    from seedcore.task.model import NewTask

    settings = cli.settings
    params: dict[str, Any] = fields["params"]
    rules: dict[str, Any] = {
        "lint_mode": settings.task_lint_mode,
        "params_max_bytes": settings.params_max_bytes,
        # Loading the plugins takes longer than all the rest, and most tasks name no tool.
        "known_tools": known_tools(cli) if names_tools(params) else None,
    }
    with cli.connect() as conn:
        waits_for = tuple(_named(conn, ref) for ref in depends_on)
        new = NewTask(**fields, depends_on=waits_for)
        if settings.task_lint_mode != "off":
            for finding in service.lint_new(new, **rules):
                cli.warn(str(finding))
        done = service.submit(
            conn,
            new,
            unique=unique,
            on_conflict=on_conflict,
            dry_run=dry_run,
            actor=cli.actor,
            reason=reason,
            **rules,
        )
        if wait and not dry_run and done.id is not None:
            from seedcore_cli.commands.task.wait import report

            rows = service.wait(conn, [done.id], timeout_s=cli.timeout_s)
            report(cli, rows, single=True)
            return
    _tell(cli, done, dry_run=dry_run)


def _named(conn: Any, ref: str) -> str:
    """Return what --depends-on names, with the full id."""
    from seedcore.task import service

    how, ended, name = ref.rpartition("ended:")
    if how:
        raise UsageError(f"can't wait for {ref!r}")
    return ended + (name if name.startswith("key:") else str(service.resolve(conn, name)))


def names_tools(params: dict[str, Any]) -> bool:
    """Tell whether there are names of tools to be checked."""
    routing = params.get("routing")
    return "tool_calls" in params or (isinstance(routing, dict) and "tools" in routing)


def _tell(cli: Cli, done: Submitted, *, dry_run: bool) -> None:
    row: dict[str, Any] = {
        "id": done.id,
        "status": done.status,
        "run_after": done.run_after,
        "created": done.created,
        "error": done.error,
    }
    cli.printer.one(row | {"dry_run": True} if dry_run else row, SUBMITTED)
    if not done.created:
        cli.note("unchanged: this task has the id or key already")
    if done.error:
        cli.note(f"cancelled at once: {done.error}")
    if dry_run:
        cli.note("nothing was stored")
    else:
        cli.hint(f"seedcore task wait {done.id}")
