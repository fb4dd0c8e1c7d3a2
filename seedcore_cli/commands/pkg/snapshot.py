"""`seedcore pkg snapshot`: stored versions of the policy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from seedcore.errors import UsageError
from seedcore_cli.app import group
from seedcore_cli.commands.pkg.arguments import Env, Environment, Version, find, read_key
from seedcore_cli.commands.pkg.columns import CREATED, DELETED, EXPORTED, LIST, RULES, SHOWN
from seedcore_cli.commands.pkg.group import app as parent
from seedcore_cli.options import Cli, Confirm, DryRun, Limit, Since, common

app = group(
    """Store, list, show, copy, export and delete versions of the policy.

    A snapshot never changes: another content is another version.
    """
)
parent.add_typer(app, name="snapshot")

_KEY = typer.Option("--key", metavar="FILE", help="Verify the signature with this key.")


@app.command("create")
@common
def create(
    cli: Cli,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="What to call it.")],
    *,
    source: Annotated[
        str,
        typer.Option(
            "--from", metavar="DIR", help="The policy's folder, a tar of it, or - for one to read."
        ),
    ],
    env: Env = None,
    notes: Annotated[str | None, typer.Option("--notes", metavar="TEXT", help="Free text.")] = None,
    sign: Annotated[
        Path | None,
        typer.Option("--sign", metavar="FILE", help="Sign the checksum with this secret key."),
    ] = None,
    checksum: Annotated[
        str | None,
        typer.Option(
            "--checksum", metavar="SHA256", help="Refuse a content that has another checksum."
        ),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Check a policy's folder and store it as a new snapshot.

    The environment is that of policy.yaml, else prod. The same files have the same checksum on every
    machine. Nothing is served by it yet: validate it, then promote it or start a canary.

    Examples:
      seedcore pkg snapshot create v1 --from house
      seedcore pkg snapshot create v1 --from house --dry-run -o json
      tar -cf - -C house . | seedcore pkg snapshot create v2 --from -

    Exit codes: 3 the policy is invalid (says file and line), or has another checksum; 4 there is no
    such folder; 5 the environment has that version.
    """
    from seedcore.pkg import canonical, snapshots
    from seedcore.pkg.fault import InvalidPolicy
    from seedcore.pkg.folder import load_tar

    try:
        policy = load_tar(_standard_input()) if source == "-" else snapshots.read(Path(source))
    except InvalidPolicy as error:
        for fault in error.faults[1:]:
            cli.note(str(fault))
        raise
    if checksum is not None:
        snapshots.expect_checksum(canonical.checksum(policy), checksum)
    with cli.connect() as conn:
        row = snapshots.create(
            conn,
            policy,
            version,
            actor=cli.actor,
            env=env.value if env else None,
            notes=notes,
            key=read_key(sign),
            dry_run=dry_run,
        )
    cli.printer.one(row, CREATED)
    if not dry_run:
        cli.hint(f"seedcore pkg validate {version}")


@app.command("list")
@common
def list_(
    cli: Cli,
    *,
    env: Env = None,
    active: Annotated[
        bool, typer.Option("--active", help="Only what the environments serve.")
    ] = False,
    since: Since = None,
    limit: Limit = 50,
) -> None:
    """List snapshots, newest first.

    Example: seedcore pkg snapshot list --env prod --active
    """
    from seedcore.pkg import snapshots

    with cli.connect() as conn:
        rows = snapshots.listed(
            conn, env=env.value if env else None, active=active, since=since, limit=limit
        )
        cli.printer.many(rows, LIST)


