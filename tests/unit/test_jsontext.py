from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, strategies as st

from seedcore.jsontext import encoder

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_the_text_is_the_standard_library_s(value: Any) -> None:
    assert encoder()(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def test_what_is_no_json_is_refused_unless_allowed() -> None:
    encode = encoder(allow_nan=False)
    endless: list[Any] = []
    endless.append(endless)
    for value, error in ((math.nan, ValueError), ({1, 2}, TypeError), (endless, RecursionError)):
        with pytest.raises(error):
            encode(value)
        assert encode([1]) == "[1]"
    assert encoder(default=str)({"a": 1j}) == '{"a":"1j"}'
