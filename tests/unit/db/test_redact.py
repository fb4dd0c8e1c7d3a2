"""No password is ever shown, however the connection string is written."""

from __future__ import annotations

import pytest

from seedcore.db.connection import redact


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("postgresql://me:secret@db:5432/x", "postgresql://me:***@db:5432/x"),
        ("postgresql://me@db/x", "postgresql://me@db/x"),
        (
            "postgresql+psycopg://me:s%40cret@/x?host=/run",
            "postgresql+psycopg://me:***@/x?host=/run",
        ),
        ("postgresql://me:se@cr/et@db/x", "postgresql://me:***@db/x"),
        (
            "postgresql://db/x?user=me&password=secret&sslmode=require",
            "postgresql://db/x?user=me&password=***&sslmode=require",
        ),
        ("host=db user=me password=secret dbname=x", "host=db user=me password=*** dbname=x"),
        (r"host=db password = 'two \' words' dbname=x", "host=db password = *** dbname=x"),
        (
            "connection to postgresql://me:secret@db failed",
            "connection to postgresql://me:***@db failed",
        ),
        ("postgresql://me:se?cret@db/x", "postgresql://me:***@db/x"),
        (
            "postgresql://me:secret@db/x?application_name=a@b",
            "postgresql://me:***@db/x?application_name=a@b",
        ),
        ("", ""),
    ],
)
def test_passwords_are_replaced(given: str, shown: str) -> None:
    assert redact(given) == shown
