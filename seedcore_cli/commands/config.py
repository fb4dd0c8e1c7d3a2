"""`seedcore config`: what is set, where it came from, what is wrong with it, and how to change it."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from seedcore_cli.app import group
from seedcore_cli.options import Cli, DryRun, common
from seedcore_cli.output import Column

app = group("Show, check and change settings and profiles.")

_KEY = Column("key", id=True)
SHOW = (_KEY, Column("value"))
SHOW_ORIGIN = (*SHOW, Column("origin"), Column("meaning", wide=True))
CHECK = (
    Column("severity", colors={"error": "red", "warning": "yellow"}),
    Column("place"),
    Column("problem"),
    Column("hint"),
)
PROFILES = (
    Column("name", id=True),
    Column("database"),
    Column("protected"),
    Column("active"),
    Column("file"),
)
CHANGE = (_KEY, Column("before"), Column("after"), Column("where"))


@app.command("show")
@common
def show(
    cli: Cli,
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="KEY", help="Only these settings.")
    ] = None,
    *,
    origin: Annotated[
        bool,
        typer.Option(
            "--origin", help="Where each comes from: flag, env:NAME, file:PATH:LINE, default."
        ),
    ] = False,
    defaults: Annotated[
        bool, typer.Option("--defaults", help="Also settings that nobody changed.")
    ] = False,
    database: Annotated[
        bool, typer.Option("--database", help="The settings kept in the database instead.")
    ] = False,
) -> None:
    """List the settings in force.

    A flag beats an environment variable, that the project file (./seedcore.toml), that the user's
    file, that /etc/seedcore/config.toml, that the default. Passwords are masked.

    Example: seedcore config show --defaults --origin

    Exit codes: 4 there is no such setting.
    """
    columns = SHOW_ORIGIN if origin or cli.format == "wide" else SHOW
    if database:
        from seedcore.db.settings import read_settings

        with cli.connect() as conn:
            rows = [r for r in read_settings(conn) if not keys or r["key"] in keys]
    else:
        from seedcore.config import describe

        rows = describe(cli.settings, keys or [], defaults=defaults)
        if not keys and cli.settings.database_url is None:
            rows += _libpq()
    cli.printer.many(rows, columns)


def _libpq() -> list[dict[str, Any]]:
    """The variables of libpq that are in force, because no URL is set."""
    names = ("PGSERVICE", "PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD")
    return [
        {
            "key": name,
            "value": "***" if name == "PGPASSWORD" else os.environ[name],
            "origin": f"env:{name}",
            "meaning": "read by libpq",
        }
        for name in names
        if os.environ.get(name)
    ]


@app.command("check")
@common
def check(cli: Cli) -> None:
    """Look for invalid values, misspelt names and settings that contradict each other.

    Prints one row per problem, with the file and line, and nothing when all is well.

    Example: seedcore config check -o json

    Exit codes: 78 something is invalid; warnings alone exit with 0.
    """
    from seedcore.config import contradictions, read

    loaded = read(cli.flags, strict=False)
    problems = [*loaded.problems, *contradictions(loaded)]
    cli.printer.many(
        [
            {
                "severity": "error" if p.fatal else "warning",
                "place": p.place,
                "problem": p.message,
                "hint": p.hint,
            }
            for p in problems
        ],
        CHECK,
    )
    if any(p.fatal for p in problems):
        raise typer.Exit(78)
    cli.note("the configuration is valid" + (", with warnings" if problems else ""))


@app.command("profiles")
@common
def profiles(cli: Cli) -> None:
    """List the profiles of the configuration files and which one is active.

    Example: seedcore config profiles
    """
    from seedcore.config import mask_url, read

    loaded = read(cli.flags, strict=False)
    rows = [
        {
            "name": name,
            "database": mask_url(str(values.get("database_url") or "")) or None,
            "protected": bool(values.get("protected")),
            "active": name == loaded.settings.profile,
            "file": str(source.path),
        }
        for name, (source, values) in loaded.profiles.items()
    ]
    cli.printer.many(rows, PROFILES)
    if not rows:
        cli.hint("seedcore config set database_url postgresql://USER@HOST/DATABASE --profile NAME")


@app.command("use")
@common
def use(
    cli: Cli,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The profile; see 'config profiles'.")
    ] = None,
    *,
    none: Annotated[bool, typer.Option("--none", help="No profile.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Make a profile the one that commands use, in the user's configuration file.

    Example: seedcore config use --none

    Exit codes: 4 there is no such profile.
    """
    from seedcore.config import read
    from seedcore.errors import NotFound, UsageError

    if (name is None) is not none:
        raise UsageError("give either a profile's name or --none")
    loaded = read({"profile": name} if name else {}, strict=False)
    if name is not None and name not in loaded.profiles:
        known = ", ".join(loaded.profiles) or "none"
        raise NotFound(
            f"there is no profile {name!r}; known: {known}",
            code="config.unknown_profile",
            hint="seedcore config profiles",
        )
    _write(cli, (), "profile", name, dry_run=dry_run)
    if os.environ.get("SEEDCORE_PROFILE"):
        cli.note("warning: SEEDCORE_PROFILE is set and wins over the file")


