"""Compare what is there with what the pending revisions make, object by object.

Each difference is either declared in `mended.py`, so that a revision converts it, or an obstacle with a
cure. Nothing is guessed from the text of a revision.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from seedcore.db.migrate import mended
from seedcore.db.migrate.findings import Obstacle
from seedcore.db.migrate.shape import Column, Rule, Shape, Table, queries, read

if TYPE_CHECKING:
    import psycopg

    from seedcore.db.migrate.scripts import Chain

_KINDS = {
    "r": "table", "p": "partitioned table", "v": "view", "m": "materialized view", "i": "index",
    "I": "index", "S": "sequence", "f": "foreign table", "c": "composite type",
}  # fmt: skip
_TYPES = {
    "b": "base type", "d": "domain", "e": "enum", "r": "range type", "m": "multirange type",
}  # fmt: skip
_ODDITIES = {
    "security": (
        "has row-level security, which hides rows from whoever does not own it",
        "ALTER TABLE {0} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY",
    ),
    "policy": ("has the row-level policy {1}", "DROP POLICY {1} ON {0}"),
    "rule": ("has the rule {1}, which rewrites statements", "DROP RULE {1} ON {0}"),
    "child": ("inherits from {1}, or is a partition of it", "ALTER TABLE {0} NO INHERIT {1}"),
    "parent": ("is inherited by {1}", "ALTER TABLE {1} NO INHERIT {0}"),
}
# A function of the triggers that everybody has, and that does what ours does.
_STAMPS = re.compile(r"NEW\.updated_at\s*:?=\s*(?:now\(\)|CURRENT_TIMESTAMP)", re.IGNORECASE)


class Comparison:
    """One look at a database.

    Args:
        connection: An autocommit connection.
        chain: The revisions.
        wanted: What they make.
        pending: Those of them that are to run.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        chain: Chain,
        wanted: Shape,
        pending: list[str],
    ) -> None:
        self._connection = connection
        self.pending = set(pending)
        self.wanted = wanted
        self.found: Shape = read(connection, chain)
        keys = {
            rule for table in wanted.tables.values() for rule, r in table.rules.items() if r.kind in "pux"
        }  # fmt: skip
        self._keys = keys
        self._names = {
            "names": sorted({*wanted.tables, *wanted.views, *wanted.indexes, *wanted.enums, *keys})
        }

    def is_pending(self, key: str) -> bool:
        """Tell whether a revision that is to run makes this object."""
        return self.wanted.since.get(key) in self.pending

    def adopted(self) -> Iterator[tuple[str, Table, Table]]:
        """Yield each table that is there: its name, how it is, how it should be."""
        for name, should in self.wanted.tables.items():
            has = self.found.tables.get(name)
            if has is not None and has.kind == should.kind:
                yield name, has, should

    def exists(self, rule: Rule) -> bool:
        """Tell whether the table that a foreign key leads to is there."""
        target = re.search(r" REFERENCES (\w+)", rule.text)
        return target is None or target[1] in self.found.tables

    def obstacles(self) -> Iterator[Obstacle]:
        """Yield everything that no revision can adopt."""
        relations = self._connection.execute(queries.relations, self._names).fetchall()
        yield from self._relations(relations)
        yield from self._types()
        yield from self._oddities()
        for name, has, should in self.adopted():
            yield from self._columns(name, has, should)
            yield from self._rules(name, has, should)
        yield from self._moved()
        yield from self._triggers()
        yield from self._indexes()
        yield from self._routines()
        yield from self._dependents(relations)

    def _relations(self, rows: list[Any]) -> Iterator[Obstacle]:
        for name, letter, persistence, owner, mine, has_comment, table, definition, of_key in rows:
            kind: str = _KINDS.get(letter, str(letter))
            should = self._kind_of(name)
            if should is None:
                continue
            word = (
                "TYPE"
                if letter == "c"
                else _KINDS.get(letter, "").removeprefix("partitioned ").upper()
            )
            away = f"ALTER {word} {name} RENAME TO {name}_old"
            if name in mended.MOVED and letter in "rp":
                should = kind
            if kind != should:
                article = "an" if should[0] in "aeiou" else "a"
                yield Obstacle(
                    f"{kind} {name}", f"is where a revision makes {article} {should}", away
                )
            elif (
                letter == "i"
                and name in self._keys
                and not of_key
                and not mended.becomes_key(name, table, definition)
            ):
                yield Obstacle(
                    f"index {name}",
                    "has the name of a key that a revision gives to its table",
                    away,
                )
            elif letter == "v" and not has_comment and name not in mended.OLDER_VIEWS:
                yield Obstacle(
                    f"view {name}", "was made by hand under a name that a revision needs", away
                )
            elif not mine and letter not in "iI":
                yield Obstacle(
                    f"{kind} {name}", f"belongs to {owner}",
                    f"as {owner} or a superuser: ALTER {word} {name} OWNER TO {self._role()}",
                )  # fmt: skip
            elif (
                letter == "r"
                and persistence != self.wanted.tables.get(name, Table("r", "p")).persistence
            ):
                now, then = ("unlogged", "LOGGED") if persistence == "u" else ("logged", "UNLOGGED")
                yield Obstacle(f"table {name}", f"is {now}", f"ALTER TABLE {name} SET {then}")
            elif letter in "iI" and name in self._keys and not self._own_key(name, table):
                yield Obstacle(
                    f"index {name}", f"of {table} has the name of a key of another table", away
                )

    def _kind_of(self, name: str) -> str | None:
        """Return what a pending revision makes under that name."""
        if name in self.wanted.tables:
            return _KINDS[self.wanted.tables[name].kind] if self.is_pending(name) else None
        if name in self.wanted.views:
            return "view" if self.is_pending(name) else None
        if name in self.wanted.indexes:
            return "index" if self.is_pending(name) else None
        if name in self.wanted.enums:
            return "enum" if self.is_pending(name) else None
        owners = [t for t in self.wanted.tables if name in self.wanted.tables[t].rules]
        return "index" if any(self.is_pending(f"{t}.{name}") for t in owners) else None

    def _own_key(self, name: str, table: str) -> bool:
        return table in self.wanted.tables and name in self.wanted.tables[table].rules

    def _role(self) -> str:
        row = self._connection.execute("SELECT quote_ident(current_user)").fetchone()
        return str(row[0]) if row else ""

    def _types(self) -> Iterator[Obstacle]:
        for name, letter, labels, owner, mine in self._connection.execute(
            queries.types, self._names
        ).fetchall():
            should = self.wanted.enums.get(name)
            kind = _TYPES.get(letter, "type")
            if not self.is_pending(name) or (
                should is None and self._kind_of(name) in (None, "index")
            ):
                continue
            if letter != "e" or should is None:
                thing = "enum" if should is not None else self._kind_of(name)
                yield Obstacle(
                    f"{kind} {name}",
                    f"is where a revision makes {'an' if thing == 'enum' else 'a'} {thing}",
                    f"ALTER {'DOMAIN' if letter == 'd' else 'TYPE'} {name} RENAME TO {name}_old",
                )
            elif not mine:
                yield Obstacle(
                    f"type {name}", f"belongs to {owner}",
                    f"as {owner} or a superuser: ALTER TYPE {name} OWNER TO {self._role()}",
                )  # fmt: skip
            elif name not in mended.LABELS and (missing := [x for x in should if x not in labels]):
                cure = "; ".join(f"ALTER TYPE {name} ADD VALUE '{x}'" for x in missing)
                yield Obstacle(f"type {name}", f"lacks the labels {', '.join(missing)}", cure)

    def _oddities(self) -> Iterator[Obstacle]:
        for table, word, name in self._connection.execute(queries.oddities, self._names).fetchall():
            if self.is_pending(table) or table in mended.MOVED:
                said, cure = _ODDITIES[word]
                yield Obstacle(f"table {table}", said.format(table, name), cure.format(table, name))

    def _columns(self, name: str, has: Table, should: Table) -> Iterator[Obstacle]:
        for column, wanted in should.columns.items():
            key = f"{name}.{column}"
            found = has.columns.get(column)
            if not self.is_pending(key):
                continue
            if found is not None:
                yield from _column(name, column, found, wanted, has)
            elif self.wanted.since[key] == self.wanted.since[name] and not mended.adds(
                name, column, has
            ):
                demands = " (a value for each row is needed)" if wanted.not_null else ""
                yield Obstacle(
                    f"table {name}",
                    f"has no column {column}, which no revision adds to a table that is there",
                    f"ALTER TABLE {name} ADD COLUMN {column} {wanted.type}{demands},"
                    " or rename the table",
                )
        if not self.is_pending(name) or should.kind == "c":
            return
        for column, found in has.columns.items():
            strange = column not in should.columns and (name, column) not in mended.TAKEN_OVER
            if strange and found.not_null and found.default is None and not found.made:
                yield Obstacle(
                    f"column {name}.{column}",
                    f"({found.type}) is not ours, demands a value and has no default",
                    f"ALTER TABLE {name} ALTER COLUMN {column} DROP NOT NULL",
                )

    def _rules(self, name: str, has: Table, should: Table) -> Iterator[Obstacle]:
        texts = {_plain(r.text) for r in has.rules.values()}
        for rule, wanted in should.rules.items():
            key = f"{name}.{rule}"
            found = has.rules.get(rule)
            if not self.is_pending(key) or mended.replaces_keys(name, has, wanted):
                continue
            cure = f"ALTER TABLE {name} ADD CONSTRAINT {rule} {wanted.text}"
            if found is not None:
                if _plain(found.text) != _plain(wanted.text) and not mended.aligns(
                    name, found, wanted, same_name=True
                ):
                    yield Obstacle(
                        f"constraint {name}.{rule}", f"is {found.text}, and should be {wanted.text}",
                        f"ALTER TABLE {name} DROP CONSTRAINT {rule}"
                        + ("" if mended.adds_rule(name, rule) else f"; {cure}"),
                    )  # fmt: skip
            elif (
                # With a column that is added comes its key.
                {*wanted.columns} <= has.columns.keys()
                and _plain(wanted.text) not in texts
                and self.wanted.since[key] == self.wanted.since[name]
                and not mended.adds_rule(name, rule)
                and not any(
                    r.columns == wanted.columns and mended.aligns(name, r, wanted, same_name=False)
                    for r in has.rules.values()
                )
            ):
                yield Obstacle(f"table {name}", f"lacks the constraint {rule}: {wanted.text}", cure)
        if self.is_pending(name):
            yield from self._strange_keys(name, has, should)

    def _strange_keys(self, name: str, has: Table, should: Table) -> Iterator[Obstacle]:
        """A foreign key on a column of ours that leads elsewhere would refuse what we write."""
        ours = [r for r in should.rules.values() if r.kind == "f"]
        for rule, found in has.rules.items():
            if (
                found.kind != "f"
                or rule in should.rules
                or not set(found.columns) & {*should.columns}
            ):
                continue
            if any(
                _plain(found.text) == _plain(r.text)
                or mended.aligns(name, found, r, same_name=False)
                for r in ours
            ):
                continue
            yield Obstacle(
                f"constraint {name}.{rule}",
                f"is {found.text}, and ours is another or none",
                f"ALTER TABLE {name} DROP CONSTRAINT {rule}",
            )

    def _moved(self) -> Iterator[Obstacle]:
        """The single table of the seeds: its rows go elsewhere, so all that it holds must be known."""
        for name in mended.MOVED & self.found.tables.keys():
            found = self.found.tables[name].columns
            if not self.is_pending(name):
                continue
            for column, types in mended.MOVED_COLUMNS.items():
                if column in found and found[column].type not in types:
                    yield Obstacle(
                        f"column {name}.{column}",
                        f"is {found[column].type}, and should be {types[0]}",
                        f"ALTER TABLE {name} ALTER COLUMN {column} TYPE {types[0]}, or rename the table",
                    )
            for column in ("node_id", "emb"):
                if column == "node_id" and column in found and not found[column].not_null:
                    yield Obstacle(
                        f"column {name}.{column}",
                        "may be null, and should not be",
                        f"ALTER TABLE {name} ALTER COLUMN {column} SET NOT NULL",
                    )
                if column not in found:
                    yield Obstacle(
                        f"table {name}",
                        f"has no column {column}",
                        f"ALTER TABLE {name} RENAME TO {name}_old",
                    )
            for column in found.keys() - mended.MOVED_COLUMNS.keys():
                yield Obstacle(
                    f"column {name}.{column}",
                    "is not ours, and would go with the table, whose rows are moved",
                    f"ALTER TABLE {name} RENAME TO {name}_old, or drop the column",
                )

    def _triggers(self) -> Iterator[Obstacle]:
        functions = {r.name for r in self.wanted.routines.values()}
        for table, trigger, function, is_constraint in self._connection.execute(
            queries.triggers, self._names
        ).fetchall():
            if self.is_pending(f"{table}.{trigger}") and (
                is_constraint or function not in functions
            ):
                yield Obstacle(
                    f"trigger {table}.{trigger}",
                    f"calls {function}(), and a revision makes one of that name",
                    f"ALTER TRIGGER {trigger} ON {table} RENAME TO {trigger}_old",
                )

    def _indexes(self) -> Iterator[Obstacle]:
        """An index on the same columns is built anew where it differs; one on others is somebody's own."""
        for name, letter, _, _, _, _, table, definition, _ in self._connection.execute(
            queries.relations, self._names
        ).fetchall():
            if letter not in "iI" or name not in self.wanted.indexes or not self.is_pending(name):
                continue
            on, text = self.wanted.indexes[name]
            known = {*self.wanted.tables[on].columns}
            keys = _keys(text.partition(" USING ")[2], known)
            has = _keys(definition.partition(" USING ")[2], known)
            if table == on and definition != text and mended.keeps_index(name, on, definition):
                yield Obstacle(
                    f"index {name}",
                    f"is {definition}, and should be {text}",
                    f"ALTER INDEX {name} RENAME TO {name}_old",
                )
            elif table != on or not (keys <= has or has <= keys) or (keys and not has):
                yield Obstacle(
                    f"index {name}",
                    f"is on {table} ({', '.join(sorted(has)) or 'other columns'}), and should be on"
                    f" {on} ({', '.join(sorted(keys))})",
                    f"ALTER INDEX {name} RENAME TO {name}_old",
                )

    def _routines(self) -> Iterator[Obstacle]:
        names = sorted({r.name for k, r in self.wanted.routines.items() if self.is_pending(k)})
        for (
            signature,
            name,
            kind,
            result,
            parameters,
            owner,
            mine,
            has_path,
            has_comment,
            body,
        ) in self._connection.execute(queries.routines, {"names": names}).fetchall():
            word = {"p": "PROCEDURE", "a": "AGGREGATE"}.get(kind, "FUNCTION")
            cure = f"DROP {word} {signature}"
            wanted = self.wanted.routines.get(signature)
            ours = bool(has_comment)
            goes = mended.is_dropped(
                name, kind, result, has_path=has_path, is_ours=ours, pending=self.pending
            )
            if wanted is None and not goes and name not in mended.ANY_SIGNATURE:
                continue  # an overload of somebody's own
            if not mine:
                yield Obstacle(
                    f"{word.lower()} {signature}", f"belongs to {owner}",
                    f"as {owner} or a superuser: ALTER {word} {signature} OWNER TO {self._role()}",
                )  # fmt: skip
            elif goes:
                continue
            elif kind not in "fw":
                yield Obstacle(
                    f"routine {signature}", "is no function, and a revision makes one", cure
                )
            elif wanted is not None and result != wanted.result:
                yield Obstacle(
                    f"function {signature}", f"returns {result}, and should return {wanted.result}", cure
                )  # fmt: skip
            elif wanted is not None and parameters != wanted.parameters:
                yield Obstacle(
                    f"function {signature}",
                    f"has parameters named {', '.join(parameters) or 'nothing'} instead of"
                    f" {', '.join(wanted.parameters)}",
                    cure,
                )
            elif not ours and not (name == "set_updated_at" and _STAMPS.search(body)):
                yield Obstacle(
                    f"function {signature}",
                    "was made by hand under a name that a revision needs",
                    f"ALTER FUNCTION {signature} RENAME TO {name}_old",
                )

    def _dependents(self, relations: list[Any]) -> Iterator[Obstacle]:
        """Views and functions of others that hang on what is made anew; ours go with it."""
        replaced = [
            r[0]
            for r in relations
            if (r[1] == "v" and self.is_pending(r[0]) and r[0] in mended.OLDER_VIEWS)
            or (r[1] in "rp" and r[0] in mended.MOVED)
        ]
        ours = sorted({*self.wanted.views, *mended.OLDER_VIEWS})
        for reader, letter, read_one in self._connection.execute(
            mended.queries.view_readers, {"names": replaced, "ours": ours}
        ).fetchall():
            kind = _KINDS[letter]
            yield Obstacle(
                f"{kind} {reader}",
                f"reads {read_one}, which a revision makes anew",
                f"DROP {kind.upper()} {reader}; make it again after the migration",
            )
        names = sorted({r.name for r in self.wanted.routines.values()} | {*mended.OLDER_FUNCTIONS})
        gone = [
            row[0]
            for row in self._connection.execute(queries.routines, {"names": names})
            if mended.is_dropped(
                row[1], row[2], row[3], has_path=row[7], is_ours=row[8], pending=self.pending
            )
        ]
        for what, on in self._connection.execute(
            queries.dependents, {"relations": replaced, "routines": gone, "ours": ours}
        ).fetchall():
            yield Obstacle(
                str(what),
                f"depends on {on}, which a revision makes anew",
                f"drop {what}; make it again after the migration",
            )


