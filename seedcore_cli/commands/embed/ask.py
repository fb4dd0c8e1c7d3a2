"""`seedcore embed text|search`: one text's vector, and what is near it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedcore.errors import UsageError
from seedcore_cli.commands.embed.columns import HITS, PLAN, VECTOR
from seedcore_cli.commands.embed.group import app
from seedcore_cli.commands.embed.texts import Encoder
from seedcore_cli.options import Cli, common

if TYPE_CHECKING:
    from seedcore.embed.model import StoredEncoder, TextEncoder

_MOST_BYTES = 1 << 20
Text = Annotated[
    str | None, typer.Argument(metavar="TEXT", help="The text, or - for standard input.")
]


@app.command("text")
@common
def text(
    cli: Cli,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The text, or - for standard input.")],
    *,
    query: Annotated[
        bool, typer.Option("--query", help="As a question; some models read those differently.")
    ] = False,
    encoder: Encoder = None,
) -> None:
    """Print the vector of a text, and store nothing.

    Example: seedcore embed text "the pump in hall 3 leaks oil" -o json

    Exit codes: 4 no such encoder.
    """
    from seedcore.embed.model import TEXT_DIM, Purpose, check_text, padded
    from seedcore.embed.selection import choose

    clean = check_text(_given(text))
    with cli.connect() as conn:
        choice = choose(conn, cli.settings, encoder, keep=False)
    purpose = Purpose.QUERY if query else Purpose.PASSAGE
    vector = padded(choice.encoder.encode([clean], purpose), TEXT_DIM)[0]
    identity = choice.stored.identity
    row = {
        "encoder": identity.model,
        "mode": _mode(choice.encoder),
        "dim": identity.dim,
        "native_dim": identity.native_dim,
        "vector": vector.tolist(),
    }
    cli.printer.one(row, VECTOR)


@app.command("search")
@common
def search(
    cli: Cli,
    text: Text = None,
    *,
    like: Annotated[
        str | None,
        typer.Option("--like", help="Near the vector of this task, fact or node.", metavar="ID"),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many.", min=1, max=1000)] = 10,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", help="Only task, fact, ...; repeatable.", metavar="KIND"),
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", help="Only facts of it.", metavar="NAME")
    ] = None,
    snapshot: Annotated[
        int | None,
        typer.Option("--snapshot", help="Only what was made under this snapshot.", metavar="ID"),
    ] = None,
    dim: Annotated[
        int, typer.Option("--dim", help="1024 = by text; 128 = by the graph's shape, with --like.")
    ] = 1024,
    ef_search: Annotated[
        int,
        typer.Option("--ef-search", help="Length of the index's search list.", min=10, max=1000),
    ] = 320,  # EF_SEARCH of seedcore.embed.search, which is too heavy to be imported here
    exact: Annotated[
        bool, typer.Option("--exact", help="Compare all vectors, without the index.")
    ] = False,
    encoder: Encoder = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show how it was searched, and where the time went.")
    ] = False,
) -> None:
    """Find the tasks, facts and nodes whose vectors are nearest to a text's, or to another one's.

    The similarity is the cosine, 1 for the same direction. Few candidates are compared one by one, many
    through the index.

    Examples:
      seedcore embed search "oil on the floor"
      seedcore embed search "who approves invoices" --kind fact --namespace default -k 3
      seedcore embed search --like 0197f3a2 --explain

    Exit codes: 4 no such entity or encoder, or it has no vector.
    """
    from seedcore.embed import search as searching
    from seedcore.embed.model import check_dim
    from seedcore.graph.model import kind_of

    kinds = [kind_of(one).name for one in kind or ()]
    if (text is None) == (like is None):
        raise UsageError(
            "give a text, or --like, and not both", hint="seedcore embed search --help"
        )
    if check_dim(dim) == 128 and like is None:
        raise UsageError(
            "a text has no vector of 128 dimensions; those are of the graph's shape",
            code="embed.bad_dimension",
            hint="seedcore embed search --like ID --dim 128",
        )
    with cli.connect() as conn:
        begun = time.perf_counter()
        if like is not None:
            stored, vector, without = _like(conn, cli, like, dim, encoder)
            mode = "vector"
        else:
            stored, vector, mode = _question(conn, cli, text or "", encoder)
            without = []
        encoded = time.perf_counter() - begun
        scope = searching.Scope(
            kinds=kinds, namespace=namespace, snapshot_id=snapshot, without=without
        )
        found = searching.search(
            conn, stored, vector, scope, k=k, ef_search=ef_search, exact=exact or None
        )
        hits = searching.described(conn, found.hits)
    if mode == "lexical":
        cli.note("mode: lexical (words, not meaning; seedcore embed fit makes a better encoder)")
    if not explain:
        cli.printer.many(hits, HITS)
        return
    plan = {
        "encoder": stored.identity.model,
        "mode": mode,
        "method": found.method,
        "why": found.why,
        "candidates": found.candidates,
        "ef_search": found.ef_search,
        "encode_s": round(encoded, 6),
        "search_s": round(found.seconds, 6),
        "hits": hits,
    }
    cli.printer.one(plan, PLAN)


def _question(
    conn: Any, cli: Cli, text: str, encoder: str | None
) -> tuple[StoredEncoder, Any, str]:
    from seedcore.embed.model import Purpose, check_text
    from seedcore.embed.selection import for_questions

    clean = check_text(_given(text))
    choice = for_questions(conn, cli.settings, encoder)
    return choice.stored, choice.encoder.encode([clean], Purpose.QUERY)[0], _mode(choice.encoder)


def _like(
    conn: Any, cli: Cli, like: str, dim: int, encoder: str | None
) -> tuple[StoredEncoder, Any, list[int]]:
    from seedcore.embed import encoders
    from seedcore.embed.nodes import find_node, vector_of
    from seedcore.embed.selection import for_questions
    from seedcore.errors import NotFound

    if encoder is not None or dim == 1024:
        stored = (
            encoders.get(conn, encoder, dim)
            if encoder is not None
            else for_questions(conn, cli.settings).stored
        )
    else:
        found = encoders.serving(conn, "graph", dim)
        if found is None:
            raise NotFound(
                "no node has a vector of 128 dimensions yet",
                code="embed.no_vector",
                hint="seedcore embed graph",
            )
        stored = found
    node = find_node(conn, like)
    return stored, vector_of(conn, stored, node), [node["node_id"]]


def _given(text: str) -> str:
    """Return the argument, or what standard input holds; more than a megabyte is not read."""
    if text != "-":
        return text
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("- reads standard input, which is a terminal", hint="pipe the text in")
    raw = sys.stdin.buffer.read(_MOST_BYTES + 1)
    # A byte that is no UTF-8 becomes a lone surrogate, as in arguments, and is named as binary.
    return raw.decode("utf-8", "surrogateescape")


def _mode(encoder: TextEncoder) -> str:
    return "lexical" if encoder.is_lexical else "semantic"
