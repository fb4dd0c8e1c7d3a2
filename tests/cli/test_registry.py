"""`seedcore registry`: every command, what it prints, how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.cli.conftest import Invoke
from tests.program import Program
from tests.workers.conftest import until

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def epoch(cli: Invoke) -> str:
    """The first epoch."""
    return cli("registry", "epoch", "init", "-o", "name").out.strip()


@pytest.fixture
def instance(cli: Invoke, epoch: str) -> str:
    """An instance that is alive."""
    registered = cli("registry", "register", "--logical-id", "importer", "-o", "name")
    one = registered.out.strip()
    assert cli("registry", "set-status", one, "alive").code == 0
    return one


def silence(conn: Conn, seconds: float) -> None:
    conn.execute(
        "UPDATE registry_instance SET last_heartbeat = now() - make_interval(secs => %s)", [seconds]
    )


def test_an_epoch_is_made_shown_and_rotated(cli: Invoke, conn: Conn) -> None:
    none = cli("registry", "epoch", "show", "-o", "json")
    assert (none.code, none.out, none.error["code"]) == (3, "", "registry.no_epoch")
    first = cli("registry", "epoch", "init", "-o", "json").json
    assert cli("registry", "epoch", "init").code == 5
    assert cli("registry", "epoch", "show", "-o", "name").out.strip() == first["epoch"]
    refused = cli("registry", "epoch", "rotate")
    assert (refused.code, "--yes" in refused.err) == (10, True)
    expected = first["epoch"][:8]
    done = cli(
        "registry", "epoch", "rotate", "--expect-epoch", expected, "--reason", "drill", "--yes",
        "-o", "json",
    )  # fmt: skip
    assert done.json["old"] == first["epoch"]
    again = cli("registry", "epoch", "rotate", "--expect-epoch", expected, "--yes", "-o", "json")
    assert (again.code, again.error["code"]) == (5, "registry.epoch_changed")
    assert done.json["new"] in again.error["message"]
    history = cli("registry", "epoch", "history", "-o", "json").json
    assert [row["reason"] for row in history] == ["drill", "first epoch"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["epoch", "init", "--epoch", "nine"], 2, '"nine" is no epoch'),
        (["epoch", "rotate", "--to", "nine", "--yes"], 2, '"nine" is no epoch'),
        (["epoch", "rotate", "--yes"], 4, "no epoch yet"),
        (["instances", "show", "zz"], 2, '"zz" is not an instance id'),
        (["instances", "show", "abc"], 2, "too short"),
        (["instances", "show", "abcdef12"], 4, "there is no instance abcdef12"),
        (["instances", "list", "--status", "well"], 2, '"well" is no status'),
        (["locate", "nobody"], 4, 'no instance of "nobody" is active'),
        (["register", "--logical-id", "a"], 4, "there is no epoch"),
        (["register", "--logical-id", ""], 2, "an instance needs an id and a logical id"),
        (["register", "--logical-id", "a", "--ip", "1.2.3"], 2, '"1.2.3" is no IP address'),
        (["register", "--logical-id", "a", "--instance-id", "7"], 2, "has to be a UUID"),
        (["beat", "abcdef12"], 4, "there is no instance"),
        (["set-status", "abcdef12", "alive"], 4, "there is no instance"),
        (["drain"], 2, "give ids, or --logical-id or --node"),
        (["drain", "--node", "nowhere", "--yes"], 4, 'no live instance matches "nowhere"'),
        (["expire", "--stale-after", "0s"], 2, "a time above 0"),
    ],
)
def test_bad_input_gets_one_line(cli: Invoke, words: list[str], code: int, says: str) -> None:
    for form in ("table", "json"):
        ended = cli("registry", *words, "-o", form)
        assert (ended.code, ended.out) == (code, "")
        assert says in (ended.error["message"] if form == "json" else ended.err.splitlines()[0])
        assert "Traceback" not in ended.err


def test_a_registration_for_another_epoch_names_both(cli: Invoke, epoch: str) -> None:
    other = str(uuid4())
    ended = cli("registry", "register", "--logical-id", "a", "--epoch", other)
    assert ended.code == 5
    assert epoch in ended.err
    assert other in ended.err
    assert cli("registry", "instances", "list", "-o", "name").out == ""


def test_an_instance_from_registration_to_death(cli: Invoke, instance: str) -> None:
    shown = cli("registry", "instances", "show", instance[:8], "-o", "json").json
    assert (shown["status"], shown["leases"], shown["pid"]) == ("alive", 0, os.getppid())
    assert cli("registry", "locate", "importer", "-o", "name").out.strip() == instance
    assert cli("registry", "beat", instance, "-o", "json").json["status"] == "alive"
    back = cli("registry", "set-status", instance, "starting")
    assert (back.code, "can't become starting" in back.err) == (5, True)
    drained = cli("registry", "drain", instance, "--yes", "-o", "json").json
    assert (drained[0]["before"], drained[0]["status"]) == ("alive", "draining")
    late = cli("registry", "drain", instance, "--wait", "--timeout", "0s", "--yes")
    assert (late.code, "did not end within 0 s" in late.err) == (6, True)
    assert cli("registry", "set-status", instance, "dead", "-o", "json").json["after"] == "dead"
    dead = cli("registry", "beat", instance)
    assert (dead.code, "is dead" in dead.err) == (5, True)
    assert cli("registry", "drain", instance, "--yes").code == 5


def test_after_a_rotation_a_beat_is_a_conflict(cli: Invoke, instance: str) -> None:
    assert cli("registry", "epoch", "rotate", "--no-expire-old", "--yes").code == 0
    ended = cli("registry", "beat", instance, "-o", "json")
    assert (ended.code, ended.error["code"]) == (5, "registry.epoch_changed")


def test_a_rehearsed_drain_changes_nothing(cli: Invoke, instance: str) -> None:
    assert cli("registry", "drain", instance, "--dry-run", "-o", "name").out.strip() == instance
    shown = cli("registry", "instances", "show", instance, "-o", "json")
    assert shown.json["status"] == "alive"


def test_the_silent_are_expired(cli: Invoke, conn: Conn, instance: str) -> None:
    assert cli("registry", "expire", "-o", "name").out == ""
    silence(conn, 60)
    assert cli("registry", "expire", "--dry-run", "-o", "name").out.strip() == instance
    assert cli("registry", "expire", "-o", "name").out.strip() == instance


def test_a_mass_death_has_to_be_meant(cli: Invoke, conn: Conn, epoch: str) -> None:
    for n in range(5):
        cli("registry", "register", "--logical-id", f"i{n}")
    silence(conn, 60)
    refused = cli("registry", "expire", "-o", "json")
    assert (refused.code, refused.error["code"]) == (10, "registry.mass_death")
    assert len(cli("registry", "expire", "--yes", "-o", "json").json) == 5


def test_watching_prints_changes_as_they_come(seedcore: Program, conn: Conn) -> None:
    epoch = seedcore("registry", "epoch", "init", "-o", "name").stdout.strip()
    watching = seedcore.start("registry", "instances", "watch", "-o", "jsonl")
    assert watching.stdout is not None
    conn.execute("SELECT register_instance(%s, 'late', %s)", [UUID(int=7), epoch])
    assert '"added"' in watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    _, err = watching.communicate(timeout=60)
    assert (watching.returncode, err) == (130, "")


def test_a_companion_beats_as_long_as_its_process(seedcore: Program, conn: Conn) -> None:
    seedcore("registry", "epoch", "init")
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        registered = seedcore(
            "registry", "register", "--logical-id", "shell", "--pid", str(process.pid), "-o", "name"
        )
        one = registered.stdout.strip()
        seedcore("registry", "set-status", one, "alive")
        companion = seedcore.start(
            "registry",
            "beat",
            one,
            "--every",
            "0.1s",
            "--until-pid",
            str(process.pid),
            "-o",
            "jsonl",
        )
        silence(conn, 60)
        until(lambda: seedcore("registry", "locate", "shell").returncode == 0)
    finally:
        process.communicate(b"\n", timeout=60)
    out, err = companion.communicate(timeout=60)
    assert (companion.returncode, err) == (0, "")
    assert '"alive"' in out.splitlines()[0]
    assert '"dead"' in out.splitlines()[-1]
    assert seedcore("registry", "locate", "shell").returncode == 4
