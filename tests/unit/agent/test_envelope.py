from __future__ import annotations

import pytest

from seedcore.agent import ToolError, envelope


def test_an_error_s_text_can_be_stored():
    # What the operating system hands out as a file's name need not be text that PostgreSQL takes.
    assert envelope.error_text(OSError("a\x00b \udcff")) == "OSError: a\\0b \\udcff"
    assert envelope.error_text(ToolError("said so")) == "said so"
    assert envelope.error_text(KeyError()) == "KeyError"
    assert len(envelope.error_text(ValueError("x" * 10_000))) == 2000


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ({"a": 1, "b": [1, 2]}, {"b": [1, 2], "a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": [1, 2]}, {"a": [2, 1]}, False),
        ({"a": "1"}, {"a": 1}, False),
        ({}, None, False),
    ],
)
def test_a_digest_is_equal_for_equal_json_only(one: object, other: object, equal: bool):
    assert (envelope.args_digest(one) == envelope.args_digest(other)) is equal
