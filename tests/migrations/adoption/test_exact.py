"""What is declared to be mended is mended, and whatever else differs is named: over every object we make.

A database at its head whose records are gone is one that somebody made by hand exactly like ours. One kind
of difference at a time is made in all its objects at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest

from seedcore.db import migrate
from seedcore.db.migrate import adoption, mended, scripts, shape, state
from tests.migrations.conftest import Connection, schema_of

CHAIN = scripts.default_chain()
OURS = shape.load(CHAIN)
TABLES = {name: table for name, table in OURS.tables.items() if table.kind in "rp"}


@pytest.fixture
def twin(database_url: str) -> Iterator[Connection]:
    """A connection to a database like ours, of which nobody knows that it is."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SET search_path = public; SET client_min_messages = error;"
            "DROP TABLE alembic_version, seedcore_migrations, seedcore_objects"
        )
        yield connection


def named(connection: Connection) -> dict[str, str]:
    """Return what the survey finds in the way: object → the sentence and the cure."""
    found = adoption.survey(connection, CHAIN, state.read(connection, CHAIN), CHAIN.head)
    return {o.object: f"{o.found} | {o.cure}" for o in found.obstacles}


def test_the_recorded_shape_is_what_the_revisions_make(
    blank_database_url: str, database_url: str
) -> None:
    with psycopg.connect(blank_database_url, autocommit=True) as connection:
        made = shape.record(connection, CHAIN)
    text = (CHAIN.directory / shape.FILE).read_text(encoding="utf-8")
    assert shape.dump(made) == text, "run scripts/generate-docs"
    assert shape.load(CHAIN) == made
    assert schema_of(blank_database_url) == schema_of(database_url)


def test_a_database_like_ours_is_adopted_as_it_is(twin: Connection, database_url: str) -> None:
    before = shape.read(twin, CHAIN)
    assert named(twin) == {}
    migrate.up(database_url)
    assert shape.read(twin, CHAIN) == before


@dataclass(frozen=True)
class Difference:
    """One difference of one object.

    Args:
        object: As an obstacle names it; `None` stands for any of the table.
        statement: What makes it.
        mended: Whether it is declared that a revision mends it.
    """

    object: str
    statement: str
    mended: bool


def columns() -> Iterator[tuple[str, shape.Table, str, shape.Column]]:
    for name, table in TABLES.items():
        primary = {c for r in table.rules.values() if r.kind == "p" for c in r.columns}
        for column, described in table.columns.items():
            if column not in primary:
                yield name, table, column, described


def nullable() -> Iterator[Difference]:
    for table, described, column, c in columns():
        if c.not_null and c.made not in ("a", "d"):
            yield Difference(
                f"column {table}.{column}",
                f"ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL",
                mended.fills(table, column, described),
            )


def without_default() -> Iterator[Difference]:
    for table, described, column, c in columns():
        if c.default and not c.made:
            bare = shape.Column(c.type, c.not_null, None, "")
            yield Difference(
                f"column {table}.{column}",
                f"ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT",
                mended.sets_default(table, column, bare, described),
            )


def other_default() -> Iterator[Difference]:
    others = {
        "text": "'other'", "jsonb": "'[7]'", "integer": "77", "bigint": "77", "smallint": "7",
        "double precision": "0.77", "boolean": "NULL", "timestamp with time zone": "'2001-01-01'",
    }  # fmt: skip
    for table, described, column, c in columns():
        if c.type in others and not c.made and "nextval" not in (c.default or ""):
            if c.type == "boolean":
                default = "true" if c.default == "false" else "false"
            else:
                default = others[c.type]
            bare = shape.Column(c.type, c.not_null, default, "")
            yield Difference(
                f"column {table}.{column}",
                f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {default}",
                mended.sets_default(table, column, bare, described),
            )


def missing() -> Iterator[Difference]:
    for table, described, column, _ in columns():
        key = f"{table}.{column}"
        later = OURS.since[key] != OURS.since[table]
        yield Difference(
            f"table {table}",
            f"ALTER TABLE {table} DROP COLUMN {column} CASCADE",
            later or mended.adds(table, column, described),
        )


