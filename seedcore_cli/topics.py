"""The texts of `seedcore help TOPIC`; two of them are also pages of the reference."""

from __future__ import annotations

from collections.abc import Callable

from seedcore_cli.exit_codes import EXIT_CODES

OUTPUT = """\
Standard output carries only the data that was asked for. Progress, prompts, notes and errors go to
standard error. -q silences everything there but errors and the prompts that need an answer.

-o, --output (or SEEDCORE_OUTPUT, or the setting `output`) chooses the form:

  table   for people; the default on a terminal
  wide    a table with all columns
  tsv     the default when standard output is not a terminal: a header line, tab-separated, nothing
          cut; tab, newline and backslash inside a value are written \\t, \\n and \\\\
  json    one document: an object for one thing, an array for a list ([] when it is empty)
  jsonl   one object per line, written through at once
  yaml    like json
  name    only ids (or names), one per line, for xargs

--columns id,status chooses columns in every form; --no-header drops the header of table and tsv.
In json, jsonl and yaml an object has all its fields unless --columns says otherwise.

Fields are snake_case. Times are ISO-8601 in UTC with Z, durations seconds in fields that end in _s,
ids are whole. Fields are added over time and never renamed.

An error is two lines on standard error, `error: ...` and sometimes `hint: ...`. With json, jsonl or
yaml it is one JSON object instead, and notes are left out:

  {"error": {"code": "task.not_found", "message": "...", "hint": "...", "details": {},
   "exit_code": 4}}

Nothing has been written to standard output when an error is found before the first row. Exit codes
are the same in every form; see `seedcore help exit-codes`. When the reader of a pipe goes away
(`| head`), the command ends silently.

Colours are for terminals only; NO_COLOR, TERM=dumb, --color never and a pipe switch them off. Control
characters in data are shown as \\x1b and the like in table and tsv, so data can't drive a terminal.
"""

SELECTORS = """\
Ids of tasks may be shortened to any unique beginning of at least six characters. Ids begin with the
time, so tasks of the same minute share their first eight characters or so; an ambiguous beginning is
refused (exit 2) with the candidates.

Commands that act on many tasks take the same conditions as `seedcore task list`. Different
conditions must all hold; one that is given twice holds when either does:

  --status failed --status cancelled    state: created queued running completed failed cancelled retry
  --type robot.move                     type, exactly
  --domain lab                          domain, exactly
  --owner NAME                          owner of the lease, or the worker's name
  --since 2h    --until 15m             created from, and before: an age (90s 15m 2h 3d 1w) or a time
  --stale                               running, with a lease that is past
  --due                                 could be claimed now
  --filter risk.level=high              a value in params, by its dotted path
  --search TEXT                         part of the description, case ignored

Times are ISO-8601 (2031-05-17T09:30:00Z, 2031-05-17); without an offset they are UTC. Durations are
seconds (1.5) or have units: 250ms 90s 5m 2h 3d 1w, also 1h30m.

  seedcore task list --status failed --since 1h -o name | xargs -r seedcore task retry --reason "fixed"
"""

SYSTEMD = """\
`seedcore worker unit queue` prints a template unit. Install it and start two workers:

  seedcore worker unit queue > /etc/systemd/system/seedcore-queue@.service
  systemctl daemon-reload && systemctl enable --now seedcore-queue@1 seedcore-queue@2

The password can come from systemd, readable by nobody else:

  LoadCredential=db_password:/etc/seedcore/db_password

becomes $CREDENTIALS_DIRECTORY/db_password, which is used when the database URL has no password.

Daemons log JSON lines to the journal, report READY, STOPPING and WATCHDOG, and drain on SIGTERM. Exit
codes 2 (usage) and 78 (configuration) should not be restarted: RestartPreventExitStatus=2 78.

Commands for cron or a timer take --once; treat 9 (another one is at it) and 69 (database away for
now) as soft.
"""


