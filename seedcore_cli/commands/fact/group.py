"""The group `seedcore fact`; the modules beside this one hang their commands on it."""

from __future__ import annotations

from seedcore_cli.app import group

app = group(
    """Keep facts: what holds, what held, what is said of it.

    A fact is a statement in words, and may be a triple: subject, predicate, object. It holds from
    valid_from on and no more at valid_to. Of a subject and predicate in a namespace one fact at a time
    holds.
    """
)
