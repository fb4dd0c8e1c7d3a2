"""Everything that can be done with tasks by hand, under one name.

The work is in the modules named below; the queue worker's side is in `seedcore.task.engine`. Every
function takes a psycopg connection in autocommit first and raises errors of `seedcore.errors`.
"""

from __future__ import annotations

from seedcore.task.bulk import submit_lines
from seedcore.task.export import export
from seedcore.task.gather import members_of, submit_after
from seedcore.task.lanes import (
    TURNS_INDEX,
    changes,
    control_of,
    described,
    ensure_turns_index,
    lane_status,
    limit_lane,
    pause_lane,
    resume_lane,
    set_fair,
    unlimit_lane,
)
from seedcore.task.listing import events, ids_of, inspect, list_tasks, resolve
from seedcore.task.operate import add_dependency, cancel, release, requeue_stale, retry
from seedcore.task.reading import read_lines
from seedcore.task.retention import prune
from seedcore.task.stats import stats
from seedcore.task.submission import lint_new, submit
from seedcore.task.waiting import wait, watch

__all__ = [
    "TURNS_INDEX", "add_dependency", "cancel", "changes", "control_of", "described", "ensure_turns_index",
    "events", "export", "ids_of", "inspect", "lane_status", "limit_lane", "lint_new", "list_tasks",
    "members_of", "pause_lane", "prune", "read_lines", "release", "requeue_stale", "resolve", "resume_lane", "retry",
    "set_fair", "stats", "submit", "submit_after", "submit_lines", "unlimit_lane", "wait", "watch",
]  # fmt: skip
