"""Defaults that a command repeats, because what owns them is too heavy to be imported for its help."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from seedcore.embed.search import EF_SEARCH
from seedcore_cli.commands.embed.ask import search
from seedcore_cli.commands.embed.index import check


@pytest.mark.parametrize("command", [search, check])
def test_the_search_list_is_as_long_as_elsewhere(command: Callable[..., Any]) -> None:
    assert inspect.signature(command).parameters["ef_search"].default == EF_SEARCH
