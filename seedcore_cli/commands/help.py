"""`seedcore help`: topics that belong to no single command, and any command's own help."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from seedcore_cli.app import single
from seedcore_cli.options import Cli, common

command = single()


@command.command("help")
@common
def help_(
    cli: Cli,
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="TOPIC|COMMAND", help="A topic, or the words of a command."),
    ] = None,
) -> None:
    """Explain a topic or a command; without a word, list the topics.

    Topics: exit-codes, environment, output, config, selectors, systemd.

    Examples:
      seedcore help exit-codes
      seedcore help task submit
    """
    from seedcore_cli.topics import TOPICS

    if not words:
        width = max(map(len, TOPICS))
        lines = [f"  {name:<{width}}  {line}" for name, (line, _) in TOPICS.items()]
        cli.printer.text("\n".join(["Topics (seedcore help TOPIC):", *lines]))
    elif len(words) == 1 and words[0] in TOPICS:
        cli.printer.text(TOPICS[words[0]][1]())
    else:
        cli.printer.text(_help_of(ctx, words))


def _help_of(ctx: typer.Context, words: list[str]) -> str:
    from seedcore.config.values import nearest
    from seedcore.errors import NotFound
    from seedcore_cli.topics import TOPICS

    at: Any = ctx.find_root()
    for word in words:
        is_group = hasattr(at.command, "list_commands")
        names: list[str] = at.command.list_commands(at) if is_group else []
        found = at.command.get_command(at, word) if is_group else None
        if found is None:
            known = [*names, *(TOPICS if word is words[0] else ())]
            near = nearest(word, known)
            raise NotFound(
                f"there is no topic or command {' '.join(words)!r}",
                code="cli.unknown_topic",
                hint=f"did you mean {near}?" if near else "seedcore help",
            )
        at = type(at)(found, info_name=word, parent=at)
    return at.get_help()
