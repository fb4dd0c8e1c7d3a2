"""The group `seedcore registry`; the modules beside this one hang their commands on it."""

from __future__ import annotations

from seedcore_cli.app import group

app = group(
    """See which instances of the cluster are alive, and begin new epochs.

    An instance is one start of a process or actor: starting, alive, draining, dead. It bears a
    logical id, the name that callers look for, and belongs to an epoch, an incarnation of the cluster.
    """
)
