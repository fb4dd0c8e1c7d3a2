"""What needs a cluster says in one line that there is none, and changes nothing."""

from __future__ import annotations

import pytest

from tests.program import Program


@pytest.mark.parametrize(
    ("words", "address", "code", "said"),
    [
        ("dispatcher list", None, 78, "RAY_ADDRESS names no cluster"),
        ("worker queue --executor ray", None, 78, "RAY_ADDRESS names no cluster"),
        (
            "worker queue --executor ray",
            "127.0.0.1:1",
            69,
            "the Ray cluster at 127.0.0.1:1 is not reachable",
        ),
    ],
)
def test_without_a_cluster(
    words: str, address: str | None, code: int, said: str, seedcore: Program
) -> None:
    ended = seedcore(*words.split(), env={"RAY_ADDRESS": address})
    assert ended.returncode == code
    assert ended.stdout == ""
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
