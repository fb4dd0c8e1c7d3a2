"""Find each setting's value: flag, environment, project file, user file, system file, default."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from seedcore.config import files
from seedcore.config.masking import mask_url
from seedcore.config.settings import Settings, fields
from seedcore.config.values import environment_names, from_text, from_toml, nearest
from seedcore.errors import ConfigError

# Read by others: the test suite, the shell completion, the scripts.
_FOREIGN_VARIABLES = frozenset({"SEEDCORE_TEST_DATABASE_URL", "SEEDCORE_PYTHON"})
_PROFILE_ONLY = frozenset({"protected"})


@dataclass(frozen=True)
class Problem:
    """Something wrong with the configuration.

    Args:
        message: What, in one sentence.
        place: `path:line`, `env:NAME` or `flag`.
        hint: The cure.
        fatal: Whether nothing may run with it.
    """

    message: str
    place: str
    hint: str | None = None
    fatal: bool = True


@dataclass
class Loaded:
    """The settings in force and how they came about."""

    settings: Settings
    files: list[files.ConfigFile] = field(default_factory=list)
    profiles: dict[str, tuple[files.ConfigFile, Mapping[str, Any]]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        """What a person should hear about with every command: what a file says in vain."""
        return [
            f"{p.place}: {p.message}" + (f" ({p.hint})" if p.hint else "")
            for p in self.problems
            if not p.fatal and not p.place.startswith("env:")
        ]

    @property
    def protected(self) -> bool:
        """Whether the active profile asks for care (`protected = true`)."""
        found = self.profiles.get(self.settings.profile or "")
        return found is not None and bool(found[1].get("protected"))


def load(
    flags: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Settings:
    """Return the settings in force.

    Args:
        flags: Values given on the command line, by setting name.
        environ: Environment. Default: the process's.
        cwd: Folder where the project file is looked for. Default: the current one.

    Raises:
        ConfigError: A value is invalid; the message names where it came from.
    """
    return read(flags, environ, cwd).settings


def read(
    flags: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    *,
    strict: bool = True,
) -> Loaded:
    """Return the settings in force, with the files, profiles and problems behind them.

    Args:
        flags: As for `load`.
        environ: As for `load`.
        cwd: As for `load`.
        strict: Raise on the first fatal problem; otherwise collect them all and use the default for
            what is broken.

    Raises:
        ConfigError: `strict`, and a value is invalid.
    """
    reader = _Reader(flags or {}, os.environ if environ is None else environ, cwd or _cwd())
    loaded = reader.read()
    if strict:
        for problem in loaded.problems:
            if problem.fatal:
                raise ConfigError(
                    f"{problem.place}: {problem.message}",
                    hint=problem.hint or "seedcore config check",
                )
    return loaded


def home(settings: Settings, environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder of the embedded server, its sockets and keys.

    `SEEDCORE_HOME`; else `/var/lib/seedcore` for root, because the embedded server runs as another
    user who can't reach below `/root`; else `$XDG_DATA_HOME/seedcore`.
    """
    environ = os.environ if environ is None else environ
    if settings.home:
        return Path(settings.home).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/seedcore")
    base = Path(environ.get("XDG_DATA_HOME", ""))
    if not base.is_absolute():
        base = Path(environ.get("HOME") or "~").expanduser() / ".local" / "share"
    return base / "seedcore"


def where(settings: Settings, environ: Mapping[str, str] | None = None) -> str:
    """Return the profile, host and database in force, for a person to check before a deed."""
    environ = os.environ if environ is None else environ
    profile = f"profile {settings.profile}, " if settings.profile else ""
    url = settings.database_url
    if url and "://" in url:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2] or dict(parse_qsl(parts.query)).get("host")
        database = parts.path.lstrip("/") or "(default)"
        return f"{profile}database {database} on {host or 'the local socket'}"
    if url:
        return f"{profile}database {mask_url(url)}"
    for name in ("PGSERVICE", "PGHOST", "PGHOSTADDR"):
        if environ.get(name):
            database = environ.get("PGDATABASE", "(default)")
            return f"{profile}database {database} on {environ[name]} ({name})"
    return f"{profile}the embedded database in {home(settings, environ)}"


def _cwd() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:  # the folder was removed while we stood in it
        return Path("/nonexistent")