def rules(kinds: str) -> Iterator[tuple[str, str, shape.Rule]]:
    for table, described in TABLES.items():
        for rule, r in described.rules.items():
            if r.kind in kinds:
                yield table, rule, r


def without_rule() -> Iterator[Difference]:
    for table, rule, _ in rules("ufc"):
        later = OURS.since[f"{table}.{rule}"] != OURS.since[table]
        yield Difference(
            f"table {table}",
            f"ALTER TABLE {table} DROP CONSTRAINT {rule} CASCADE",
            later or mended.adds_rule(table, rule),
        )


def other_check() -> Iterator[Difference]:
    for table, rule, r in rules("c"):
        text = f"CHECK (num_nulls({', '.join(r.columns)}) >= 0)"
        found = shape.Rule("c", text, r.columns)
        yield Difference(
            f"constraint {table}.{rule}",
            f"ALTER TABLE {table} DROP CONSTRAINT {rule}, ADD CONSTRAINT {rule} {text}",
            mended.aligns(table, found, r, same_name=True),
        )


def other_action() -> Iterator[Difference]:
    for table, rule, r in rules("f"):
        text = re.sub(r" ON DELETE .*", "", r.text)
        yield Difference(
            f"constraint {table}.{rule}",
            f"ALTER TABLE {table} DROP CONSTRAINT {rule}, ADD CONSTRAINT {rule} {text}",
            mended.aligns(table, shape.Rule("f", text, r.columns), r, same_name=True),
        )


KINDS: dict[str, Callable[[], Iterator[Difference]]] = {
    "may be null": nullable,
    "no default": without_default,
    "another default": other_default,
    "no column": missing,
    "no rule": without_rule,
    "another check": other_check,
    "another action": other_action,
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_declared_is_mended(twin: Connection, database_url: str, kind: str) -> None:
    differences = [d for d in KINDS[kind]() if d.mended]
    if kind == "no column":
        # Ours speak of columns that a table by other hands lacks.
        for name, table in TABLES.items():
            for trigger in table.triggers:
                twin.execute(f"DROP TRIGGER {trigger} ON {name}".encode())
    for difference in differences:
        twin.execute(difference.statement.encode())
    if kind != "another default":
        assert len(differences) > 2
    assert named(twin) == {}
    migrate.up(database_url)
    made = shape.read(twin, CHAIN)
    for name, table in OURS.tables.items():
        for part in ("columns", "rules", "triggers"):
            assert getattr(made.tables[name], part) == getattr(table, part), (name, part)
    assert made.indexes == OURS.indexes
    assert (made.views, made.routines) == (OURS.views, OURS.routines)
    assert [f.detail for f in migrate.check(database_url) if not f.ok] == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_declared_is_named(twin: Connection, kind: str) -> None:
    rest = [d for d in KINDS[kind]() if not d.mended]
    assert len(rest) > 2
    while rest:
        # Of differences that are named by their table, one of each table at a time.
        now = {d.object: d for d in rest}
        with twin.transaction(force_rollback=True):
            for difference in now.values():
                twin.execute(difference.statement.encode())
            found = named(twin)
        assert now.keys() - found.keys() == set()
        if not any(d.object.startswith("table") for d in rest):
            break
        rest = [d for d in rest if d not in now.values()][:: 1 if kind == "no rule" else 3]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("point", "is point, and should be"),
        ("{} GENERATED ALWAYS AS (NULL::{}) STORED", "generated"),
    ],
    ids=["another type", "a generated column"],
)
def test_a_column_that_is_something_else_is_named(twin: Connection, what: str, said: str) -> None:
    twin.execute("DELETE FROM encoder; DELETE FROM queue_lanes")
    with twin.transaction(force_rollback=True):
        wanted: list[str] = []
        for table, _, column, c in columns():
            if c.made or (OURS.tables[table].kind == "p"):
                continue
            new = what.format(c.type, c.type)
            twin.execute(
                f"ALTER TABLE {table} DROP COLUMN {column} CASCADE, ADD COLUMN {column} {new}".encode()
            )
            wanted.append(f"column {table}.{column}")
        found = named(twin)
    assert len(wanted) > 300
    assert [w for w in wanted if said not in found.get(w, "")] == []


