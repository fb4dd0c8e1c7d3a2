"""`seedcore task list`."""

from __future__ import annotations

from seedcore_cli.commands.task.columns import LIST
from seedcore_cli.commands.task.group import app
from seedcore_cli.commands.task.selectors import Conditions, selectors
from seedcore_cli.options import Cli, Limit, Sort, common


@app.command("list")
@common
@selectors
def list_(cli: Cli, *, chosen: Conditions, limit: Limit = 50, sort: Sort = None) -> None:
    """Show tasks, the newest first.

    Conditions of different kinds must all hold; of one that is repeated, any.

    Examples:
      seedcore task list --status failed --since 1h
      seedcore task list --status live --type action --limit 0 -o jsonl
      seedcore task list --status failed -o name | xargs -r seedcore task retry --reason "fixed"

    See also: seedcore help selectors
    """
    from contextlib import closing

    from seedcore.task.service import list_tasks

    count = 0
    with cli.connect() as conn:
        rows = list_tasks(conn, chosen.selection(limit=limit, sort=sort))

        def counted():
            nonlocal count
            with closing(rows):
                for row in rows:
                    count += 1
                    yield row

        cli.printer.many(counted(), LIST)
    if limit and count == limit:
        cli.note(f"the first {limit}; --limit 0 shows all")