class _Reader:
    """One reading of all sources."""

    def __init__(self, flags: Mapping[str, str], environ: Mapping[str, str], cwd: Path) -> None:
        self._flags = flags
        self._environ = environ
        self._cwd = cwd
        self._fields = {f.name: f for f in fields()}
        self._loaded = Loaded(Settings())
        self._values: dict[str, Any] = {}
        self._origins: dict[str, str] = {}

    def read(self) -> Loaded:
        for kind, path in files.candidates(self._environ, self._cwd):
            self._read_file(kind, path)
        for name, value in self._flags.items():
            self._take_text(name, value, "flag")
        for name in self._fields:
            self._take_environment(name)
        self._choose_profile()
        for source in self._loaded.files:
            self._take_file(source)
        self._take_credential()
        self._note_unknown_variables()
        self._loaded.settings = Settings(**self._values, origins=self._origins)
        return self._loaded

    def _read_file(self, kind: str, path: Path) -> None:
        if kind == "project":
            reason = files.distrusted(path)
            if reason is not None:
                self._problem(
                    f"ignored, because {reason}",
                    str(path),
                    hint="it counts when you own it and only you can write it",
                    fatal=False,
                )
                return
        try:
            source = files.read_file(kind, path)
        except ConfigError as error:
            self._problem(error.message, str(path))
            return
        if source is None:
            return
        self._loaded.files.append(source)
        written: Any = source.data.get("profiles", {})
        if not isinstance(written, dict) or len(source.profiles) != len(cast("Any", written)):
            self._problem(
                "profiles is not a table of tables",
                source.place((), "profiles"),
                hint="write [profiles.NAME]",
            )
        for name, values in source.profiles.items():
            self._loaded.profiles.setdefault(name, (source, values))

    def _take_text(self, name: str, text: str, origin: str) -> None:
        if name in self._values:
            return
        try:
            self._keep(name, from_text(self._fields[name], text), origin)
        except ValueError as error:
            self._problem(f"{name}: {error}", origin)

    def _take_environment(self, name: str) -> None:
        for variable in environment_names(self._fields[name]):
            text = self._environ.get(variable)
            if text is not None and text.strip() != "":
                self._take_text(name, text, f"env:{variable}")
                return

    def _choose_profile(self) -> None:
        for source in self._loaded.files:
            name = source.data.get("profile")
            if name is not None and "profile" not in self._values:
                self._take_toml(source, (), "profile", name)
        chosen = self._values.get("profile")
        known = self._loaded.profiles
        if chosen and chosen not in known:
            near = nearest(chosen, list(known))
            names = ", ".join(known) or "none"
            self._problem(
                f"there is no profile {chosen!r}; known: {names}",
                self._origins["profile"],
                hint=f"did you mean {near}?" if near else "seedcore config profiles",
            )

    def _take_file(self, source: files.ConfigFile) -> None:
        chosen = self._values.get("profile")
        for name, values in source.profiles.items():
            for key, value in self._known(source, ("profiles", name), values):
                self._take_toml(source, ("profiles", name), key, value, active=name == chosen)
        top = {k: v for k, v in source.data.items() if k != "profiles"}
        for key, value in self._known(source, (), top):
            if key != "profile":
                self._take_toml(source, (), key, value)

    def _known(
        self, source: files.ConfigFile, table: tuple[str, ...], values: Mapping[str, Any]
    ) -> Iterator[tuple[str, Any]]:
        for key, value in values.items():
            if table and key in _PROFILE_ONLY:
                continue
            setting = self._fields.get(key)
            place = source.place(table, key)
            if setting is None or (table and key == "profile"):
                near = nearest(key, list(self._fields))
                hint = f"did you mean {near}?" if near else "seedcore config show --defaults"
                self._problem(f"there is no setting {key!r}", place, hint=hint, fatal=False)
            elif source.kind == "project" and not setting.metadata["project"]:
                self._problem(
                    f"{key} is ignored: a project file may not set it",
                    place,
                    hint=f"seedcore config set {key} VALUE, or {environment_names(setting)[0]}",
                    fatal=False,
                )
            else:
                yield key, value

    def _take_toml(
        self,
        source: files.ConfigFile,
        table: tuple[str, ...],
        key: str,
        value: Any,
        *,
        active: bool = True,
    ) -> None:
        place = f"file:{source.place(table, key)}"
        try:
            converted = from_toml(self._fields[key], value)
        except ValueError as error:
            # A broken value is reported even where another profile or a stronger source hides it.
            self._problem(f"{key}: {error}", place, fatal=active and key not in self._values)
            return
        if active and key not in self._values:
            self._keep(key, converted, place)

    def _take_credential(self) -> None:
        """systemd's LoadCredential=db_password:... hands the password over as a file."""
        folder = self._environ.get("CREDENTIALS_DIRECTORY")
        if not folder or "password_file" in self._values:
            return
        path = Path(folder, "db_password")
        if path.is_file():
            self._keep("password_file", str(path), "systemd:db_password")

    def _note_unknown_variables(self) -> None:
        known = {n for f in self._fields.values() for n in environment_names(f)}
        for variable in self._environ:
            if not variable.startswith("SEEDCORE_"):
                continue
            if variable in known or variable in _FOREIGN_VARIABLES:
                continue
            near = nearest(variable.lower(), [n.lower() for n in known])
            self._problem(
                "this variable is not a setting",
                f"env:{variable}",
                hint=f"did you mean {near.upper()}?" if near else None,
                fatal=False,
            )

    def _keep(self, name: str, value: Any, origin: str) -> None:
        self._values[name] = value
        self._origins[name] = origin

    def _problem(
        self, message: str, place: str, *, hint: str | None = None, fatal: bool = True
    ) -> None:
        self._loaded.problems.append(Problem(message, place, hint, fatal))
