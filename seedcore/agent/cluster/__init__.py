"""Tools on other machines: actors that run them, and the executor that hands attempts to those actors."""

from __future__ import annotations
