from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from seedcore.agent import ToolContext
from seedcore.agent.builtin import seedcore_tools
from seedcore.agent.builtin.tasks import submit
from seedcore.config.settings import Settings


@dataclass
class Recorder:
    """Stands where the database would: what was submitted is all that these rules are about."""

    taken: list[Any] = field(default_factory=list)

    def submit(self, new: Any) -> Any:
        self.taken.append(new)
        return new


def test_further_tasks_of_one_call_get_keys_of_their_own():
    recorder = Recorder()
    ctx = ToolContext.for_test(task_id="t", submitter=recorder)
    ctx.submit("first")
    ctx.submit("second")
    ctx.submit("third", idempotency_key="mine")
    ctx.submit("fourth")
    assert [new.idempotency_key for new in recorder.taken] == ["t:0", "t:0:2", "mine", "t:0:4"]


def test_the_correlation_id_is_handed_on_unless_given():
    recorder = Recorder()
    ctx = ToolContext.for_test(task_id="t", submitter=recorder)
    ctx.submit("a", {"x": 1})
    ctx.submit("b", {"correlation_id": "own"})
    assert [new.params for new in recorder.taken] == [
        {"correlation_id": "t", "x": 1},
        {"correlation_id": "own"},
    ]


async def test_submitting_on_the_event_loop_is_refused_with_its_cure():
    recorder = Recorder()
    ctx = ToolContext.for_test(submitter=recorder)
    with pytest.raises(RuntimeError, match=r"asyncio\.to_thread"):
        ctx.submit("a")
    await asyncio.to_thread(ctx.submit, "a")
    assert len(recorder.taken) == 1


def test_a_context_without_database_says_so():
    with pytest.raises(RuntimeError, match="without a database"):
        ToolContext.for_test().submit("a")


def test_a_call_out_of_time_counts_as_cancelled():
    assert not ToolContext.for_test(time_left_s=60).cancelled()
    late = ToolContext.for_test(time_left_s=0)
    assert late.cancelled()
    assert late.time_left() == 0


def test_every_built_in_tool_says_what_it_does():
    for each in seedcore_tools(Settings(tool_http_allow="example.com")):
        assert each.description.endswith(".")
        assert each.idempotent
    assert submit.schema["required"] == ["type"]


def test_a_line_of_the_log_has_the_call_s_facts_beside_the_tool_s_own(
    caplog: pytest.LogCaptureFixture,
):
    ctx = ToolContext.for_test(task_id="t")
    with caplog.at_level("INFO"):
        ctx.log.info("Charged", extra={"event": "billing.charged", "cents": 5})
    (line,) = caplog.records
    facts = line.__dict__
    assert (facts["task_id"], facts["event"], facts["cents"]) == ("t", "billing.charged", 5)
