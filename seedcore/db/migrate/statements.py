"""Read rendered SQL: take it apart into statements, and tell what each one locks and loses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

# One alternative per thing inside of which a semicolon means nothing.
_TOKEN = re.compile(
    r"""
    --[^\n]*
  | /\*.*?\*/
  | '(?:[^']|'')*'
  | "(?:[^"]|"")*"
  | (?P<tag>\$\w*\$).*?(?P=tag)
  | ;
  | [^-/'"$;]+
  | .
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"\s*(?:--[^\n]*(?:\n|$)\s*|/\*.*?\*/\s*)+", re.DOTALL)

_ON = r"\bON (?:ONLY )?"
# The first that matches tells the strongest lock a statement takes on a table that is there already,
# and after which words the table's name stands.
_LOCKS = tuple(
    (re.compile(pattern, re.IGNORECASE), re.compile(f'{before}(?:public\\.)?"?(\\w+)', re.I), lock)
    for pattern, before, lock in (
        (r"CREATE (UNIQUE )?INDEX CONCURRENTLY", _ON, "SHARE UPDATE EXCLUSIVE"),
        (r"CREATE (UNIQUE )?INDEX", _ON, "SHARE"),
        (r"CREATE (OR REPLACE )?TRIGGER", _ON, "SHARE ROW EXCLUSIVE"),
        (r"DROP TRIGGER", _ON, "ACCESS EXCLUSIVE"),
        (r"DROP INDEX CONCURRENTLY", r"DROP INDEX CONCURRENTLY (?:IF EXISTS )?", "SHARE UPDATE EXCLUSIVE"),
        (r"DROP (TABLE|VIEW|INDEX)", r"DROP \w+ (?:IF EXISTS )?", "ACCESS EXCLUSIVE"),
        (r"TRUNCATE", r"TRUNCATE (?:TABLE )?", "ACCESS EXCLUSIVE"),
        (r"ALTER TABLE \S+ VALIDATE CONSTRAINT", r"ALTER TABLE ", "SHARE UPDATE EXCLUSIVE"),
        (r"ALTER TABLE \S+ SET \(", r"ALTER TABLE ", "SHARE UPDATE EXCLUSIVE"),
        (r"ALTER TABLE", r"ALTER TABLE (?:IF EXISTS )?(?:ONLY )?", "ACCESS EXCLUSIVE"),
        (r"CREATE TABLE .* PARTITION OF ", r"PARTITION OF ", "ACCESS EXCLUSIVE"),
        (r"CREATE TABLE .* REFERENCES ", r"REFERENCES ", "SHARE ROW EXCLUSIVE"),
        (r"COMMENT ON (TABLE|COLUMN|VIEW)", r"COMMENT ON \w+ ", "SHARE UPDATE EXCLUSIVE"),
        (r"INSERT INTO", r"INSERT INTO ", "ROW EXCLUSIVE"),
        (r"UPDATE", r"UPDATE (?:ONLY )?", "ROW EXCLUSIVE"),
        (r"DELETE FROM", r"DELETE FROM (?:ONLY )?", "ROW EXCLUSIVE"),
    )
)  # fmt: skip
_STRENGTH = (
    "", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE",
    "ACCESS EXCLUSIVE",
)  # fmt: skip
_LOSES = re.compile(r"DROP TABLE|TRUNCATE|DELETE FROM|ALTER TABLE .*\bDROP COLUMN\b", re.IGNORECASE)
# A table of ours is only ever written anew for another type of a column.
_REWRITES = re.compile(r"\bALTER COLUMN \S+ TYPE\b|\bSET (?:UN)?LOGGED\b", re.IGNORECASE)
# What the runner does beside the revisions.
_OURS = re.compile(r"\b(?:alembic_version|seedcore_migrations|seedcore_objects)\b")
_NOT_A_CHANGE = re.compile(r"(?:BEGIN|COMMIT|SET|SELECT)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Statement:
    """One statement, and what it does to others.

    Args:
        text: It, without the comments before it and without the semicolon.
    """

    text: str

    @property
    def is_bookkeeping(self) -> bool:
        """Whether it changes no schema of the revisions'."""
        return bool(_NOT_A_CHANGE.match(self.text) or _OURS.search(self.text))

    @property
    def is_comment(self) -> bool:
        """Whether it only describes."""
        return bool(re.match(r"COMMENT ON\b", self.text, re.IGNORECASE))

    @cached_property
    def locks(self) -> dict[str, str]:
        """Table (or dropped index) → the strongest lock on it, in PostgreSQL's words."""
        found: dict[str, str] = {}
        for part in self._parts():
            for pattern, name, lock in _LOCKS:
                if pattern.match(part):
                    if table := name.search(part):
                        found[table[1]] = strongest([found.get(table[1], ""), lock])
                    break
        return found

    @property
    def creates(self) -> str | None:
        """The table that it creates, if it creates one."""
        made = re.match(
            r"CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?(\w+)", self.text, re.IGNORECASE
        )
        return made[1] if made else None

    @property
    def is_destructive(self) -> bool:
        """Whether rows or columns go that nothing brings back."""
        return any(_LOSES.match(part) for part in self._parts())

    @property
    def rewrites(self) -> bool:
        """Whether it writes a whole table anew, or as a block may do so."""
        return any(_REWRITES.search(part) for part in self._parts())

    @property
    def is_block(self) -> bool:
        """Whether it is a DO block, which looks before it acts."""
        return bool(re.match(r"DO\b", self.text, re.IGNORECASE))

    @property
    def title(self) -> str:
        """Its beginning, on one line."""
        line = " ".join(self.text.split())
        return line if len(line) <= 100 else line[:99] + "…"

    def _parts(self) -> Iterator[str]:
        """Yield what it runs: itself, or for a DO block every statement of its body."""
        if not self.is_block:
            # The body of a function is only stored, so its words lock nothing.
            if not re.match(r"CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE)", self.text, re.I):
                yield " ".join(self.text.split())
            return
        body = re.sub(r"^DO\s+(\$\w*\$)(.*)\1.*$", r"\2", self.text, flags=re.DOTALL)
        for line in re.split(r";|\bTHEN\b|\bLOOP\b|\bBEGIN\b|format\(\s*'|EXECUTE\s+'", body):
            yield " ".join(line.split())


def split(script: str) -> list[Statement]:
    """Take a script apart at the semicolons that end statements.

    Args:
        script: SQL as `migrate plan --sql` renders it; no psql commands.
    """
    found: list[Statement] = []
    text = ""
    for token in _TOKEN.finditer(script):
        if token[0] != ";":
            text += token[0]
            continue
        found.append(Statement(_bare(text)))
        text = ""
    if _bare(text):
        found.append(Statement(_bare(text)))
    return [s for s in found if s.text]


def _bare(text: str) -> str:
    """Drop the comments before a statement; those inside of it belong to it."""
    remarks = _COMMENT.match(text)
    return text[remarks.end() if remarks else 0 :].strip()


def strongest(locks: Iterable[str]) -> str:
    """Return the strongest of some locks; empty when there is none."""
    return max(locks, key=_STRENGTH.index, default="")
