"""`seedcore worker`: what the commands print and how they exit; the daemons themselves are in tests/workers."""

from __future__ import annotations

import configparser
import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.program import Program


def lines_of(text: str, section: str) -> dict[str, str]:
    """Read one section of a unit; of a key that repeats, the last value."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read_string(text)
    return dict(parser[section])


def test_the_unit_names_the_real_program_and_fits_the_settings(seedcore: Program) -> None:
    shown = seedcore(
        "worker",
        "unit",
        "queue",
        env={
            "DISPATCHER_DRAIN_S": "90",
            "SEEDCORE_PASSWORD_FILE": "/etc/seedcore/db_password",
            "DISPATCHER_MEMORY_SOFT_LIMIT_MB": "512",
        },
    )
    assert shown.returncode == 0, shown.stderr
    service = lines_of(shown.stdout, "Service")
    program = service["ExecStart"].split()[0]
    assert Path(program).is_file()
    assert service["ExecStart"].endswith("worker queue --index %i --log-format json")
    assert service["Type"] == "notify"
    assert int(service["TimeoutStopSec"]) > 90
    assert service["Restart"] == "always"
    assert service["RestartPreventExitStatus"] == "2 78"
    assert service["LoadCredential"] == "db_password:/etc/seedcore/db_password"
    assert service["MemoryMax"] == "1024M"
    assert service["User"] == "seedcore"


def test_the_unit_has_no_line_that_nobody_configured(seedcore: Program) -> None:
    service = lines_of(
        seedcore("worker", "unit", "queue", env={"SEEDCORE_HOME": None}).stdout, "Service"
    )
    assert not {"LoadCredential", "MemoryMax", "Environment", "EnvironmentFile"} & set(service)


def test_a_users_unit_runs_as_the_user(seedcore: Program, tmp_path: Path) -> None:
    shown = seedcore("worker", "unit", "queue", "--user", "--env-file", str(tmp_path / "env file"))
    service = lines_of(shown.stdout, "Service")
    assert "User" not in service
    assert service["EnvironmentFile"] == str(tmp_path / "env file")
    assert lines_of(shown.stdout, "Install")["WantedBy"] == "default.target"


@pytest.mark.parametrize("flags", [[], ["--user"]])
def test_systemd_accepts_the_unit(seedcore: Program, tmp_path: Path, flags: list[str]) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        # The judge is systemd itself; the unit's lines are tested without it above.
        pytest.skip("there is no systemd-analyze here")
    unit = tmp_path / "seedcore-queue@.service"
    unit.write_text(seedcore("worker", "unit", "queue", *flags).stdout)
    checked = subprocess.run(
        [analyze, "verify", "--man=no", *flags, str(unit)],
        capture_output=True,
        text=True,
        check=False,
        env={**seedcore.env, "SYSTEMD_LOG_LEVEL": "warning"},
    )
    said = checked.stdout + checked.stderr
    assert "seedcore-queue" not in said, said


def test_running_workers_are_listed_and_asked(seedcore: Program) -> None:
    empty = seedcore("worker", "list", "-o", "json")
    assert (empty.returncode, json.loads(empty.stdout)) == (0, [])
    nobody = seedcore("worker", "status")
    assert nobody.returncode == 4
    assert "hint: " in nobody.stderr

    running = seedcore.start("worker", "queue", "--index", "7", stderr=subprocess.DEVNULL)
    end = time.monotonic() + 45
    while not json.loads(seedcore("worker", "list", "-o", "json").stdout):
        assert time.monotonic() < end
    (listed,) = json.loads(seedcore("worker", "list", "-o", "json").stdout)
    assert listed["name"].endswith("-7")
    assert listed["tasks_claimed"] == 0

    asked = seedcore("worker", "status", "-o", "json")
    assert json.loads(asked.stdout)["instance_id"] == listed["instance_id"]
    by_socket = seedcore("worker", "status", "--socket", listed["socket"], "-o", "json")
    assert json.loads(by_socket.stdout)["name"] == listed["name"]
    assert seedcore("worker", "status", "somebody").returncode == 4
    assert seedcore("worker", "status", "--socket", "/nowhere.sock").returncode == 69

    running.send_signal(signal.SIGTERM)
    assert running.wait(10) == 0


def test_a_worker_that_is_not_ready_can_be_told_by_the_exit_code(
    seedcore: Program, conn: object
) -> None:
    running = seedcore.start(
        "worker",
        "queue",
        stderr=subprocess.DEVNULL,
        env={"DISPATCHER_MEMORY_SOFT_LIMIT_MB": "1"},
    )
    end = time.monotonic() + 45
    while (code := seedcore("worker", "status", "--exit-code").returncode) != 3:
        assert code in (0, 4)
        assert time.monotonic() < end
    assert seedcore("worker", "status").returncode == 0
    running.send_signal(signal.SIGTERM)
    assert running.wait(10) == 0


def test_a_summary_has_the_same_numbers_in_every_format(seedcore: Program) -> None:
    as_json = json.loads(seedcore("worker", "queue", "--once", "-o", "json").stdout)
    assert as_json["claimed"] == 0
    header, values = seedcore("worker", "queue", "--once", "-o", "tsv").stdout.splitlines()
    assert header.split("\t")[:3] == ["claimed", "completed", "failed"]
    assert values.split("\t")[:3] == ["0", "0", "0"]


def test_contradictions_are_refused(seedcore: Program) -> None:
    assert seedcore("worker", "queue", "--once", "--until-empty").returncode == 2
    assert seedcore("worker", "queue", "--timeout", "5s").returncode == 2
    assert seedcore("worker", "queue", "--concurrency", "0").returncode == 2
    assert seedcore("worker", "unit", "nothing").returncode == 2
