"""What tests of the agent share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.agent.bench import Bench


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.executor.close()
