"""Where the revisions are, and what can be said of them without loading Alembic."""

from __future__ import annotations

import argparse
import hashlib
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from seedcore.errors import NotFound

if TYPE_CHECKING:
    from alembic.config import Config

_PACKAGE = Path(__file__).resolve().parents[2]
_CREATES = re.compile(
    r"^CREATE (?:OR REPLACE )?(?:UNLOGGED )?(?:TABLE|(?:MATERIALIZED )?VIEW|FUNCTION|PROCEDURE|TYPE)"
    r"\s+(?:IF NOT EXISTS )?(?:(?P<schema>\w+)\.)?(?P<name>\w+)",
    re.MULTILINE | re.IGNORECASE,
)
_FILE = re.compile(r"^(?P<id>\d{3})_(?P<slug>[a-z0-9_]+)\.py$")


@dataclass(frozen=True)
class Revision:
    """One step of the chain.

    Args:
        id: Its number, such as `006`.
        slug: What it does, in words joined by underscores.
        path: Its Python file.
    """

    id: str
    slug: str
    path: Path

    @property
    def description(self) -> str:
        """What it does, in words."""
        return self.slug.replace("_", " ")

    @cached_property
    def irreversible(self) -> bool:
        """Whether it says of itself that it can't be taken back."""
        text = self.path.read_text(encoding="utf-8")
        return re.search(r"^irreversible = True$", text, re.MULTILINE) is not None

    @property
    def files(self) -> list[Path]:
        """The Python file and the SQL files that carry its number."""
        return [self.path, *sorted((self.path.parents[1] / "sql").glob(f"{self.id}_*.sql"))]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the names and contents of its files, in hexadecimal digits."""
        digest = hashlib.sha256()
        for path in self.files:
            content = path.read_bytes()
            digest.update(f"{path.name}\0{len(content)}\0".encode())
            digest.update(content)
        return digest.hexdigest()


class Chain:
    """The revisions of one script directory, from the first to the last.

    Their files are numbered in the order in which they run, so that reading the directory is enough; a
    test holds that against what Alembic reads out of the files.

    Args:
        directory: Folder with `env.py`, `versions/` and `sql/`.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        found = ((_FILE.match(p.name), p) for p in (directory / "versions").iterdir())
        self.revisions = sorted(
            (Revision(m["id"], m["slug"], p) for m, p in found if m), key=lambda r: r.id
        )
        self.ids = [r.id for r in self.revisions]

    @property
    def head(self) -> str:
        """The id of the last revision."""
        return self.ids[-1]

    @cached_property
    def objects(self) -> list[str]:
        """The qualified names of all tables, views, functions and types that the SQL files create.

        Whatever else lives in the database belongs to somebody else, and is nobody's drift.
        """
        found: set[str] = set()
        for path in sorted((self.directory / "sql").glob("*.sql")):
            # Leading blanks are dropped, so that what a DO block creates is found too.
            text = re.sub(r"^[ \t]+", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
            found |= {f"{m['schema'] or 'public'}.{m['name']}" for m in _CREATES.finditer(text)}
        return sorted(found)

    def position(self, revision: str | None) -> int:
        """Return how many revisions are applied at `revision` (None or `base`: none).

        Raises:
            NotFound: The chain has no such revision.
        """
        if revision is None or revision == "base":
            return 0
        try:
            return self.ids.index(revision) + 1
        except ValueError:
            raise NotFound(
                f"there is no revision {revision}",
                code="migrate.unknown_revision",
                hint="list them with 'seedcore migrate history'",
            ) from None


def default_directory() -> Path:
    """Return the script directory of this program: inside the wheel, else beside the checkout."""
    shipped = _PACKAGE / "_migrations"
    return shipped if shipped.is_dir() else _PACKAGE.parent / "alembic"


def chain_of(directory: Path | None) -> Chain:
    """Return the chain of a script directory; None = this program's own."""
    return default_chain() if directory is None else Chain(directory)


def alembic_config(chain: Chain, output: TextIO | None = None) -> Config:
    """Return what Alembic needs to know; `output` receives the SQL that it renders."""
    from alembic.config import Config

    # Quiet: what Alembic has to say is not data, and there is no other way to say that.
    config = Config(output_buffer=output, cmd_opts=argparse.Namespace(quiet=True))
    # Alembic reads the value with interpolation, so a percent sign in the path must be doubled.
    config.set_main_option("script_location", str(chain.directory).replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    return config


@lru_cache(maxsize=1)
def default_chain() -> Chain:
    """Return the chain of this program."""
    return Chain(default_directory())
