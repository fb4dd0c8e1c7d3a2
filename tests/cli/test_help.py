from __future__ import annotations

import pytest

from seedcore_cli.topics import TOPICS
from tests.cli.conftest import Invoke


def test_topics_are_listed_and_each_can_be_read(invoke: Invoke) -> None:
    listed = invoke("help").out
    for topic in TOPICS:
        assert topic in listed
        result = invoke("help", topic)
        assert (result.code, result.err) == (0, "")
        assert len(result.out.splitlines()) > 8
        assert all(len(line) <= 110 for line in result.out.splitlines())


def test_a_command_is_explained_as_by_its_own_help(invoke: Invoke) -> None:
    assert invoke("help", "config", "set").out == invoke("config", "set", "--help").out
    assert invoke("help", "task").out == invoke("task", "-h").out


def test_an_unknown_topic_is_not_found(invoke: Invoke) -> None:
    result = invoke("help", "exit-code")
    assert (result.code, result.out) == (4, "")
    assert "did you mean exit-codes?" in result.err
    assert "did you mean show?" in invoke("help", "config", "shw").err
    assert invoke("help", "config", "show", "more").code == 4


def test_every_variable_is_in_the_topic(invoke: Invoke) -> None:
    text = invoke("help", "environment").out
    for name in ("SEEDCORE_DATABASE_URL", "PG_DSN", "TASK_LEASE_S", "NO_COLOR", "PGHOST"):
        assert name in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    monkeypatch.setenv("_SEEDCORE_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("COMP_WORDS", "seedcore config s")
    monkeypatch.setenv("COMP_CWORD", "2")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "seedcore config s")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    result = invoke()
    assert result.code == 0
    assert "show" in result.out
    assert "schema" in result.out
    assert "profiles" not in result.out
