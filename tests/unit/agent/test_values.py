from __future__ import annotations

import json
import math
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st

from seedcore.agent.values import BadValue, check, encode

JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8", min_codepoint=1), max_size=4), inner)
    ),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_json_is_kept_as_it_is(value: object):
    assert json.loads(encode(value)) == value


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("value", "pointer", "reason"),
    [
        ({"a": [1, {"b/c": math.nan}]}, "/a/1/b~1c", "nan"),
        ([1, -math.inf], "/1", "-inf"),
        ({"at": datetime(2031, 1, 1, tzinfo=UTC)}, "/at", "isoformat"),
        ({"cents": Decimal(1)}, "/cents", "str\\(value\\)"),
        ({1, 2}, "/", "sorted"),
        (b"x", "/", "base64"),
        (object(), "/", "object is not JSON"),
        ({("a", "b"): 1}, "/", "a key is tuple"),
        ({"a": "x\x00y"}, "/a", "NUL"),
        ({"a\x00": 1}, "/", "NUL"),
        (["\ud800"], "/0", "surrogate"),
        ([10**5000], "/0", "digits"),
        (nested(65), "/0/0/", "deeper than 64"),
        (nested(sys.getrecursionlimit() * 20), "/0/0/", "deeper than 64"),
        (CIRCLE, "/0/0/", "deeper than 64"),
    ],
)
def test_the_place_that_is_not_json_is_named(value: object, pointer: str, reason: str):
    with pytest.raises(BadValue, match=reason) as caught:
        encode(value)
    assert str(caught.value).startswith(pointer)


def test_a_text_that_only_looks_like_a_nul_is_fine():
    assert json.loads(encode({"a": "\\u0000"})) == {"a": "\\u0000"}


def test_many_brackets_are_not_depth():
    assert encode([[]] * 1000).count("[") == 1001
    assert encode(nested(64))
    check(nested(64))
