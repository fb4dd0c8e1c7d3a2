"""The group `seedcore task`; the modules beside this one hang their commands on it."""

from __future__ import annotations

from seedcore_cli.app import group

app = group(
    """Submit tasks, look at them, wait for them, change them.

    States: created (held, or waiting for another task), queued, running, retry (waiting for its next
    attempt), and the final ones completed, failed, cancelled.
    """
)
