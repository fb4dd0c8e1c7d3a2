"""The group `seedcore pkg`; the modules beside this one hang their commands on it."""

from __future__ import annotations

from seedcore_cli.app import group

app = group(
    """Write, test, promote and roll out policy.

    A policy is a folder of files: rules, the subtasks they ask for, and fixtures. A snapshot is one
    version of it, stored in an environment (prod, staging or dev); each environment has at most one
    active snapshot.
    """
)
