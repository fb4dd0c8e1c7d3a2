"""Who takes part: us, bare loops, and the peers, each in an environment of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.rig.machine import Machine, node_peer, python_peer

PEERS = Path(__file__).resolve().parents[1] / "peers"
OPERATIONS = ("single", "batch", "drain", "pickup")


@dataclass(frozen=True)
class Peer:
    """A system that others wrote.

    Attributes:
        name: As it is called in the table.
        profile: What its script is asked for.
        script: That script.
        packages: What is installed, pinned.
        folder: Name of its environment.
        operations: What is worth asking of this profile.
    """

    name: str
    profile: str
    script: str
    packages: tuple[str, ...]
    folder: str
    operations: tuple[str, ...] = OPERATIONS

    @property
    def is_node(self) -> bool:
        """Whether it runs in Node."""
        return self.script.endswith(".mjs")

    def prepare(self) -> None:
        """Install it.

        Raises:
            RuntimeError: It can't be installed here; says why.
        """
        if not self.is_node:
            python_peer(self.folder, *self.packages)
        elif shutil.which("node") is None or shutil.which("npm") is None:
            raise RuntimeError("Node is not installed")
        else:
            node_peer(self.folder, *self.packages)

    def run(self, machine: Machine, operation: str, count: int, limit_s: float) -> dict[str, Any]:
        """Do one operation on a fresh database; return what the script found.

        Raises:
            RuntimeError: It failed, or took far too long.
        """
        url = machine.fresh("bench")
        if self.is_node:
            interpreter, modules = "node", node_peer(self.folder, *self.packages)
        else:
            interpreter, modules = str(python_peer(self.folder, *self.packages)), None
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(machine.folder)}
        if modules is not None:
            environment["PEER_MODULES"] = str(modules)
        command = [interpreter, str(PEERS / self.script), operation, url, self.profile]
        try:
            done = subprocess.run(
                [*command, str(count), str(limit_s)],
                env=environment,
                capture_output=True,
                text=True,
                timeout=limit_s * 4 + 120,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"no answer within {error.timeout:.0f} s") from error
        if done.returncode or not done.stdout.strip():
            said = (done.stderr.strip() or "it printed nothing").splitlines()[-1]
            raise RuntimeError(f"ended with {done.returncode}: {said}")
        return json.loads(done.stdout.strip().splitlines()[-1])


_PROCRASTINATE = ("procrastinate==3.10.0", "psycopg[binary,pool]==3.3.9")
_PGQUEUER = (
    "pgqueuer[asyncpg]==1.6.0", "asyncpg==0.32.0", "uvloop==0.23.0", "psycopg[binary,pool]==3.3.9",
)  # fmt: skip
_CHANCY = ("chancy==0.26.0", "psycopg[binary,pool]==3.3.9")
_GRAPHILE = ("graphile-worker@0.17.3",)
_PGBOSS = ("pg-boss@10.4.2",)
_TUNED = ("drain",)

ALL: tuple[Peer, ...] = (
    Peer("Procrastinate", "default", "peer_procrastinate.py", _PROCRASTINATE, "procrastinate"),
    Peer("Procrastinate tuned", "tuned", "peer_procrastinate.py", _PROCRASTINATE, "procrastinate", _TUNED),
    Peer("PgQueuer asyncpg", "default", "peer_pgqueuer.py", _PGQUEUER, "pgqueuer"),
    Peer("PgQueuer asyncpg tuned", "tuned", "peer_pgqueuer.py", _PGQUEUER, "pgqueuer", _TUNED),
    Peer("PgQueuer psycopg", "psycopg", "peer_pgqueuer.py", _PGQUEUER, "pgqueuer"),
    Peer("Chancy", "default", "peer_chancy.py", _CHANCY, "chancy"),
    Peer("Chancy tuned", "tuned", "peer_chancy.py", _CHANCY, "chancy", _TUNED),
    Peer("Graphile Worker", "default", "peer_graphile.mjs", _GRAPHILE, "graphile"),
    Peer("Graphile Worker tuned", "tuned", "peer_graphile.mjs", _GRAPHILE, "graphile", _TUNED),
    Peer("pg-boss", "default", "peer_pgboss.mjs", _PGBOSS, "pgboss"),
    Peer("pg-boss tuned", "tuned", "peer_pgboss.mjs", _PGBOSS, "pgboss", _TUNED),
)  # fmt: skip

Figures = dict[str, float]
Run = Callable[[], Figures]


@dataclass
class Entry:
    """One thing to measure in a scenario: a contender, and how.

    Attributes:
        name: The contender.
        run: Measures once; raises RuntimeError when it can't.
        once: Whether one round is enough, because it is long or counts rather than times.
    """

    name: str
    run: Run
    once: bool = False


@dataclass
class Roster:
    """The peers that take part, and those that don't, with the reason."""

    peers: list[Peer] = field(default_factory=list[Peer])
    skipped: dict[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def invite(cls, wanted: list[str], say: Callable[[str], None]) -> Roster:
        """Install the peers whose name begins with one of `wanted`; all of them when it is empty."""
        roster, refused = cls(), dict[str, str]()
        for peer in ALL:
            plain = peer.name.lower()
            if wanted and not any(plain.startswith(word.lower()) for word in wanted):
                roster.skipped[peer.name] = "not asked for"
                continue
            if peer.folder not in refused:
                try:
                    peer.prepare()
                except RuntimeError as error:
                    refused[peer.folder] = str(error)
                    say(f"skipped: {error}")
            if peer.folder in refused:
                roster.skipped[peer.name] = refused[peer.folder]
            else:
                roster.peers.append(peer)
        return roster
