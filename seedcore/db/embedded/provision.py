"""Give a new server what an application needs: its role, its database, the vector extension.

Not done by a stand-alone backend before the start, though that would be one step: objects made
there get the ids of built-in ones, and pg_dump and pg_upgrade then leave them out.
"""

from __future__ import annotations

import secrets
from typing import LiteralString

import psycopg
from psycopg import sql

from seedcore.db.embedded.layout import Layout, write_private
from seedcore.db.errors import translated

ROLE = "seedcore"
"""Everyday role: owns the database and may make others, but is no superuser."""

DATABASE = "seedcore"


def provision(layout: Layout, superuser_url: str) -> None:
    """Make the role and the database; what is there already from an interrupted try stays.

    The password file is written last: while it is missing, the next start comes here again.

    Args:
        layout: Where the password goes.
        superuser_url: URL of the database `postgres`, as superuser.

    Raises:
        SeedcoreError: The server refused.
    """
    password = secrets.token_hex(24)
    with translated():
        with psycopg.connect(superuser_url, dbname="template1", autocommit=True) as conn:
            # Not a trusted extension in this build, so databases get it from their template.
            conn.execute("CREATE EXTENSION IF NOT EXISTS vector")
        with psycopg.connect(superuser_url, autocommit=True) as conn:
            role = sql.Identifier(ROLE)
            if not _exists(conn, "SELECT 1 FROM pg_roles WHERE rolname = %s", ROLE):
                conn.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(role))
            # Hashed here, so that it can't end up in the server's log.
            verifier = conn.pgconn.encrypt_password(
                password.encode(), ROLE.encode(), b"scram-sha-256"
            ).decode()
            conn.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, sql.Literal(verifier)))
            conn.execute(sql.SQL("GRANT pg_monitor, pg_signal_backend TO {}").format(role))
            if not _exists(conn, "SELECT 1 FROM pg_database WHERE datname = %s", DATABASE):
                conn.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), role)
                )
    write_private(layout.password, password)


def _exists(conn: psycopg.Connection[tuple[object, ...]], query: LiteralString, name: str) -> bool:
    return conn.execute(query, (name,)).fetchone() is not None
