"""Tests that stand for a function of the database have to call it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.integration.proof import proven


@pytest.fixture
def database_url(
    request: pytest.FixtureRequest,
    database_url: str,
    server_url: str,
    _admin: psycopg.Connection[Any],
) -> Iterator[str]:
    """URL of a fresh migrated database, which counts the calls that coverage.py promises."""
    with proven(request, database_url, server_url, _admin):
        yield database_url
