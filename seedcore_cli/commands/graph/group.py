"""The group `seedcore graph`; the modules beside this one hang their commands on it."""

from __future__ import annotations

from seedcore_cli.app import group

app = group(
    """See and change the graph of what the cluster knows.

    A node stands for an entity: a task, an agent, an organ, an artifact, a fact. It is named by its
    number, or by kind:id, such as agent:writer or task:0197f3a2. Edges say what entities have to do
    with each other; their types are named kind__verb__kind, or by the verb alone.
    """
)
