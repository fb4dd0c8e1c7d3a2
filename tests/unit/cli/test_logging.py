"""What libraries say reaches the terminal only when somebody wants to know."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from seedcore_cli.options import Common
from seedcore_cli.session import Cli


@pytest.fixture
def driver() -> Iterator[logging.Logger]:
    logger = logging.getLogger("psycopg")
    before = logger.level
    logger.setLevel(logging.NOTSET)
    yield logger
    logger.setLevel(before)


@pytest.mark.parametrize(("verbose", "speaks"), [(0, False), (1, True)])
def test_the_driver_complains_of_interruptions_only_when_asked(
    driver: logging.Logger, verbose: int, speaks: bool
) -> None:
    with Cli(Common(verbose=verbose), command="seedcore task wait"):
        assert driver.isEnabledFor(logging.WARNING) is speaks
