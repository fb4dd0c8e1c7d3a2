"""The tools of docs/how-to/gather-a-batch.md do what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from seedcore.agent import ToolContext
from seedcore.agent.submitter import PooledSubmitter
from seedcore.config.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "gather-a-batch.md"
Conn = psycopg.Connection[dict[str, Any]]


def test_a_tool_fans_out_and_another_gathers(conn: Conn, settings: Settings) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    page: dict[str, Any] = {"__name__": "page"}
    exec(compile("from __future__ import annotations\n" + code, str(PAGE), "exec"), page)  # noqa: S102
    submitter = PooledSubmitter(settings)
    try:
        urls = [f"http://example.org/{n}" for n in range(3)]
        made = page["crawl"](ToolContext.for_test(submitter=submitter), urls)
        again = page["crawl"](ToolContext.for_test(submitter=submitter), urls)
        assert again == made  # a second attempt finds the tasks of the first
        rows = conn.execute("SELECT id, type, status::text FROM tasks ORDER BY type, id").fetchall()
        assert [(row["type"], row["status"]) for row in rows] == [
            *[("query", "queued")] * 3,
            ("report", "created"),
        ]
        bad, *good = (row["id"] for row in rows[:3])
        conn.execute("UPDATE tasks SET status = 'failed', error = 'no' WHERE id = %s", [bad])
        conn.execute("UPDATE tasks SET status = 'completed' WHERE id = ANY (%s)", [good])
        status = conn.execute("SELECT status::text AS s FROM tasks WHERE id = %s", [UUID(made)])
        assert status.fetchone() == {"s": "queued"}
        told = page["report"](ToolContext.for_test(task_id=made, submitter=submitter))
        assert told == {"pages": 3, "read": 2, "failed": [f"{bad}: no"]}
    finally:
        submitter.close()


async def test_a_coroutine_asks_in_a_thread() -> None:
    with pytest.raises(RuntimeError, match=r"await asyncio\.to_thread\(ctx\.members"):
        ToolContext.for_test().members()
