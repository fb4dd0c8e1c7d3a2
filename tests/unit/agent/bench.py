"""An executor on a bench: tasks to hand it, and what came of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seedcore.agent import Tool, ToolRegistry, load
from seedcore.agent.envelope import Record
from seedcore.agent.executor import Executor, Outcome
from seedcore.config.settings import Settings

TASK_ID = "01930000-0000-7000-8000-000000000001"


@dataclass
class Claimed:
    params: Mapping[str, Any]
    type: str = "action"
    id: str = TASK_ID
    attempts: int = 1
    result: object = None
    snapshot_id: int | None = None


@dataclass
class Bench:
    """An executor on the built-in tools and those of the test."""

    settings: Settings = field(default_factory=lambda: Settings(tool_threads=2))
    progress: list[Sequence[Record]] = field(default_factory=list)
    holds: bool = True

    def __post_init__(self) -> None:
        self.executor = Executor(ToolRegistry(), self.settings)

    def use(self, *tools: Tool[..., Any]) -> Bench:
        registry = load(Settings())
        for each in tools:
            registry.add(each)
        self.executor.close()
        self.executor = Executor(registry, self.settings)
        return self

    async def store(self, records: Sequence[Record]) -> bool:
        self.progress.append(json.loads(json.dumps(records)))
        return self.holds

    async def run(self, *calls: tuple[str, dict[str, Any]], **options: Any) -> Outcome:
        task = Claimed(
            {"tool_calls": [{"name": n, "args": a} for n, a in calls]},
            attempts=options.pop("attempts", 1),
            result=options.pop("result", None),
        )
        options.setdefault("on_progress", self.store)
        return await self.executor.run(task, **options)


def records(outcome: Outcome) -> list[dict[str, Any]]:
    return outcome.envelope["payload"]["tool_results"]