def _column(
    table: str, column: str, found: Column, wanted: Column, has: Table
) -> Iterator[Obstacle]:
    what = f"column {table}.{column}"
    change = f"ALTER TABLE {table} ALTER COLUMN {column}"
    plain = re.sub(r"\(.*?\)", "", found.type)
    if found.made == "s" and wanted.made != "s":
        yield Obstacle(what, f"is generated from {found.default}", f"{change} DROP EXPRESSION")
        return
    if wanted.made == "s" and (
        found.made != "s" or _plain(found.default) != _plain(wanted.default)
    ):
        yield Obstacle(
            what,
            f"should be generated from {wanted.default}",
            f"ALTER TABLE {table} RENAME COLUMN {column} TO {column}_old, and add it as"
            f" {wanted.type} GENERATED ALWAYS AS ({wanted.default}) STORED",
        )
        return
    if found.type != wanted.type:
        if plain not in mended.TYPES.get((table, column), ()):
            yield Obstacle(
                what,
                f"is {found.type}, and should be {wanted.type}",
                f"{change} TYPE {wanted.type} USING {_cast(column, plain, wanted.type)}",
            )
        return  # what has another type gets its default with the right one
    if found.not_null and not wanted.not_null:
        yield Obstacle(what, "demands a value, and should not", f"{change} DROP NOT NULL")
    if wanted.not_null and not found.not_null and not mended.fills(table, column, has):
        yield Obstacle(
            what,
            "may be null, and should not be",
            f"{change} SET NOT NULL, after giving the rows without one a value",
        )
    numbered = wanted.made in ("a", "d") or "nextval(" in (wanted.default or "")
    if numbered:
        if not (found.made or "nextval(" in (found.default or "")):
            yield Obstacle(
                what, "has no sequence that numbers its rows",
                f"{change} ADD GENERATED BY DEFAULT AS IDENTITY",
            )  # fmt: skip
    elif _plain(found.default) != _plain(wanted.default) and not mended.sets_default(
        table, column, found, has
    ):
        now = f"has the default {found.default}" if found.default else "has no default"
        should = f"should be {wanted.default}" if wanted.default else "should have none"
        action = f"SET DEFAULT {wanted.default}" if wanted.default else "DROP DEFAULT"
        yield Obstacle(what, f"{now}, and {should}", f"{change} {action}")


