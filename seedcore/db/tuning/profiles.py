"""What may be there or not: indexes of `tasks` that no rule of the queue rests on, and which profile has which.

Every change of a task's status writes to each of its indexes, because the status is indexed itself. What each
of these costs and gives is measured by `benchmarks/tune.py` and told in `docs/production/tuning.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, LiteralString

TABLE: Final = "tasks"
DEFAULT: Final = "default"
SETTING: Final = "tuning_profile"
"""Row of `seedcore_settings` that names the profile; none = the default."""


@dataclass(frozen=True)
class OptionalIndex:
    """An index of `tasks` that a profile may do without.

    Args:
        name: Its name.
        definition: What follows USING, in the server's own words, so that the two can be compared.
        comment: What it is for.
        gives: What is quick with it.
        costs: What it takes.
    """

    name: str
    definition: LiteralString
    comment: str
    gives: str
    costs: str


INDEXES: Final = (
    OptionalIndex(
        "ix_tasks_params_gin",
        "gin (params jsonb_path_ops)",
        "tasks by what their params contain",
        "'task list --filter k=v' without reading every task",
        "the dearest of all: each key of params at every submit, claim and completion",
    ),
    OptionalIndex(
        "ix_tasks_type",
        "btree (type)",
        "tasks of a rare type",
        "'task list --type' of a rare type",
        "an entry at every submit, claim and completion",
    ),
    OptionalIndex(
        "ix_tasks_domain",
        "btree (domain) WHERE (domain IS NOT NULL)",
        "tasks of a domain",
        "'task list --domain'",
        "an entry at every submit, claim and completion of tasks with a domain",
    ),
    OptionalIndex(
        "idx_tasks_multimodal_fast",
        "gin (((params -> 'multimodal'::text)) jsonb_path_ops) WHERE (params ? 'multimodal'::text)",
        "tasks by what their multimodal envelope contains",
        "tasks by what their multimodal envelope contains",
        "a look into params at every write, an entry for tasks with media",
    ),
    OptionalIndex(
        "ix_tasks_type_created",
        "btree (type, created_at DESC)",
        "the newest tasks of a type",
        "'task list --type', newest first, of a common type",
        "an entry at every submit, claim and completion",
    ),
    OptionalIndex(
        "ix_tasks_domain_created",
        "btree (domain, created_at DESC) WHERE (domain IS NOT NULL)",
        "the newest tasks of a domain",
        "'task list --domain', newest first",
        "an entry at every submit, claim and completion of tasks with a domain",
    ),
    OptionalIndex(
        "ix_tasks_failed",
        "btree (finished_at DESC) WHERE (status = 'failed'::taskstatus)",
        "the tasks that failed last",
        "'task list --status failed --sort finished_at:desc'",
        "an entry for each task that fails",
    ),
)
OPTIONAL: Final = {index.name: index for index in INDEXES}

_PLAIN = (
    "ix_tasks_params_gin",
    "ix_tasks_type",
    "ix_tasks_domain",
    "idx_tasks_multimodal_fast",
)
_STORAGE: Final = {
    "fillfactor": "80",
    "vacuum_truncate": "off",
    "autovacuum_vacuum_scale_factor": "0.01",
    "autovacuum_vacuum_threshold": "1000",
    "autovacuum_vacuum_insert_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.02",
    "autovacuum_vacuum_cost_delay": "0",
}
"""What the revisions set; some of it is changed by profiles, none of it dropped."""


@dataclass(frozen=True)
class Profile:
    """A named choice.

    Args:
        name: Its name.
        summary: What it is for.
        indexes: Optional indexes that it has.
        storage: Storage parameters of `tasks`.
        storage_trade: What those give and take; empty for the default's.
    """

    name: str
    summary: str
    indexes: tuple[str, ...]
    storage: dict[str, str]
    storage_trade: str = ""


PROFILES: Final = {
    profile.name: profile
    for profile in (
        Profile(DEFAULT, "as the revisions make it", _PLAIN, _STORAGE),
        Profile(
            "throughput",
            "the most tasks per second: lists by type, domain and params read every task",
            (),
            _STORAGE,
        ),
        Profile(
            "search",
            "lists by type, domain and failure at once, also of common ones; the queue is slower",
            (*_PLAIN, "ix_tasks_type_created", "ix_tasks_domain_created", "ix_tasks_failed"),
            _STORAGE,
        ),
    )
}
