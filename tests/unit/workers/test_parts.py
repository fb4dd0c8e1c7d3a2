"""The small parts of a worker, each by itself."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from pathlib import Path

import pytest

from seedcore.config.settings import Settings
from seedcore.errors import ConfigError, UsageError
from seedcore.task.exchange import ClaimedTask
from workers import address, duplicates, merge, unit
from workers.gate import Gate, Veto
from workers.nudge import Nudge
from workers.options import Options, check, renewal_interval_s
from workers.sdnotify import Notifier
from workers.tally import total


def claimed(task_id: str, **changes: object) -> ClaimedTask:
    values: dict[str, object] = {
        "id": task_id,
        "type": "action",
        "description": "d",
        "domain": None,
        "params_json": '{"a": 1}',
        "attempts": 1,
        "max_attempts": None,
        "deadline_at": None,
        "result_json": None,
        "idempotency_key": None,
        "priority": 5,
        "due_at": 0.0,
        "wait_s": 0.0,
        "drift_score": 0.0,
        "lapses": 0,
        **changes,
    }
    return ClaimedTask(**values)  # pyright: ignore[reportArgumentType]


async def test_a_nudge_ends_a_sleep_and_one_before_it_prevents_it() -> None:
    nudge = Nudge()
    asyncio.get_running_loop().call_later(0.02, nudge)
    began = time.monotonic()
    await nudge.sleep(5)
    nudge()
    await nudge.sleep(5)
    assert time.monotonic() - began < 4
    await nudge.sleep(0.01)


def test_a_gate_opens_when_the_last_veto_is_lifted() -> None:
    nudges: list[int] = []
    gate = Gate(lambda: nudges.append(1))
    gate.close(Veto.MEMORY)
    gate.close(Veto.FENCED)
    gate.lift(Veto.MEMORY)
    assert not gate.is_open
    assert not gate.is_stopping
    gate.lift(Veto.FENCED)
    assert gate.is_open
    assert len(nudges) == 4


def test_equal_tasks_without_a_key_are_duplicates_of_the_oldest() -> None:
    oldest = claimed("b", due_at=1.0)
    equal = claimed("a", due_at=2.0)
    routed = claimed("c", due_at=3.0, params_json='{"a": 1, "_router": {"x": 1}}')
    others = [
        claimed("d", idempotency_key="k"),
        claimed("e", description="other"),
        claimed("f", domain="d"),
        claimed("g", params_json='{"a": 2}'),
    ]
    assert duplicates.groups([equal, oldest, routed, *others]) == [(oldest, [equal, routed])]


@pytest.mark.parametrize(
    ("settings", "interval"),
    [
        (Settings(), 30.0),
        (Settings(lease_seconds=30.0), 10.0),
        (Settings(task_lease_s=6.0), 2.0),
        (Settings(dispatcher_renew_s=1.0), 1.0),
    ],
)
def test_renewal_is_at_most_a_third_of_the_silence_that_kills(
    settings: Settings, interval: float
) -> None:
    assert renewal_interval_s(settings) == interval


def test_values_that_cannot_work_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="DISPATCHER_FLUSH_N"):
        check(Settings(dispatcher_flush_n=0), Options())
    with pytest.raises(UsageError, match="exclude"):
        check(Settings(), Options(once=True, until_empty=True))
    with pytest.raises(ConfigError, match="no folder"):
        check(Settings(), Options(metrics_textfile="/no/such/folder/x.prom"))


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:9464", "127.0.0.1", 9464), ("[::1]:1", "::1", 1), (":0", "127.0.0.1", 0)],
)
def test_addresses_are_read(text: str, host: str, port: int) -> None:
    read = address.parse(text)
    assert (read.host, read.port, read.is_private) == (host, port, True)


@pytest.mark.parametrize("text", ["unix:", "9464", "host:port", "host:99999", "host:-1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        address.parse(text)


def test_an_open_address_needs_a_token() -> None:
    with pytest.raises(ConfigError, match="SEEDCORE_API_TOKEN"):
        address.of(Settings(health_addr="0.0.0.0:80"), "x")
    with_token = Settings(health_addr="0.0.0.0:80", api_token="t")
    assert str(address.of(with_token, "x")) == "0.0.0.0:80"


def test_a_socket_in_use_is_not_taken_over(tmp_path: Path) -> None:
    place = address.Address(path=tmp_path / "s")
    first = address.bind(place)
    with pytest.raises(ConfigError, match="another process"):
        address.bind(place)
    first.close()
    address.bind(place).close()


def test_notifications_reach_a_file_and_an_abstract_socket(tmp_path: Path) -> None:
    abstract = f"@seedcore-test-{os.getpid()}"
    for name, bound in (
        (str(tmp_path / "n"), str(tmp_path / "n")),
        (abstract, f"\0{abstract[1:]}"),
    ):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
            receiver.bind(bound)
            receiver.settimeout(5)
            assert Notifier({"NOTIFY_SOCKET": name}).send(status="ready soon", READY=1)
            assert receiver.recv(100) == b"READY=1\nSTATUS=ready soon"
    assert not Notifier({"NOTIFY_SOCKET": name}).send(READY=1)
    assert not Notifier({}).send(READY=1)


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "x"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_answered_only_by_whom_it_watches(
    environ: dict[str, str], seconds: float | None
) -> None:
    assert Notifier(environ).watchdog_s == seconds


_PAGE = """# HELP seedcore_x_total Things
# TYPE seedcore_x_total counter
seedcore_x_total{{kind="a\\"b"}} {x}
# HELP seedcore_now A state
# TYPE seedcore_now gauge
seedcore_now {now}
# HELP seedcore_seen_timestamp_seconds When
# TYPE seedcore_seen_timestamp_seconds gauge
seedcore_seen_timestamp_seconds {seen}
"""


def test_pages_are_added_up_and_states_are_not() -> None:
    merged = merge.total(
        [_PAGE.format(x=1, now=2, seen=10), _PAGE.format(x=2, now=3, seen=20)],
        [_PAGE.format(x=4, now=100, seen=5)],
    )
    assert merged == _PAGE.format(x=7.0, now=5.0, seen=20.0)


def test_summaries_are_added_up_and_what_is_left_is_counted_once() -> None:
    one = {"claimed": 2, "completed": 2, "failed": 0, "retried": 0, "cancelled": 0}
    merged = total(
        [{**one, "seconds": 1.0, "left": 9}, {**one, "seconds": 2.0, "left": 3}],
    )
    assert merged == {
        "claimed": 4,
        "completed": 4,
        "failed": 0,
        "retried": 0,
        "cancelled": 0,
        "seconds": 2.0,
        "rate_per_s": 2.0,
        "left": 3,
    }


def test_a_path_with_odd_characters_is_quoted_in_a_unit() -> None:
    request = unit.Request(program=Path('/opt/my "tools"/100%/seedcore'))
    text = unit.queue_unit(Settings(), request)
    assert 'ExecStart="/opt/my \\"tools\\"/100%%/seedcore" worker queue' in text
    with pytest.raises(UsageError):
        unit.queue_unit(Settings(), unit.Request(program=Path("/a\nb")))
