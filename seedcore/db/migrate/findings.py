"""What a look at a database finds: what is in the way, and what will be converted."""

from __future__ import annotations

from dataclasses import dataclass, field

from seedcore.errors import Conflict


@dataclass(frozen=True)
class Obstacle:
    """Something that the revisions can't adopt.

    Args:
        object: What: `table tasks`, `column tasks.type`, `view facts`.
        found: How it is, and how it should be.
        cure: What to type, mostly SQL.
    """

    object: str
    found: str
    cure: str

    def __str__(self) -> str:
        """Say it in a sentence."""
        return f"{self.object} {self.found}"


@dataclass(frozen=True)
class Conversion:
    """Something that a revision will change in what is there.

    Args:
        revision: Which.
        object: What: a table, or one column of it.
        action: What becomes of it.
        rows: How many rows.
        drops: Whether rows go.
        rewrites: Whether the whole table is written anew, and locked meanwhile.
    """

    revision: str
    object: str
    action: str
    rows: int
    drops: bool = False
    rewrites: bool = False

    def __str__(self) -> str:
        """Say it in a line."""
        return f"{self.object}: {self.rows} rows: {self.action}"


@dataclass(frozen=True)
class Survey:
    """What was found.

    Args:
        obstacles: What has to be cured first.
        conversions: What will be changed.
    """

    obstacles: list[Obstacle] = field(default_factory=list[Obstacle])
    conversions: list[Conversion] = field(default_factory=list[Conversion])

    def refuse(self) -> None:
        """Stop unless everything can be adopted.

        Raises:
            Conflict: Something is in the way.
        """
        if not self.obstacles:
            return
        first, *others = self.obstacles
        more = f" (and {len(others)} more: 'seedcore migrate plan' lists them)" if others else ""
        raise Conflict(
            f"{first}{more}",
            code="migrate.object_in_the_way",
            hint=first.cure,
            details={
                "obstacles": [
                    {"object": o.object, "found": o.found, "cure": o.cure} for o in self.obstacles
                ]
            },
        )
