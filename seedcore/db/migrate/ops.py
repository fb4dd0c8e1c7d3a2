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
    if _is_valid(driver, name) is True:
        return
    if _is_empty(driver, table):
        driver.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(sql.Identifier(name)))
        driver.execute(statement(""))
        return
    with op.get_context().autocommit_block(), patient(driver):
        if _is_valid(driver, name) is False:
            driver.execute(sql.SQL("DROP INDEX CONCURRENTLY {}").format(sql.Identifier(name)))
        driver.execute(statement("CONCURRENTLY"))


def drop_index(name: str) -> None:
    """Drop an index if it is there."""
    statement = sql.SQL("DROP INDEX IF EXISTS {};").format(sql.Identifier(name))
    execute(cast("LiteralString", statement.as_string()))


def require_empty(*tables: str) -> None:
    """Stop a downgrade that would take rows with it, unless the operator said that it may.

    Written as SQL, so that the rendered script refuses too.

    Args:
        tables: Tables of schema public that the downgrade drops.
    """
    for table in tables:
        statement = sql.SQL(
            """DO $$
DECLARE
    v_filled boolean := false;
BEGIN
    IF to_regclass({name}) IS NOT NULL
       AND coalesce(current_setting('seedcore.drop_data', true), '') <> 'yes' THEN
        EXECUTE 'SELECT EXISTS (SELECT FROM ' || {name} || ')' INTO v_filled;
        IF v_filled THEN
            RAISE EXCEPTION 'table % has rows, and this downgrade drops it', {name}
                USING ERRCODE = 'SC409',
                      HINT = 'repeat it with --drop-data, or SET seedcore.drop_data = ''yes''';
        END IF;
    END IF;
END
$$;"""
        ).format(name=sql.Literal(f"public.{table}"))
        execute(cast("LiteralString", statement.as_string()))


def _driver() -> Connection[Any]:
    return driver_of(op.get_context())


def _is_valid(driver: Connection[Any], index: str) -> bool | None:
    """Tell whether the index is usable; None when there is none."""
    row = driver.execute(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(quote_ident(%s))", [index]
    ).fetchone()
    return None if row is None else bool(row[0])


def _is_empty(driver: Connection[Any], table: str) -> bool:
    query = sql.SQL("SELECT NOT EXISTS (SELECT FROM {})").format(sql.Identifier(table))
    row = driver.execute(query).fetchone()
    return row is not None and bool(row[0])
