"""The systemd unit of a daemon: a template, with the lines that this configuration needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seedcore.config.settings import Settings
from seedcore.errors import UsageError

_STOP_MARGIN_S = 15
"""After the drain deadline: writing outcomes, giving tasks back, closing."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the unit is for.

    Attributes:
        program: Full path of the `seedcore` program.
        startup_timeout_s: How long the daemon waits for its database.
        for_user: A unit of the user's own systemd, without an account of its own.
        env_file: File with more environment variables.
    """

    program: Path
    startup_timeout_s: float = 30.0
    for_user: bool = False
    env_file: Path | None = None


def queue_unit(settings: Settings, request: Request) -> str:
    """Return the text of `seedcore-queue@.service`; the instance's name is the worker's number.

    Raises:
        UsageError: A path can't be written into a unit.
    """
    stop_s = int(settings.dispatcher_drain_s) + _STOP_MARGIN_S
    lines = [
        "# seedcore-queue@.service: seedcore-queue@1, seedcore-queue@2, … are workers of one queue.",
        "[Unit]",
        "Description=SeedCore queue worker %i",
        "After=network-online.target postgresql.service",
        "Wants=network-online.target",
        "StartLimitIntervalSec=300",
        "StartLimitBurst=10",
        "",
        "[Service]",
        "Type=notify",
        "NotifyAccess=main",
        f"ExecStart={_word(request.program)} worker queue --index %i --log-format json",
        *_environment(settings, request),
        "WatchdogSec=30",
        f"TimeoutStartSec={int(request.startup_timeout_s) + 30}",
        f"TimeoutStopSec={stop_s}",
        "KillMode=mixed",
        *_restarts(),
        *_limits(settings, request),
        "",
        "[Install]",
        _wanted_by(request),
    ]
    return "\n".join(lines) + "\n"


def graph_unit(settings: Settings, request: Request) -> str:
    """Return the text of `seedcore-graph@.service`: that of the queue worker, for the graph lane.

    Raises:
        UsageError: A path can't be written into a unit.
    """
    text = queue_unit(settings, request)
    for one, other in (
        ("seedcore-queue@", "seedcore-graph@"),
        ("workers of one queue", "workers of the graph lane"),
        ("SeedCore queue worker", "SeedCore graph worker"),
        (" worker queue --index", " worker graph --index"),
    ):
        text = text.replace(one, other)
    return text


def reaper_unit(settings: Settings, request: Request) -> str:
    """Return the text of `seedcore-registry-reaper.service`; one on each of two hosts is enough.

    Raises:
        UsageError: A path can't be written into a unit.
    """
    lines = [
        "# seedcore-registry-reaper.service: one leads, others stand by.",
        "[Unit]",
        "Description=SeedCore registry reaper",
        "After=network-online.target postgresql.service",
        "Wants=network-online.target",
        "StartLimitIntervalSec=300",
        "StartLimitBurst=10",
        "",
        "[Service]",
        "Type=notify",
        "NotifyAccess=main",
        f"ExecStart={_word(request.program)} worker registry-reaper --log-format json",
        *_environment(settings, request),
        f"WatchdogSec={max(60, int(3 * settings.maintenance_interval_s))}",
        f"TimeoutStartSec={int(request.startup_timeout_s) + 30}",
        f"TimeoutStopSec={_STOP_MARGIN_S}",
        *_restarts(),
        *_limits(settings, request),
        "",
        "[Install]",
        _wanted_by(request),
    ]
    return "\n".join(lines) + "\n"


def _restarts() -> list[str]:
    return [
        "Restart=always",
        "RestartSec=2",
        "# Wrong usage and wrong configuration don't get better by trying again.",
        "RestartPreventExitStatus=2 78",
    ]


def _wanted_by(request: Request) -> str:
    return f"WantedBy={'default.target' if request.for_user else 'multi-user.target'}"


def _environment(settings: Settings, request: Request) -> list[str]:
    lines: list[str] = []
    if settings.profile:
        lines.append(f"Environment={_word(f'SEEDCORE_PROFILE={settings.profile}')}")
    if settings.home:
        lines.append(f"Environment={_word(f'SEEDCORE_HOME={settings.home}')}")
    if request.env_file is not None:
        lines.append(f"EnvironmentFile={_path(request.env_file)}")
    if settings.password_file:
        lines.append(f"LoadCredential=db_password:{_path(Path(settings.password_file).absolute())}")
    return lines


def _limits(settings: Settings, request: Request) -> list[str]:
    lines = ["NoNewPrivileges=yes"]
    if not request.for_user:
        lines += ["User=seedcore", "StateDirectory=seedcore", "ProtectSystem=strict"]
        lines += [] if _is_in_home(request.program) else ["ProtectHome=yes"]
        lines += ["PrivateTmp=yes"]
        if settings.home:
            lines.append(f"ReadWritePaths={_path(Path(settings.home))}")
    if settings.dispatcher_memory_soft_limit_mb:
        # Above the soft limit the worker only stops claiming; this is the wall behind it.
        lines.append(f"MemoryMax={settings.dispatcher_memory_soft_limit_mb * 2}M")
    return lines


def _is_in_home(program: Path) -> bool:
    return program.is_relative_to("/home") or program.is_relative_to("/root")


def _word(value: object) -> str:
    """Quote one word of a unit file; % is doubled, as it starts a specifier."""
    text = str(value)
    if any(ord(character) < 32 for character in text):
        raise UsageError(f"{text!r} can't be written into a unit file")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if any(c in text for c in " '\"\\;#") else escaped


def _path(path: Path) -> str:
    """Write a path where systemd takes the rest of the line and knows no quotes."""
    text = str(path)
    if any(ord(character) < 32 for character in text):
        raise UsageError(f"{text!r} can't be written into a unit file")
    return text.replace("%", "%%")