def _plain(text: str | None) -> str | None:
    """Return an expression without what servers and people word differently and mean alike."""
    if text is None or re.fullmatch(r"NULL(::[\w ]+)?", text):
        return None
    bare = re.sub(r"::[a-z_]+(?: [a-z]+)*(?:\(\d+\))?(?:\[\])?", "", text)
    bare = bare.replace("CURRENT_TIMESTAMP", "now()").replace("public.", "")
    if number := re.fullmatch(r"'?(-?\d+(?:\.\d+)?)'?", bare):
        return str(float(number[1]))
    return re.sub(r"[()\s]", "", bare)


def _cast(column: str, kind: str, should: str) -> str:
    if kind == "timestamp without time zone":
        return f"{column} AT TIME ZONE 'UTC' (or the zone that its times are in)"
    return f"{column}::{should}"


def _keys(definition: str, known: set[str]) -> set[str]:
    """Return the columns in the first pair of parentheses of an index's definition."""
    definition = re.sub(r"'[^']*'", "", definition)
    begin = definition.find("(")
    body = definition[begin : _closing(definition, begin)] if begin >= 0 else ""
    return set(re.findall(r"\w+", body)) & known


def _closing(text: str, begin: int) -> int:
    """Return where the parenthesis that opens at `begin` closes."""
    depth = 0
    for position in range(begin, len(text)):
        depth += (text[position] == "(") - (text[position] == ")")
        if depth == 0:
            return position
    return len(text)
