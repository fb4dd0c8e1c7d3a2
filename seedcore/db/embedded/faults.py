"""What the operating system refuses while the embedded server's files are used, as errors of ours."""

from __future__ import annotations

import errno
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from seedcore.db.embedded.layout import Layout
from seedcore.errors import ConfigError, SeedcoreError, Unavailable

_PASSING: Final = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
_LASTING: Final = {errno.ENOTDIR, errno.EROFS, errno.ELOOP, errno.ENAMETOOLONG, errno.EISDIR}
_ELSEWHERE: Final = (
    "set SEEDCORE_HOME to a folder of your own, or SEEDCORE_DATABASE_URL to a server"
)


@contextmanager
def explained(layout: Layout) -> Generator[None]:
    """Raise errors of ours in place of the system's.

    Args:
        layout: The files in question.

    Raises:
        Unavailable: The disk is full, or something else that may pass.
        ConfigError: The folder can't be used: a file in its place, read-only, of another user.
    """
    try:
        yield
    except PermissionError as error:
        raise ConfigError(
            f"the embedded server in {layout.root} belongs to another user ({error.strerror}: "
            f"{error.filename})",
            code="db.home_of_another_user",
            hint=_ELSEWHERE,
        ) from error
    except OSError as error:
        if error.errno not in _PASSING | _LASTING:
            raise  # not about a disk; or a missing file, and the caller knows what that means
        raise _unusable(layout, error) from error


def _unusable(layout: Layout, error: OSError) -> SeedcoreError:
    # A write to an open file fails without its name.
    what = f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)
    said = f"the embedded server in {layout.root} can't be used ({what})"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable(said, code="db.disk_full", hint="free space on that disk, then retry")
    if error.errno in _PASSING:
        return Unavailable(said, code="db.io_error", hint="see the system's log, then retry")
    return ConfigError(said, code="db.home_unusable", hint=_ELSEWHERE)
