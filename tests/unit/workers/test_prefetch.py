"""How much is held follows the run times."""

from __future__ import annotations

import pytest

from seedcore.config.loading import load
from seedcore.config.settings import Settings
from seedcore.errors import ConfigError
from tests.unit.workers.test_parts import claimed
from workers.prefetch import Prefetch

TASK = claimed("1")


def automatic(concurrency: int = 16, silence_s: float = 90) -> Prefetch:
    return Prefetch(Settings(dispatcher_concurrency=concurrency), silence_s)


def settle(prefetch: Prefetch, run_s: float, rounds: int = 12) -> list[int]:
    """Run tasks of that length; the queue gives all that is asked for."""
    seen: list[int] = []
    for _ in range(rounds):
        for _ in range(40):
            prefetch.ended(run_s)
        prefetch.claimed([TASK], is_full=True)
        seen.append(prefetch.now)
    return seen


def test_it_doubles_while_tasks_are_short_up_to_a_bound() -> None:
    prefetch = automatic()
    assert prefetch.now == 32
    assert settle(prefetch, 0.0005)[:6] == [64, 128, 256, 512, 1000, 1000]


@pytest.mark.parametrize(("run_s", "held"), [(0.01, 400), (0.1, 40), (1.0, 4), (60.0, 0)])
def test_what_is_held_can_start_soon(run_s: float, held: int) -> None:
    prefetch = automatic()
    assert settle(prefetch, run_s)[-1] == pytest.approx(held, abs=1)


@pytest.mark.parametrize(("run_s", "silence_s"), [(0.01, 1.0), (0.05, 2.0), (0.1, 0.5)])
def test_never_more_than_can_start_within_a_tenth_of_a_short_lease(
    run_s: float, silence_s: float
) -> None:
    prefetch = automatic(4, silence_s)
    settle(prefetch, run_s)
    assert prefetch.now * run_s / 4 <= silence_s / 10
    assert prefetch.ttl_s == pytest.approx(silence_s / 10)


def test_one_long_run_makes_it_small_at_once_and_short_ones_slowly_large() -> None:
    prefetch = automatic()
    settle(prefetch, 0.001)
    assert prefetch.now == 1000
    prefetch.ended(10)
    prefetch.look([])
    assert prefetch.now <= 2
    few = settle(prefetch, 0.001, rounds=1)[0]
    assert few < 10
    assert settle(prefetch, 0.001)[-1] > 100


def test_runs_that_hang_count_before_they_end_when_they_are_the_rule() -> None:
    prefetch = automatic(4)
    settle(prefetch, 0.001)
    prefetch.look([30.0, 0.001, 0.001, 0.002])
    assert prefetch.now > 500
    prefetch.look([30.0, 29.0, 31.0])  # a slot is free: nothing has to wait
    assert prefetch.now > 500
    prefetch.look([30.0, 29.0, 31.0, 0.001])
    assert prefetch.now == 0


def test_a_queue_that_gives_less_than_asked_for_does_not_make_it_grow() -> None:
    prefetch = automatic()
    prefetch.ended(0.001)
    prefetch.claimed([TASK], is_full=False)
    assert prefetch.now == 32


def test_large_payloads_are_held_sparingly() -> None:
    prefetch = automatic()
    large = claimed("1", params_json="x" * 1_000_000)
    for _ in range(10):
        prefetch.ended(0.0001)
        prefetch.claimed([large], is_full=True)
    assert prefetch.now == 33


def test_a_number_is_a_number() -> None:
    prefetch = Prefetch(Settings(dispatcher_prefetch=5), 90)
    settle(prefetch, 0.0001)
    settle(prefetch, 100)
    prefetch.look([1000.0] * 16)
    assert prefetch.now == 5
    assert prefetch.ttl_s is None


@pytest.mark.parametrize(("word", "value"), [("auto", None), ("AUTO", None), ("0", 0), ("64", 64)])
def test_the_setting_takes_a_number_or_auto(word: str, value: int | None) -> None:
    assert load(environ={"DISPATCHER_PREFETCH": word}).dispatcher_prefetch == value


@pytest.mark.parametrize("word", ["-1", "many", "1.5"])
def test_and_nothing_else(word: str) -> None:
    with pytest.raises(ConfigError, match="DISPATCHER_PREFETCH"):
        load(environ={"DISPATCHER_PREFETCH": word})
