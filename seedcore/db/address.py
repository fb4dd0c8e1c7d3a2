"""Where a connection goes, in the forms that other programs want it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from psycopg.conninfo import conninfo_to_dict, make_conninfo

# What libpq would read itself; a URL for another program has to say it.
_VARIABLES = {
    "PGHOST": "host",
    "PGHOSTADDR": "hostaddr",
    "PGPORT": "port",
    "PGDATABASE": "dbname",
    "PGUSER": "user",
    "PGPASSWORD": "password",
    "PGSERVICE": "service",
    "PGSSLMODE": "sslmode",
}


def parts(text: str, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the parameters of a connection string over those of libpq's variables."""
    environ = os.environ if environ is None else environ
    known = {
        name: environ[variable] for variable, name in _VARIABLES.items() if environ.get(variable)
    }
    return known | {name: value for name, value in conninfo_to_dict(text).items() if value}


def as_url(text: str, *, driver: str = "psycopg", environ: Mapping[str, str] | None = None) -> str:
    """Return a connection string of any form as a URL.

    Args:
        text: The connection string; empty = only libpq's variables.
        driver: `psycopg` for libpq and its friends, `sqlalchemy` for `postgresql+psycopg://`.
        environ: The environment. Default: this process's.
    """
    found = parts(text, environ)
    user, password = found.pop("user", None), found.pop("password", None)
    login = quote(str(user), safe="") if user else ""
    if password:
        login += ":" + quote(str(password), safe="")
    host, port = str(found.pop("host", "")), found.pop("port", None)
    place = ""
    if host.startswith(("/", "@")) or "," in host or ":" in host:
        # A folder of sockets, several hosts, an IPv6 address: a parameter takes them all.
        found["host"] = host
        if port:
            found["port"] = port
    else:
        place = host + (f":{port}" if port else "")
    database = quote(str(found.pop("dbname", "")), safe="")
    scheme = "postgresql+psycopg" if driver == "sqlalchemy" else "postgresql"
    query = f"?{urlencode(found, quote_via=quote)}" if found else ""
    return f"{scheme}://{login}{'@' if login else ''}{place}/{database}{query}"


def for_program(text: str, *, options: str = "", name: str = "") -> tuple[str, dict[str, str]]:
    """Return a connection for a program of PostgreSQL: an argument and environment variables.

    Every user of the machine can see arguments, so the password goes into the environment.

    Args:
        text: The connection string.
        options: Server options to add, such as `-c default_transaction_read_only=on`.
        name: How the session is named.
    """
    found: dict[str, Any] = {k: v for k, v in conninfo_to_dict(text).items() if v is not None}
    environment = dict(os.environ)
    if found.get("password"):
        environment["PGPASSWORD"] = str(found.pop("password"))
    if options:
        given = found.get("options") or environment.get("PGOPTIONS") or ""
        found["options"] = f"{given} {options}".strip()
    if name:
        found["application_name"] = name
    found.setdefault("connect_timeout", environment.get("PGCONNECT_TIMEOUT", "5"))
    return make_conninfo(**found), environment