@app.command("set")
@common
def set_(
    cli: Cli,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The setting.")],
    value: Annotated[
        str | None, typer.Argument(metavar="VALUE", help="Its value, as in the environment.")
    ] = None,
    *,
    unset: Annotated[bool, typer.Option("--unset", help="Remove it from the file.")] = False,
    database: Annotated[
        bool,
        typer.Option("--database", help="A setting kept in the database, for all its clients."),
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Change a setting in the user's configuration file.

    With --profile NAME it is changed for that profile, which is made when it does not exist;
    otherwise for all. With --database the setting lives in the database (see 'config show
    --database') and holds for all its clients at once. Comments in the file are kept.

    Examples:
      seedcore config set dispatcher_concurrency 32
      seedcore config set database_url postgresql://seedcore@db1/seedcore --profile prod
      seedcore config set dispatcher_concurrency --unset

    Exit codes: 4 there is no such setting; 78 the value is invalid or the file can't be written.
    """
    from seedcore.errors import UsageError

    if (value is None) is not unset:
        raise UsageError("give either a value or --unset")
    if database:
        _write_database(cli, key, value, dry_run=dry_run)
        return
    from seedcore.config import convert

    name, typed = convert(key, value)
    profile = cli.options.profile
    if profile is not None and name == "profile":
        raise UsageError("a profile can't choose a profile")
    _write(cli, ("profiles", profile) if profile else (), name, typed, dry_run=dry_run)


@app.command("schema")
@common
def schema(cli: Cli) -> None:
    """Print a JSON Schema of the configuration file, for editors that complete and check it.

    Example: seedcore config schema
    """
    from seedcore.config import schema as build
    from seedcore_cli.encode import to_json

    cli.printer.text(to_json(build(), indent=True))


def _write(
    cli: Cli,
    table: tuple[str, ...],
    key: str,
    value: str | int | float | bool | None,
    *,
    dry_run: bool,
) -> None:
    from seedcore.config import mask_secret, user_file
    from seedcore.config.edit import set_key

    path = user_file(os.environ)
    before = set_key(path, table, key, value, dry_run=dry_run)
    row: dict[str, Any] = {
        "key": ".".join((*table, key)),
        "before": mask_secret(key, before),
        "after": mask_secret(key, value),
        "where": str(path),
        "changed": before != value,
    }
    cli.printer.one(row | ({"dry_run": True} if dry_run else {}), CHANGE)
    if before == value:
        cli.note("unchanged")


def _write_database(cli: Cli, key: str, value: str | None, *, dry_run: bool) -> None:
    from seedcore.db.settings import write_setting

    with cli.connect() as conn:
        before = write_setting(conn, key, value, actor=cli.actor, dry_run=dry_run)
    row: dict[str, Any] = {
        "key": key,
        "before": before,
        "after": value,
        "where": "seedcore_settings",
        "changed": before != value,
    }
    cli.printer.one(row | ({"dry_run": True} if dry_run else {}), CHANGE)
