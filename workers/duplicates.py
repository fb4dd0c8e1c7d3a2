"""Equal tasks of one claimed batch: the seeds' rule, off unless DISPATCHER_CANCEL_DUPLICATES is set."""

from __future__ import annotations

import json
from collections.abc import Iterable

from seedcore.task.exchange import ClaimedTask


def groups(claimed: Iterable[ClaimedTask]) -> list[tuple[ClaimedTask, list[ClaimedTask]]]:
    """Return each task that has equals, the oldest, with the others.

    Equal are type, domain, description and params without `_router`. A task with an idempotency
    key said what "once" means for it, and equals nobody.
    """
    by_content: dict[str, list[ClaimedTask]] = {}
    for task in claimed:
        if task.idempotency_key is None:
            by_content.setdefault(_content(task), []).append(task)
    found: list[tuple[ClaimedTask, list[ClaimedTask]]] = []
    for equal in by_content.values():
        if len(equal) > 1:
            equal.sort(key=lambda task: (task.due_at, task.id))
            found.append((equal[0], equal[1:]))
    return found


def _content(task: ClaimedTask) -> str:
    params = task.params_json
    if "_router" in params:
        try:
            document = json.loads(params)
            document.pop("_router", None)
            params = json.dumps(document, sort_keys=True)
        except (ValueError, RecursionError, AttributeError):
            # Unreadable params fail when the task runs; until then they equal only themselves.
            params = f"{task.id}{params}"
    # Without a router the server's text is canonical: jsonb has one way to write a document.
    return json.dumps([task.type, task.domain, task.description, params])
