"""What a revision may do beside Alembic's own operations.

Every function works on a connection and while rendering SQL (`migrate plan --sql`); none sends
parameters, so a percent sign or a colon in a statement means itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, LiteralString, cast

from alembic import context, op
from psycopg import Connection, sql

from seedcore.db.migrate.recorder import driver_of
from seedcore.db.migrate.session import patient

_NEXT = "_next"


def execute(statements: LiteralString) -> None:
    """Run one or more statements, separated by semicolons."""
    if context.is_offline_mode():
        op.get_context().impl.static_output(statements.strip())
    else:
        _driver().execute(statements)


def run_sql(name: str) -> None:
    """Run the file of that name in the script directory's `sql` folder."""
    directory = Path(context.script.dir)
    # Ships with the program and never holds input, which is what LiteralString means.
    execute(cast("LiteralString", (directory / "sql" / name).read_text(encoding="utf-8")))


def create_index(name: str, table: str, definition: LiteralString, *, unique: bool = False) -> None:
    """Build an index without stopping the writers of a table that has rows.

    An empty table gets its index in the running transaction, which is faster. Otherwise the transaction
    is committed first and the index built CONCURRENTLY: so a revision builds its indexes last, and
    everything before must bear to be run twice. What an interrupted build left behind is rebuilt.

    Args:
        name: Name of the index.
        table: Table in schema public.
        definition: What follows the table's name: `(type)`, `USING gin (params)`, `(a) WHERE b`.
        unique: Whether it refuses equal keys.

    An index of that name with another definition, as older databases have them, is replaced.
    """
    kind = sql.SQL("UNIQUE INDEX" if unique else "INDEX")

    def statement(how: LiteralString) -> sql.Composed:
        return sql.SQL("CREATE {} {} {} ON {} {}").format(
            kind, sql.SQL(how), sql.Identifier(name), sql.Identifier(table), sql.SQL(definition)
        )

    if context.is_offline_mode():
        with op.get_context().autocommit_block():
            # Not executed, so nothing is known of the table: the careful form is right for every size.
            rendered = statement("CONCURRENTLY IF NOT EXISTS").as_string()
            op.get_context().impl.static_output(f"{rendered};")
        return
    driver = _driver()
    valid = _is_valid(driver, name)
    if valid and _is_same_index(driver, name, table, definition, unique=unique):
        return
    if _is_empty(driver, table):
        driver.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(sql.Identifier(name)))
        driver.execute(statement(""))
        return
    with op.get_context().autocommit_block(), patient(driver):
        if valid is not None:
            driver.execute(sql.SQL("DROP INDEX CONCURRENTLY {}").format(sql.Identifier(name)))
        driver.execute(statement("CONCURRENTLY"))


def prepare_index(name: str, table: str, definition: LiteralString) -> None:
    """Build what `swap_index` will put in the place of an index that queries rely on.

    It has a name of its own until then, and queries may use it. The rules of `create_index` hold; an
    empty table needs no preparation.

    Args:
        name: Name of the index to be replaced.
        table: Table in schema public.
        definition: As for `create_index`.
    """
    if not context.is_offline_mode():
        driver = _driver()
        is_there = _is_valid(driver, name) and _is_same_index(
            driver, name, table, definition, unique=False
        )
        if is_there or _is_empty(driver, table):
            return
    create_index(f"{name}{_NEXT}", table, definition)


def swap_index(name: str, table: str, definition: LiteralString) -> None:
    """Replace an index by the one that `prepare_index` has built, while queries go on.

    Args:
        name: Name of the index.
        table: Table in schema public.
        definition: As for `prepare_index`.
    """
    next_name = f"{name}{_NEXT}"
    drop = sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(name))
    rename = sql.SQL("ALTER INDEX {} RENAME TO {}").format(
        sql.Identifier(next_name), sql.Identifier(name)
    )
    if context.is_offline_mode():
        with op.get_context().autocommit_block():
            for statement in (drop, rename):
                op.get_context().impl.static_output(f"{statement.as_string()};")
        return
    driver = _driver()
    if _is_valid(driver, name) and _is_same_index(driver, name, table, definition, unique=False):
        drop_index(next_name)
        return
    if _is_empty(driver, table):
        create_index(name, table, definition)
        return
    create_index(next_name, table, definition)
    with op.get_context().autocommit_block(), patient(driver):
        driver.execute(drop)
        driver.execute(rename)


def drop_index(name: str) -> None:
    """Drop an index if it is there."""
    statement = sql.SQL("DROP INDEX IF EXISTS {};").format(sql.Identifier(name))
    execute(cast("LiteralString", statement.as_string()))


def let_go(table: str) -> None:
    """Commit, so that writers of a table that has rows needn't wait for the rest of the revision.

    Everything before must bear to be run twice, and leave a table that older programs can use.

    Args:
        table: Table in schema public.
    """
    if context.is_offline_mode() or not _is_empty(_driver(), table):
        with op.get_context().autocommit_block():
            pass


