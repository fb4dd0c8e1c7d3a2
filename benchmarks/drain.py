"""How fast one worker drains no-op tasks, beside a peer at its defaults on the same server.

    python benchmarks/drain.py [--count 20000] [--rounds 5] [--json FILE]

Rounds are interleaved (peer, ours, peer, ours, ...) on one embedded PostgreSQL with its shipped
settings (fsync and synchronous_commit on); the medians and their ratio are what to quote. Ours is
`seedcore worker queue --until-empty` at default settings, history kept and every write fenced; its
time runs from the first claim to the last completion, by the database's clock. The peer is PgQueuer
on asyncpg at its defaults, timed inside its process from the start of its drain to the end. It is
installed into an environment of its own below the cache folder.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import psycopg

from seedcore.db.embedded import EmbeddedServer

HERE = Path(__file__).parent
PEER = ["pgqueuer[asyncpg]==1.6.0", "asyncpg", "uvloop"]


def peer_python() -> Path:
    """Return the interpreter of the peer's environment, made on first use."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "seedcore-benchmarks" / "pgqueuer-1.6"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PEER], check=True)
        (folder / "ready").touch()
    return python


def fresh_database(server: EmbeddedServer, name: str) -> str:
    """Drop and create a database; return its conninfo."""
    with psycopg.connect(server.conninfo("postgres"), autocommit=True) as admin:
        admin.execute(
            psycopg.sql.SQL("DROP DATABASE IF EXISTS {}").format(psycopg.sql.Identifier(name))
        )
        admin.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
    return server.conninfo(name)


def as_url(conninfo: str) -> str:
    """Turn a conninfo into the URL form that asyncpg reads."""
    parts = psycopg.conninfo.conninfo_to_dict(conninfo)
    auth = f"{parts['user']}:{parts['password']}" if parts.get("password") else parts["user"]
    return f"postgresql://{auth}@/{parts['dbname']}?host={parts['host']}"


def drain_peer(server: EmbeddedServer, count: int) -> float:
    """Return the peer's tasks per second."""
    url = as_url(fresh_database(server, "bench_peer"))
    done = subprocess.run(
        [peer_python(), HERE / "peer_pgqueuer.py", url, str(count)],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(json.loads(done.stdout)["per_s"])


def drain_ours(server: EmbeddedServer, count: int) -> float:
    """Return our tasks per second."""
    conninfo = fresh_database(server, "bench_ours")
    environ = {**os.environ, "SEEDCORE_DATABASE_URL": conninfo}
    program = [sys.executable, "-m", "seedcore_cli"]
    line = json.dumps(
        {"type": "bench", "params": {"tool_calls": [{"name": "echo", "args": {"value": 1}}]}}
    )
    subprocess.run(
        [*program, "-q", "migrate", "up"], env=environ, check=True, stdout=subprocess.DEVNULL
    )
    subprocess.run(
        [*program, "-q", "task", "submit", "-f", "-"],
        env=environ,
        check=True,
        input=f"{line}\n" * count,
        text=True,
        stdout=subprocess.DEVNULL,
    )
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute("VACUUM ANALYZE tasks")
    subprocess.run(
        [*program, "worker", "queue", "--until-empty"],
        env=environ,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    with psycopg.connect(conninfo) as conn:
        row = conn.execute(
            "SELECT count(*), extract(epoch FROM max(finished_at) - min(started_at))::float8"
            " FROM tasks WHERE status = 'completed' AND attempts = 1"
        ).fetchone()
    assert row is not None
    if row[0] != count:
        raise SystemExit(f"only {row[0]} of {count} tasks completed at their first attempt")
    return count / row[1]


def main() -> None:
    """Run the rounds and print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--count", type=int, default=20_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--json", type=Path, help="also write the figures here")
    args = options.parse_args()
    # Directly below the system's folder for temporary files: a socket's path must stay short.
    with tempfile.TemporaryDirectory(prefix="sc-bench-") as home:
        Path(home).chmod(0o755)
        server = EmbeddedServer(Path(home) / "home")
        server.ensure_running()
        try:
            rounds: list[tuple[float, float]] = []
            print("round   pgqueuer/s   seedcore/s   ratio")
            for number in range(1, args.rounds + 1):
                peer, ours = drain_peer(server, args.count), drain_ours(server, args.count)
                rounds.append((peer, ours))
                print(f"{number:5}   {peer:10.0f}   {ours:10.0f}   {ours / peer:5.2f}", flush=True)
        finally:
            server.stop("immediate")
    peer, ours = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(b / a for a, b in rounds)
    print(f"median   {peer:9.0f}   {ours:10.0f}   {ratio:5.2f}")
    if args.json:
        figures = {"count": args.count, "rounds": rounds, "pgqueuer_per_s": peer}
        args.json.write_text(json.dumps({**figures, "seedcore_per_s": ours, "ratio": ratio}))


if __name__ == "__main__":
    main()