@app.command("show")
@common
def show(
    cli: Cli,
    version: Version,
    *,
    env: Env = None,
    rules: Annotated[bool, typer.Option("--rules", help="List its rules instead.")] = False,
    key: Annotated[Path | None, _KEY] = None,
) -> None:
    """Show a snapshot: what it holds, whether it is active, whether it is validated.

    With --rules its content is read and verified against its checksum.

    Examples:
      seedcore pkg snapshot show v1
      seedcore pkg snapshot show v1@staging --rules

    Exit codes: 3 its content or signature does not match; 4 there is no such snapshot.
    """
    from seedcore.pkg import signature, snapshots, store

    with cli.connect() as conn:
        found = find(conn, version, env)
        secret = read_key(key)
        if secret is not None:
            signature.check(found, secret)
        if rules:
            cli.printer.many(snapshots.rules(store.load(conn, found.id)), RULES)
        else:
            cli.printer.one(snapshots.show(conn, found), SHOWN)


@app.command("export")
@common
def export(
    cli: Cli,
    version: Version,
    *,
    target: Annotated[
        str,
        typer.Option(
            "-f", "--file", metavar="PATH", help="A tar to write, - for standard output, or DIR/."
        ),
    ],
    env: Env = None,
) -> None:
    """Give back the files that a snapshot was made from, byte for byte.

    A path that ends with a slash is a new or empty folder; any other is a tar, which is the same for
    the same files, on every machine.

    Examples:
      seedcore pkg snapshot export v1 -f v1.tar
      seedcore pkg snapshot export v1 -f house-v1/
      seedcore pkg snapshot export v1 -f - | tar -tf -

    Exit codes: 2 it can't be written; 3 what is stored is corrupt; 4 there is no such snapshot, or it
    was not made from a folder; 5 the file is there, or the folder is not empty.
    """
    import hashlib

    from seedcore.pkg import archive, snapshots

    with cli.connect() as conn:
        found = find(conn, version, env)
        content = snapshots.source_tar(conn, found)
    if target == "-":
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    if target.endswith("/"):
        archive.write_new_folder(archive.unpack(content), Path(target))
    else:
        archive.write_new_file(content, Path(target))
    digest = hashlib.sha256(content).hexdigest()
    row = {"path": target, "version": found.version, "env": found.env.value}
    cli.printer.one(row | {"bytes": len(content), "sha256": digest}, EXPORTED)


@app.command("copy")
@common
def copy(
    cli: Cli,
    version: Version,
    *,
    to: Annotated[
        Environment, typer.Option("--to-env", metavar="ENV", help="prod, staging or dev.")
    ],
    env: Env = None,
    dry_run: DryRun = False,
) -> None:
    """Store the same content under the same version in another environment.

    The checksum is the same too. The copy is validated and promoted there on its own.

    Example: seedcore pkg snapshot copy v1@staging --to-env prod

    Exit codes: 3 its content is not what was stored; 4 there is no such snapshot; 5 that environment
    has the version.
    """
    from seedcore.pkg import model, snapshots

    with cli.connect() as conn:
        found = find(conn, version, env)
        row = snapshots.copy(conn, found, model.Env(to.value), actor=cli.actor, dry_run=dry_run)
    cli.printer.one(row, CREATED)


@app.command("delete")
@common
def delete(
    cli: Cli,
    version: Version,
    *,
    env: Env = None,
    confirm: Confirm = None,
    dry_run: DryRun = False,
) -> None:
    """Delete a snapshot that nothing refers to.

    What was validated, promoted, rolled out or used by a task stays for the record.

    Example: seedcore pkg snapshot delete v1 --confirm v1

    Exit codes: 4 there is no such snapshot; 5 it is active or in use; 10 not confirmed.
    """
    from seedcore.pkg import snapshots

    with cli.connect() as conn:
        found = find(conn, version, env)
        if not dry_run:
            summary = f"delete snapshot {found.version} of {found.env}"
            cli.confirm(level=2, summary=summary, name=found.version, given=confirm)
        row = snapshots.delete(conn, found, actor=cli.actor, dry_run=dry_run)
    cli.printer.one(row, DELETED)


def _standard_input() -> bytes:
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError(
            "--from - reads standard input, which is a terminal",
            hint="tar -cf - -C DIR . | seedcore pkg snapshot create VERSION --from -",
        )
    from seedcore.pkg.archive import MAX_BYTES

    return sys.stdin.buffer.read(2 * MAX_BYTES)