def validate(table: str, *constraints: str) -> None:
    """Check the rows that were there before their NOT VALID constraints, while writers go on.

    Rows that break one stay, with a warning; the constraint holds for whatever is written from then on.

    Args:
        table: Table in schema public.
        constraints: Names of checks and foreign keys; one that is missing or valid is passed over.
    """
    for name in constraints:
        statement = sql.SQL(
            """DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_constraint
               WHERE conrelid = to_regclass({qualified}) AND conname = {literal} AND NOT convalidated) THEN
        ALTER TABLE {table} VALIDATE CONSTRAINT {name};
    END IF;
EXCEPTION WHEN check_violation OR foreign_key_violation THEN
    RAISE WARNING '% has rows that violate %, so it holds for new rows only', {shown}, {literal}
        USING HINT = 'seedcore db verify lists the rows';
END
$$;"""
        ).format(
            qualified=sql.Literal(f"public.{table}"),
            shown=sql.Literal(table),
            table=sql.Identifier(table),
            name=sql.Identifier(name),
            literal=sql.Literal(name),
        )
        rendered = cast("LiteralString", statement.as_string())
        if not context.is_offline_mode() and _is_empty(_driver(), table):
            execute(rendered)
            continue
        with op.get_context().autocommit_block():
            execute(rendered)


def run_in_batches(name: str, table: str) -> None:
    """Run a file whose one DO block commits after each batch, unless the table is empty.

    It must bear to be stopped after any batch and run again.

    Args:
        name: File in the script directory's `sql` folder.
        table: The table whose rows it mends.
    """
    if not context.is_offline_mode() and _is_empty(_driver(), table):
        return
    with op.get_context().autocommit_block():
        run_sql(name)


def require_empty(*tables: str, own: LiteralString = "false") -> None:
    """Stop a downgrade that would take rows with it, unless the operator said that it may.

    Written as SQL, so that the rendered script refuses too. The runner asks all of a way down before it
    takes the first step (`seedcore.db.migrate.losses`).

    Args:
        tables: Tables of schema public that the downgrade drops.
        own: Condition of rows that the revision itself made, which nobody would miss.
    """
    for table in tables:
        statement = sql.SQL(
            """DO $$
DECLARE
    v_filled boolean := false;
BEGIN
    IF to_regclass({name}) IS NOT NULL
       AND coalesce(current_setting('seedcore.drop_data', true), '') <> 'yes' THEN
        EXECUTE 'SELECT EXISTS (SELECT FROM ' || {name} || ' WHERE NOT ({own}))' INTO v_filled;
        IF v_filled THEN
            RAISE EXCEPTION 'table % has rows, and this downgrade drops it', {name}
                USING ERRCODE = 'SC409', DETAIL = 'migrate.table_has_rows',
                      HINT = 'repeat it with --drop-data, or SET seedcore.drop_data = ''yes''';
        END IF;
    END IF;
END
$$;"""
        ).format(name=sql.Literal(f"public.{table}"), own=sql.SQL(own))
        execute(cast("LiteralString", statement.as_string()))


def _driver() -> Connection[Any]:
    return driver_of(op.get_context())


def _is_valid(driver: Connection[Any], index: str) -> bool | None:
    """Tell whether the index is usable; None when there is none."""
    row = driver.execute(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(quote_ident(%s))", [index]
    ).fetchone()
    return None if row is None else bool(row[0])


def _is_same_index(
    driver: Connection[Any], name: str, table: str, definition: LiteralString, *, unique: bool
) -> bool:
    """Tell whether an index is what the definition says: the server words both, the latter on a copy."""
    row = driver.execute(
        "SELECT i.indrelid = to_regclass(quote_ident(%s)), i.indisunique, pg_get_indexdef(i.indexrelid)"
        " FROM pg_index AS i WHERE i.indexrelid = to_regclass(quote_ident(%s))",
        [table, name],
    ).fetchone()
    if row is None or not row[0] or row[1] != unique:
        return False
    with driver.transaction(force_rollback=True):
        driver.execute(
            sql.SQL("CREATE TEMPORARY TABLE seedcore_shape (LIKE {})").format(
                sql.Identifier("public", table)
            )
        )
        driver.execute(
            sql.SQL("CREATE INDEX seedcore_shape_index ON pg_temp.seedcore_shape {}").format(
                sql.SQL(definition)
            )
        )
        wanted = driver.execute(
            "SELECT pg_get_indexdef('pg_temp.seedcore_shape_index'::regclass)"
        ).fetchone()
    return wanted is not None and _after_using(row[2]) == _after_using(wanted[0])


def _after_using(definition: str) -> str:
    """Return what follows the table's name in a definition as the server words it."""
    return definition.partition(" USING ")[2]


def _is_empty(driver: Connection[Any], table: str) -> bool:
    query = sql.SQL("SELECT NOT EXISTS (SELECT FROM {})").format(sql.Identifier(table))
    row = driver.execute(query).fetchone()
    return row is not None and bool(row[0])
