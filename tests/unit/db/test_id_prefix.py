"""Naming objects by the first digits of their ids."""

from __future__ import annotations

from uuid import UUID

import pytest

from seedcore.db.id_prefix import id_range


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("0198c7", "0198c700-0000-0000-0000-000000000000", "0198c7ff-ffff-ffff-ffff-ffffffffffff"),
        (
            "0198C7A1-2",
            "0198c7a1-2000-0000-0000-000000000000",
            "0198c7a1-2fff-ffff-ffff-ffffffffffff",
        ),
    ],
)
def test_a_prefix_is_a_range(text: str, low: str, high: str) -> None:
    assert id_range(text) == (UUID(low), UUID(high))


@pytest.mark.parametrize("text", ["", "-", "xyz", "0198c7 ", "0" * 33, "0x12"])
def test_other_text_is_no_range(text: str) -> None:
    assert id_range(text) is None