def test_a_foreign_key_that_leads_elsewhere_is_named(twin: Connection) -> None:
    with twin.transaction(force_rollback=True):
        wanted: list[str] = []
        for kind in ("uuid", "integer", "bigint", "text"):
            twin.execute(f"CREATE TABLE elsewhere_{kind} (id {kind} PRIMARY KEY)".encode())
        for table, rule, r in rules("f"):
            if len(r.columns) > 1:
                continue
            kind = TABLES[table].columns[r.columns[0]].type
            for name in (rule, f"mine_{len(wanted)}"):
                twin.execute(
                    f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}, ADD CONSTRAINT {name} FOREIGN KEY"
                    f" ({r.columns[0]}) REFERENCES elsewhere_{kind} (id) NOT VALID".encode()
                )
                wanted.append(f"constraint {table}.{name}")
        found = named(twin)
    assert len(wanted) > 100
    assert [w for w in wanted if w not in found] == []


IMPOSTORS = {
    "table": "CREATE TABLE {} (other point)",
    "view": "CREATE VIEW {} AS SELECT 1 AS other",
    "materialized view": "CREATE MATERIALIZED VIEW {} AS SELECT 1 AS other",
    "sequence": "CREATE SEQUENCE {}",
    "composite type": "CREATE TYPE {} AS (other point)",
    "domain": "CREATE DOMAIN {} AS text",
    "enum": "CREATE TYPE {} AS ENUM ('other')",
    "range type": "CREATE TYPE {} AS RANGE (subtype = float8, multirange_type_name = {}_many)",
    "index": "CREATE INDEX {} ON mine (id)",
    "partitioned table": "CREATE TABLE {} (id int) PARTITION BY RANGE (id)",
}


@pytest.mark.parametrize("kind", IMPOSTORS)
def test_an_object_of_another_kind_is_named(blank: Connection, kind: str) -> None:
    """A type has no name of its own beside a view or a table, but is not in the way of an index."""
    ours = {name: "table" if t.kind != "c" else "composite type" for name, t in OURS.tables.items()}
    ours |= dict.fromkeys(OURS.views, "view") | dict.fromkeys(OURS.enums, "enum")
    if kind not in ("domain", "enum", "range type"):
        ours |= dict.fromkeys(OURS.indexes, "index")
        ours |= {rule: "index" for _, rule, _ in rules("pu")}
    with blank.transaction(force_rollback=True):
        blank.execute("SET search_path = public; CREATE TABLE mine (id int)")
        for name in ours:
            blank.execute(IMPOSTORS[kind].replace("{}", name).encode())
        found = {o.partition(" ")[0]: s for o, s in named(blank).items()}
        objects = {o.rsplit(" ", 1)[-1]: s for o, s in named(blank).items()}
    assert found
    left = {n for n, k in ours.items() if k != kind and n not in objects}
    # A view of the earlier files is made anew, and labels are added to a type.
    left -= mended.OLDER_VIEWS if kind == "view" else set()
    # Its only row is the table that 002 moves.
    left -= mended.MOVED if kind == "table" else set()
    assert left == set()


ODD = {
    "row-level security": ("ALTER TABLE {} ENABLE ROW LEVEL SECURITY", "has row-level security"),
    "a policy": ("CREATE POLICY mine ON {} USING (false)", "has the row-level policy mine"),
    "a rule": ("CREATE RULE mine AS ON DELETE TO {} DO INSTEAD NOTHING", "has the rule mine"),
    "a child": ("CREATE TABLE {}_child () INHERITS ({})", "is inherited by"),
    "a parent": ("CREATE TABLE {}_parent (); ALTER TABLE {} INHERIT {}_parent", "inherits from"),
    "unlogged": ("ALTER TABLE {} SET UNLOGGED", "is unlogged"),
}


