"""What the cluster remembers, and how it is asked: tasks, facts and the graph, by words, meaning and edges."""

from __future__ import annotations
