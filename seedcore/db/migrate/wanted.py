"""What revisions make, read out of their SQL: the names and shapes that adoption compares with."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from seedcore.db.migrate.statements import split

_CREATES = re.compile(
    r"CREATE (?:OR REPLACE )?(?:UNLOGGED )?(TABLE|VIEW|TYPE|(?:UNIQUE )?INDEX)\s+"
    r'(?:CONCURRENTLY )?(?:IF NOT EXISTS )?(?:public\.)?"?(\w+)"?',
    re.IGNORECASE,
)
_INDEX = re.compile(
    r'CREATE (?:UNIQUE )?INDEX (CONCURRENTLY )?(?:IF NOT EXISTS )?"?(\w+)"? ON (?:ONLY )?"?(\w+)"?\s*(.*)',
    re.IGNORECASE | re.DOTALL,
)
_FUNCTION = re.compile(r"CREATE (?:OR REPLACE )?FUNCTION\s+(?:public\.)?(\w+)\s*\(", re.IGNORECASE)
_RESULT_ENDS = re.compile(
    r"\b(?:LANGUAGE|AS|IMMUTABLE|STABLE|VOLATILE|STRICT|SET|PARALLEL|SECURITY|ROWS|COST|WINDOW)\b",
    re.IGNORECASE,
)


@dataclass
class Wanted:
    """What the pending revisions make, read out of their SQL."""

    relations: dict[str, str] = field(default_factory=dict[str, str])
    enums: dict[str, list[str]] = field(default_factory=dict[str, "list[str]"])
    indexes: dict[str, tuple[str, str, bool]] = field(
        default_factory=dict[str, "tuple[str, str, bool]"]
    )
    functions: list[tuple[str, list[tuple[str, str]], str]] = field(
        default_factory=list[tuple[str, "list[tuple[str, str]]", str]]
    )
    blocks: list[str] = field(default_factory=list[str])

    def handles(self, *words: str) -> bool:
        """Tell whether one statement of the revisions speaks of all these words."""
        return any(all(re.search(rf"\b{w}\b", b) for w in words) for b in self.blocks)


def read_wanted(script: str) -> Wanted:
    """Read a script as `migrate plan --sql` renders it."""
    wanted = Wanted()
    for statement in split(script):
        if statement.is_bookkeeping:
            continue
        if re.match(r"DO\b", statement.text, re.IGNORECASE):
            wanted.blocks.append(statement.text)
            parts = re.split(r";|\bTHEN\b|\bLOOP\b|\bBEGIN\b", statement.text)
        elif _FUNCTION.match(statement.text):
            wanted.functions.append(_signature(statement.text))
            continue
        else:
            if re.match(r"(?:DROP|ALTER)\b", statement.text, re.IGNORECASE):
                wanted.blocks.append(statement.text)
            parts = [statement.text]
        for part in (p.strip() for p in parts):
            if index := _INDEX.match(part):
                wanted.indexes[index[2]] = (index[3], index[4], bool(index[1]))
                wanted.relations[index[2]] = "index"
            elif made := _CREATES.match(part):
                kind = made[1].lower().removeprefix("unique").strip()
                if kind == "type":
                    if re.search(r"\bAS ENUM\b", part, re.IGNORECASE):
                        wanted.enums[made[2].lower()] = re.findall(r"'([^']*)'", part)
                else:
                    wanted.relations[made[2].lower()] = kind
    wanted.enums.pop("taskstatus_clean", None)
    wanted.relations.pop("seedcore_views", None)
    return wanted


def _signature(text: str) -> tuple[str, list[tuple[str, str]], str]:
    """Return name, input parameters (name, type) and result of a CREATE FUNCTION."""
    text = re.sub(r"--[^\n]*", "", text)
    head = _FUNCTION.match(text)
    if head is None:
        raise ValueError(text[:80])
    end = closing(text, head.end() - 1)
    args: list[tuple[str, str]] = []
    for part in _split_commas(text[head.end() : end]):
        bare = re.split(r"\s+DEFAULT\s+|\s*:?=\s*", " ".join(part.split()), maxsplit=1, flags=re.I)[
            0
        ]
        if re.match(r"(?:OUT|VARIADIC|INOUT)\b", bare, re.IGNORECASE):
            continue
        name, _, kind = re.sub(r"^IN\s+", "", bare, flags=re.IGNORECASE).partition(" ")
        args.append((name.lower(), kind) if kind else ("", name))
    rest = text[end + 1 :].strip()
    result = re.match(r"RETURNS\s+(.*)", rest, re.IGNORECASE | re.DOTALL)
    if result is None:
        return head[1].lower(), args, ""
    tail = " ".join(result[1].split())
    if re.match(r"TABLE\s*\(", tail, re.IGNORECASE):
        begin = tail.index("(")
        return head[1].lower(), args, "TABLE" + tail[begin : closing(tail, begin) + 1]
    stop = _RESULT_ENDS.search(tail)
    return head[1].lower(), args, tail[: stop.start()].strip() if stop else tail


def types_of(result: str) -> list[str]:
    """Return the types that a result names: one, or those of its columns."""
    if result.startswith("TABLE("):
        return [p.strip().partition(" ")[2] for p in _split_commas(result[6:-1])]
    return [re.sub(r"^SETOF\s+", "", result, flags=re.IGNORECASE)] if result else []


def worded(result: str, in_words: Callable[[str], str]) -> str:
    """Return a result as `pg_get_function_result` words it."""
    if result.startswith("TABLE("):
        parts = (p.strip().partition(" ") for p in _split_commas(result[6:-1]))
        return f"TABLE({', '.join(f'{n.lower()} {in_words(k)}' for n, _, k in parts)})"
    if many := re.match(r"SETOF\s+(.*)", result, re.IGNORECASE):
        return f"SETOF {in_words(many[1])}"
    return in_words(result)


def closing(text: str, begin: int) -> int:
    """Return where the parenthesis that opens at `begin` closes."""
    depth, quoted = 0, False
    for position in range(begin, len(text)):
        letter = text[position]
        if letter == "'":
            quoted = not quoted
        elif not quoted:
            depth += (letter == "(") - (letter == ")")
            if depth == 0:
                return position
    return len(text)


def _split_commas(text: str) -> list[str]:
    parts, depth, quoted, begin = list[str](), 0, False, 0
    for position, letter in enumerate(text):
        if letter == "'":
            quoted = not quoted
        elif not quoted:
            depth += (letter in "([") - (letter in ")]")
            if letter == "," and depth == 0:
                parts.append(text[begin:position])
                begin = position + 1
    parts.append(text[begin:])
    return [p for p in parts if p.strip()]
