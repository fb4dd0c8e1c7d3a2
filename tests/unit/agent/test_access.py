from __future__ import annotations

import pytest

from seedcore.agent.access import Grants
from seedcore.errors import ConfigError


@pytest.mark.parametrize(
    ("patterns", "granted", "denied"),
    [
        ("*", ["echo", "fact.add", "a.b.c"], []),
        ("fact.*", ["fact.add", "fact.index.build"], ["fact", "facts.add", "my.fact.add"]),
        ("*.read", ["fact.read", "memory.read"], ["read", "a.b.read", "fact.reader"]),
        ("fact.*.build", ["fact.index.build"], ["fact.build", "fact.a.b.build"]),
        ("echo, sleep", ["echo", "sleep"], ["echoes", "task.submit"]),
        ("", [], ["echo"]),
    ],
)
def test_wildcards_stand_for_whole_segments(patterns: str, granted: list[str], denied: list[str]):
    grants = Grants.parse(patterns)
    assert [name for name in granted + denied if grants.allows(name)] == granted


@pytest.mark.parametrize("pattern", ["fa*", "fact.*x", "Fact.add", "fact..add", "**", "fact.+"])
def test_other_patterns_are_refused(pattern: str):
    with pytest.raises(ConfigError, match="no pattern"):
        Grants.parse(pattern)
