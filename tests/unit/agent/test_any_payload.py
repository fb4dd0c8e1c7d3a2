"""Whatever is stored in a task, running it ends in an outcome that can be stored."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings, strategies as st

from seedcore.agent import load
from seedcore.agent.envelope import PERMANENT
from seedcore.agent.executor import Executor
from seedcore.config.settings import Settings

# What jsonb can hold: no NUL, no lone surrogate, no NaN.
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
VALUE: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
NAME = st.sampled_from(["echo", "sleep", "task.submit", "nope"]) | TEXT
CALL = (
    st.fixed_dictionaries({}, optional={"name": NAME | VALUE, "args": VALUE, "id": VALUE}) | VALUE
)
RECORD = st.fixed_dictionaries(
    {},
    optional={
        "index": st.integers(0, 2) | VALUE,
        "name": NAME,
        "ok": VALUE,
        "value": VALUE,
        "args_digest": TEXT,
        "started": VALUE,
    },
)
RESULT = VALUE | st.fixed_dictionaries(
    {"kind": st.just("progress"), "tool_results": st.lists(RECORD | VALUE, max_size=3) | VALUE}
)
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "tool_calls": st.lists(CALL, max_size=3) | VALUE,
        "args": VALUE,
        "correlation_id": VALUE,
        "routing": VALUE | st.fixed_dictionaries({"hints": VALUE}),
    },
)


@dataclass
class Claimed:
    type: str
    params: Mapping[str, Any]
    result: object
    id: str = "01930000-0000-7000-8000-000000000001"
    attempts: int = 2


@settings(max_examples=150, deadline=None)
@given(TEXT, PARAMS, RESULT)
def test_any_payload_ends_in_an_outcome(task_type: str, params: dict[str, Any], result: object):
    executor = Executor(load(Settings()), Settings())

    async def run():
        # No time is left, so that no call of the database or of `sleep` is really made.
        return await executor.run(Claimed(task_type, params, result), deadline=0.0)

    outcome = asyncio.run(run())
    executor.close()
    assert json.loads(outcome.document.encode()) is not None
    assert "\\u0000" not in outcome.document.replace("\\\\", "")
    assert outcome.success is (outcome.error_type is None)
    if outcome.error_type in PERMANENT:
        assert not outcome.retryable