@pytest.mark.parametrize("odd", ODD)
def test_a_table_that_behaves_otherwise_is_named(twin: Connection, odd: str) -> None:
    statement, said = ODD[odd]
    plain = [n for n, t in TABLES.items() if t.kind == "r" and t.persistence == "p"]
    with twin.transaction(force_rollback=True):
        if odd == "unlogged":
            # Logged tables must not refer to unlogged ones.
            for table, rule, _ in rules("f"):
                twin.execute(f"ALTER TABLE {table} DROP CONSTRAINT {rule}".encode())
        for name in plain:
            twin.execute(statement.replace("{}", name).encode())
        found = [str(o) for o in survey_of(twin)]
    assert [n for n in plain if not any(o.startswith(f"table {n} {said}") for o in found)] == []


def survey_of(connection: Connection) -> list[object]:
    """Return all obstacles."""
    found = adoption.survey(connection, CHAIN, state.read(connection, CHAIN), CHAIN.head)
    return [*found.obstacles]


def test_what_belongs_to_somebody_else_is_named(
    server_url: str, database_url: str, twin: Connection
) -> None:
    name = str(psycopg.conninfo.conninfo_to_dict(database_url)["dbname"])
    admin = psycopg.conninfo.make_conninfo(server_url, dbname=name)
    with psycopg.connect(admin, autocommit=True) as owner:
        for table in TABLES:
            owner.execute(f"ALTER TABLE {table} OWNER TO CURRENT_USER".encode())
        for view in OURS.views:
            owner.execute(f"ALTER VIEW {view} OWNER TO CURRENT_USER".encode())
        for kind in OURS.enums:
            owner.execute(f"ALTER TYPE {kind} OWNER TO CURRENT_USER".encode())
        for function in OURS.routines:
            owner.execute(f"ALTER FUNCTION {function} OWNER TO CURRENT_USER".encode())
        role = owner.info.user
    found = named(twin)
    ours = [f"table {t}" if TABLES[t].kind == "r" else f"partitioned table {t}" for t in TABLES]
    ours += [f"view {v}" for v in OURS.views] + [f"type {t}" for t in OURS.enums]
    ours += [f"function {f}" for f in OURS.routines]
    assert [o for o in ours if f"belongs to {role}" not in found.get(o, "")] == []
    assert f"as {role} or a superuser: ALTER TABLE tasks OWNER TO" in found["table tasks"]


def test_functions_and_triggers_made_by_hand_are_named(twin: Connection) -> None:
    with twin.transaction(force_rollback=True):
        for function in OURS.routines:
            twin.execute(f"COMMENT ON FUNCTION {function} IS NULL".encode())
        found = named(twin)
    earlier = mended.OLDER_FUNCTIONS | {"set_updated_at"}
    wanted = {f"function {f}" for f, r in OURS.routines.items() if r.name not in earlier}
    assert wanted - found.keys() == set()
    with twin.transaction(force_rollback=True):
        twin.execute(
            "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
        )
        triggers: list[str] = []
        for name, table in TABLES.items():
            for trigger in table.triggers:
                twin.execute(
                    f"CREATE OR REPLACE TRIGGER {trigger} BEFORE INSERT ON {name} FOR EACH STATEMENT"
                    " EXECUTE FUNCTION mine()".encode()
                )
                triggers.append(f"trigger {name}.{trigger}")
        found = named(twin)
    assert [t for t in triggers if t not in found] == []


def test_an_index_of_another_form_is_rebuilt_or_named(twin: Connection, database_url: str) -> None:
    """On the same columns without its condition: what would not be rebuilt is in the way."""
    for name, (table, text) in OURS.indexes.items():
        if TABLES[table].kind == "p" or " USING btree " not in text:
            continue
        bare = text.partition(" WHERE ")[0].replace("UNIQUE ", "")
        if bare != text:
            twin.execute(f"DROP INDEX {name}; {bare}".encode())
    found = named(twin)
    for index in list(found):
        assert index.startswith("index ")
        name = index.removeprefix("index ")
        twin.execute(f"DROP INDEX {name}".encode())
    migrate.up(database_url)
    assert shape.read(twin, CHAIN).indexes == OURS.indexes