def _exit_codes() -> str:
    width = max(len(code.name) for code in EXIT_CODES)
    lines = [
        f"{code.code:>4}  {code.name:<{width}}  {code.meaning}"
        + (f" ({code.typical})" if code.typical else "")
        for code in EXIT_CODES
    ]
    return (
        "They do not depend on the output format or on -q.\n\n"
        + "\n".join(lines)
        + "\n\n3 never means that something is broken: the question was answered. In cron treat 9 and "
        "69 as soft.\n"
    )


def _environment() -> str:
    from seedcore.config.settings import fields
    from seedcore.config.values import environment_names

    lines = [
        "Every setting can be given as a variable. SEEDCORE_ before a plain name is accepted too and",
        "wins. An empty variable counts as not set. A flag always beats a variable.",
        "",
    ]
    for field in fields():
        names = environment_names(field)
        plain = [n for n in names if n.removeprefix("SEEDCORE_") == field.name.upper()]
        shown = plain[-1] if not field.metadata["names"] and plain else ", ".join(names)
        lines.append(f"  {shown}")
        default = "" if field.default in (None, "") else f" (default {_written(field.default)})"
        lines.append(f"      {field.metadata['meaning']}{default}")
    lines += [
        "",
        "libpq's own variables (PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSFILE, PGSERVICE, PGSSLMODE,",
        "...) fill in what a database URL leaves open; PGHOST, PGHOSTADDR or PGSERVICE alone switch the",
        "embedded server off. NO_COLOR and TERM=dumb switch colours off. XDG_CONFIG_HOME and",
        "XDG_DATA_HOME move the configuration and the data.",
    ]
    return "\n".join(lines) + "\n"


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return f"{value:g}" if isinstance(value, float) else str(value)


CONFIG = """\
A value comes from the first of these that has it:

  1. a flag: --database-url, --profile, --actor
  2. an environment variable; see `seedcore help environment`
  3. ./seedcore.toml, the project's file
  4. $XDG_CONFIG_HOME/seedcore/config.toml (~/.config/seedcore/config.toml), the user's file
  5. /etc/seedcore/config.toml, the system's file
  6. the default

`seedcore config show --origin` says which one it was, with file and line. `seedcore config check`
finds invalid values, misspelt names and contradictions.

A file has settings at its top, for all profiles, and tables of settings for each profile:

  profile = "lab"                      # the active one; --profile and SEEDCORE_PROFILE win
  dispatcher_concurrency = 32
  task_lease_s = "10m"

  [profiles.lab]
  database_url = "postgresql://seedcore@db1/seedcore"
  password_file = "/home/ada/.config/seedcore/lab.password"

  [profiles.prod]
  database_url = "postgresql://seedcore@db9/seedcore"
  protected = true                     # ask before migrations and the like

Inside one file a profile's value wins over the top's.

The project's file counts only when you own it and nobody else can write it, and it never sets what
loads code, opens the network, reads other files or moves the data: plugins, plugins_strict,
tool_http_allow, password_file, home.

Passwords: password_file, ~/.pgpass, PGPASSFILE, or systemd's LoadCredential (see `seedcore help
systemd`). They are masked wherever settings are shown.

With no database URL and no PGHOST, PGHOSTADDR or PGSERVICE, SeedCore runs its own PostgreSQL in
SEEDCORE_HOME (root: /var/lib/seedcore, others: ~/.local/share/seedcore).
"""

TOPICS: dict[str, tuple[str, Callable[[], str]]] = {
    "exit-codes": ("what every exit code means", _exit_codes),
    "environment": ("every environment variable", _environment),
    "output": ("formats, columns, streams, colours", lambda: OUTPUT),
    "config": ("files, profiles, precedence, passwords", lambda: CONFIG),
    "selectors": ("short ids, conditions, times and durations", lambda: SELECTORS),
    "systemd": ("units, credentials, timers", lambda: SYSTEMD),
}
