"""Vectors of what the cluster knows: what makes them, where they are kept, how they are asked.

A text encoder turns texts into vectors (`seedcore.embed.model.TextEncoder`); each stored vector carries
the encoder that made it, and vectors of different encoders are never compared. Importing this package
is cheap: numpy is loaded by its modules.
"""

from __future__ import annotations
