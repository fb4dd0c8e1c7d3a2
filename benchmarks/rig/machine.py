"""The server that all contenders share, and a fresh database for each measurement."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from benchmarks.rig.noise import CpuMeter
from seedcore.db import migrate
from seedcore.db.embedded import EmbeddedServer

MIGRATED = "bench_migrated"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seedcore-benchmarks"
# The stock settings of PostgreSQL where ours differ in what is measured here; fsync stays on.
STOCK = """
wal_compression = off
autovacuum_naptime = 1min
autovacuum_vacuum_cost_limit = -1
"""
SHOWN = (
    "server_version", "shared_buffers", "fsync", "synchronous_commit", "full_page_writes",
    "wal_compression", "max_wal_size", "random_page_cost",
)  # fmt: skip


class Machine:
    """A throw-away PostgreSQL on disk, durable, on a Unix socket.

    Args:
        folder: Where its files go.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._server = EmbeddedServer(folder / "pg")
        self._server.layout.root.mkdir(parents=True, exist_ok=True)
        self._server.layout.local_conf.write_text(STOCK)
        self._server.ensure_running()
        pid = self._server.status().pid
        if pid is None:
            raise RuntimeError("the server has no process id")
        self.postmaster = pid
        self.pgbench = self._server.bin_dir / "pgbench"
        self.fresh(MIGRATED)
        migrate.up_url(self.url(MIGRATED))

    def close(self) -> None:
        """Stop it and remove all it had."""
        self._server.stop("immediate")
        self._server.destroy()

    def url(self, database: str) -> str:
        """Return a URL of the form that every driver reads."""
        parts = conninfo_to_dict(self._server.conninfo(database))
        return f"postgresql://{parts['user']}:{parts['password']}@/{database}?host={parts['host']}"

    def fresh(self, name: str, template: str | None = None) -> str:
        """Make a database anew; return its URL."""
        owner = str(conninfo_to_dict(self._server.conninfo())["user"])
        with self.admin() as admin:
            admin.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )
            # Copying files checkpoints: what the last measurement left to do isn't paid by the next.
            admin.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY file_copy").format(
                    sql.Identifier(name),
                    sql.Identifier(owner),
                    sql.Identifier(template or "template1"),
                )
            )
        return self.url(name)

    def migrated(self) -> str:
        """Make a fresh database with our schema; return its URL."""
        return self.fresh("bench", MIGRATED)

    @contextmanager
    def admin(self, database: str = "postgres") -> Iterator[psycopg.Connection[Any]]:
        """Open a superuser's connection."""
        url = self._server.conninfo(database, superuser=True)
        with psycopg.connect(url, autocommit=True) as conn:
            yield conn

    @contextmanager
    def setting(self, name: str, value: str) -> Iterator[None]:
        """Change a setting of the whole server for a while."""
        with self.admin() as admin:
            alter = sql.SQL("ALTER SYSTEM SET {} = {}").format(
                sql.Identifier(name), sql.Literal(value)
            )
            admin.execute(alter)
            admin.execute("SELECT pg_reload_conf()")
            time.sleep(0.5)  # the postmaster hands it on
            try:
                yield
            finally:
                admin.execute(sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(name)))
                admin.execute("SELECT pg_reload_conf()")

    def meter(self) -> CpuMeter:
        """Begin to look for foreign load."""
        return CpuMeter(self.postmaster)

    def describe(self) -> dict[str, Any]:
        """Return what the figures depend on."""
        with self.admin() as admin:
            settings = {
                name: admin.execute("SELECT current_setting(%s)", [name]).fetchone()
                for name in SHOWN
            }
        model = [
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ]
        return {
            "cores": os.cpu_count(),
            "processor": model[0] if model else platform.processor(),
            "system": platform.platform(),
            "python": platform.python_version(),
            "postgresql": {name: row[0] if row else None for name, row in settings.items()},
        }


@contextmanager
def machine() -> Iterator[Machine]:
    """Start a machine, and leave nothing of it behind."""
    # Directly below the system's folder for temporary files: a socket's path must stay short.
    with tempfile.TemporaryDirectory(prefix="sc-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        found = Machine(folder)
        try:
            yield found
        finally:
            found.close()


def python_peer(name: str, *packages: str) -> Path:
    """Return the interpreter of a peer's environment, made and filled on first use.

    Raises:
        RuntimeError: It can't be installed.
    """
    folder = CACHE / name
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists() or ready.read_text() != "\n".join(packages):
        _install([sys.executable, "-m", "venv", "--clear", str(folder)], name)
        _install([str(python), "-m", "pip", "install", "-q", *packages], name)
        ready.write_text("\n".join(packages))
    return python


def node_peer(name: str, *packages: str) -> Path:
    """Return the folder with a peer's Node modules, installed on first use.

    Raises:
        RuntimeError: It can't be installed.
    """
    folder = CACHE / name
    ready = folder / "ready"
    if not ready.exists() or ready.read_text() != "\n".join(packages):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        npm = ["npm", "install", "--no-fund", "--no-audit", "--prefix", str(folder)]
        _install([*npm, *packages], name)
        ready.write_text("\n".join(packages))
    return folder


def _install(command: list[str], name: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"{name} can't be installed: {error}") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        # pip and npm explain at length; the first line that says error says most.
        why = [line for line in said if "error" in line.lower()] or said
        raise RuntimeError(f"{name} can't be installed: {' '.join(why[:1])}")
