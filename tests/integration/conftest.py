"""Tests that stand for a function of the database have to call it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.integration.proof import counting, proven
from tests.integration.schema import coverage


@pytest.fixture
def database_url(
    request: pytest.FixtureRequest,
    database_url: str,
    server_url: str,
    _admin: psycopg.Connection[Any],
) -> Iterator[str]:
    """URL of a fresh migrated database, which counts the calls that coverage.py promises."""
    if not coverage.stood_for(request.node.nodeid):
        yield database_url
        return
    with (
        counting(database_url, server_url, _admin) as watch,
        proven(request.node.nodeid, watch),
    ):
        yield database_url
