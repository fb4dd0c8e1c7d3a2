"""The group `seedcore embed`; the modules beside this one hang their commands on it."""

from __future__ import annotations

from seedcore_cli.app import group

app = group(
    """Give tasks and facts vectors, and search by them.

    A vector stands for what a text says. Which encoder makes it, TEXT_ENCODER decides: an endpoint if
    one is configured, else one that is fitted on the texts that are here, else hashes of words. Every
    vector carries its encoder, and vectors of different encoders are never compared.
    """
)
