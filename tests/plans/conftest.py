"""One database for a module of plans: filling it takes seconds, asking it takes milliseconds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.conftest import create_database, drop_database


@pytest.fixture(scope="module")
def plans_url(
    server_url: str, template_database: str, _admin: psycopg.Connection[Any]
) -> Iterator[str]:
    """A superuser's URL of a migrated database that the module fills and questions."""
    name = create_database(_admin, template_database, prefix="seedcore_plans_")
    yield make_conninfo(server_url, dbname=name)
    drop_database(_admin, name)
