"""Everything that can be done with tasks by hand, under one name.

The work is in the modules named below; the queue worker's side is in `seedcore.task.engine`. Every
function takes a psycopg connection in autocommit first and raises errors of `seedcore.errors`.
"""

from __future__ import annotations

from seedcore.task.bulk import submit_lines
from seedcore.task.export import export
from seedcore.task.gather import members_of, submit_after
from seedcore.task.lanes import pause_lane, resume_lane
from seedcore.task.listing import events, ids_of, inspect, list_tasks, resolve
from seedcore.task.operate import add_dependency, cancel, release, requeue_stale, retry
from seedcore.task.reading import read_lines
from seedcore.task.retention import prune
from seedcore.task.stats import stats
from seedcore.task.submission import lint_new, submit
from seedcore.task.waiting import wait, watch

__all__ = [
    "add_dependency", "cancel", "events", "export", "ids_of", "inspect", "lint_new", "list_tasks", "members_of",
    "pause_lane", "prune", "read_lines", "release", "requeue_stale", "resolve", "resume_lane", "retry",
    "stats", "submit", "submit_after", "submit_lines", "wait", "watch",
]  # fmt: skip
