"""How fast `task submit -f` is, beside a plain COPY of the same rows into the same table.

    python benchmarks/submit.py [--count 1000000] [--rounds 3] [--json FILE]

Both run against one embedded PostgreSQL with its shipped settings. The plain COPY takes the very rows
that the submit left behind, all columns, from a file, into the same table with all its indexes and
triggers' consequences (as the engine does, in one session that declares itself part of it), after a
TRUNCATE; its client does nothing but forward bytes. Ours includes everything: start of the program,
parsing, linting, ids, staging, result lines. Peak memory is what the operating system says of the
submitting process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from seedcore.db.embedded import EmbeddedServer

BLOCK = 1 << 20


def write_lines(path: Path, count: int) -> None:
    """Write `count` bulk lines as an operator's export would have them."""
    with path.open("w") as out:
        for number in range(count):
            params = {"tool_calls": [{"name": "echo", "args": {"value": number}}]}
            line = {
                "type": "query",
                "description": f"reading {number} of the day",
                "domain": f"building-{number % 7}",
                "params": params,
            }
            out.write(json.dumps(line, separators=(",", ":")) + "\n")


def submit(environ: dict[str, str], path: Path) -> tuple[float, int]:
    """Run the bulk submit; return seconds and the peak resident size in bytes."""
    started = time.perf_counter()
    with path.open("rb") as lines:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "seedcore_cli",
                "-q",
                "task",
                "submit",
                "-f",
                "-",
                "-o",
                "jsonl",
            ],
            env=environ,
            stdin=lines,
            stdout=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"task submit failed with status {status}")
    return time.perf_counter() - started, usage.ru_maxrss * 1024


def copy_in(conn: psycopg.Connection, path: Path) -> float:
    """COPY a file of binary rows into tasks, in one transaction; return seconds."""
    started = time.perf_counter()
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute("SET LOCAL search_path = public, pg_temp, seedcore_engine")
        with (
            cursor.copy("COPY tasks FROM STDIN (FORMAT binary)") as target,
            path.open("rb") as rows,
        ):
            while block := rows.read(BLOCK):
                target.write(block)
    return time.perf_counter() - started


def copy_out(conn: psycopg.Connection, path: Path) -> None:
    """COPY all of tasks into a file."""
    statement = "COPY tasks TO STDOUT (FORMAT binary)"
    with conn.cursor() as cursor, cursor.copy(statement) as rows, path.open("wb") as out:
        for block in rows:
            out.write(block)


def main() -> None:
    """Run the rounds and print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--count", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--json", type=Path, help="also write the figures here")
    args = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="sc-bench-") as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedServer(Path(folder) / "home")
        server.ensure_running()
        try:
            environ = {**os.environ, "SEEDCORE_DATABASE_URL": server.conninfo()}
            subprocess.run(
                [sys.executable, "-m", "seedcore_cli", "-q", "migrate", "up"],
                env=environ,
                check=True,
            )
            lines, rows = Path(folder) / "lines.ndjson", Path(folder) / "rows.copy"
            write_lines(lines, args.count)
            rounds: list[tuple[float, float, int]] = []
            print("round   COPY rows/s   submit rows/s   ratio   peak MB")
            with psycopg.connect(server.conninfo(), autocommit=True) as conn:
                for number in range(1, args.rounds + 1):
                    conn.execute("TRUNCATE tasks CASCADE")
                    seconds, peak = submit(environ, lines)
                    copy_out(conn, rows)
                    conn.execute("TRUNCATE tasks CASCADE")
                    plain = copy_in(conn, rows)
                    rounds.append((args.count / plain, args.count / seconds, peak))
                    print(
                        f"{number:5}   {args.count / plain:11.0f}   {args.count / seconds:13.0f}"
                        f"   {plain / seconds:5.2f}   {peak / 1e6:7.0f}",
                        flush=True,
                    )
        finally:
            server.stop("immediate")
    ratio = statistics.median(ours / plain for plain, ours, _ in rounds)
    print(f"median ratio {ratio:.2f}, peak memory {max(peak for *_, peak in rounds) / 1e6:.0f} MB")
    if args.json:
        args.json.write_text(json.dumps({"count": args.count, "rounds": rounds, "ratio": ratio}))


if __name__ == "__main__":
    main()
