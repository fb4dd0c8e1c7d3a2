"""Settings that are each valid and together do harm."""

from __future__ import annotations

import stat
from pathlib import Path

from seedcore.config.files import ConfigFile
from seedcore.config.loading import Loaded, Problem
from seedcore.config.masking import mask_url


def contradictions(loaded: Loaded) -> list[Problem]:
    """Return what to mend although every value by itself is valid."""
    found: list[Problem] = []
    settings = loaded.settings
    renew, grace, lease = (
        settings.dispatcher_renew_s,
        settings.lease_seconds,
        settings.task_lease_s,
    )
    for name, value in (("lease_seconds", grace), ("task_lease_s", lease)):
        if renew * 2 > value:
            found.append(
                Problem(
                    f"leases are renewed every {renew:g} s but lost after {value:g} s ({name}): "
                    "one late renewal and a task runs a second time",
                    settings.origins.get(
                        "dispatcher_renew_s", settings.origins.get(name, "default")
                    ),
                    hint=f"keep dispatcher_renew_s at a third of {name} or less",
                )
            )
    if settings.empty_sleep_seconds > settings.dispatcher_poll_interval_s:
        found.append(
            Problem(
                "empty_sleep_seconds is longer than dispatcher_poll_interval_s",
                settings.origins.get("empty_sleep_seconds", "default"),
                hint="the least pause can't be longer than the longest",
            )
        )
    if settings.password_file:
        found += _password_file(Path(settings.password_file), settings.origins["password_file"])
    for source in loaded.files:
        found += _open_secrets(source)
    return found


def _password_file(path: Path, origin: str) -> list[Problem]:
    try:
        mode = path.expanduser().stat().st_mode
    except OSError as error:
        return [Problem(f"password_file {path}: {error.strerror}", origin)]
    if not mode & (stat.S_IRGRP | stat.S_IROTH) or origin.startswith("systemd:"):
        return []
    return [Problem(f"others can read {path}", origin, hint=f"chmod 600 {path}", fatal=False)]


def _open_secrets(source: ConfigFile) -> list[Problem]:
    """A password in a file that others can read."""
    if not source.path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        return []
    tables = [((), source.data)]
    tables += [(("profiles", name), values) for name, values in source.profiles.items()]
    return [
        Problem(
            "a password stands in a file that others can read",
            f"file:{source.place(table, 'database_url')}",
            hint=f"chmod 600 {source.path}, or use password_file or ~/.pgpass",
            fatal=False,
        )
        for table, values in tables
        if mask_url(str(values.get("database_url", ""))) != str(values.get("database_url", ""))
    ]
