from __future__ import annotations

import pytest

from seedcore.config import duration, size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1.5", 1.5),
        ("0", 0.0),
        (".25", 0.25),
        ("250ms", 0.25),
        ("90s", 90.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("3d", 259200.0),
        (" 2W ", 1209600.0),
    ],
)
def test_duration_reads_numbers_and_units(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "-5", "5 m", "m", "1e3", "nan", "inf", "5x", "1h 30m", "11y"])
def test_duration_refuses_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        duration(text)


def test_duration_refuses_more_than_ten_years() -> None:
    with pytest.raises(ValueError, match="ten years"):
        duration("4000d")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("7", 7), ("64KiB", 65536), ("1MB", 1000000), ("1.5 MiB", 1572864), ("2gb", 2000000000)],
)
def test_size_reads_bytes(text: str, expected: int) -> None:
    assert size(text) == expected


@pytest.mark.parametrize("text", ["", "1.5", "-1", "MB", "1TB"])
def test_size_refuses_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"size|whole number"):
        size(text)
