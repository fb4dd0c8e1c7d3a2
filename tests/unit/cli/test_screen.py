from __future__ import annotations

import io
import os

import pytest

from seedcore_cli.screen import Screen


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("LINES", "5")
    monkeypatch.setenv("COLUMNS", "80")
    return io.StringIO()


def draw(screen: Screen, text: str) -> None:
    with screen.frame() as frame:
        frame.write(text)


def test_the_next_picture_replaces_the_last_one(terminal: io.StringIO) -> None:
    screen = Screen(terminal)
    draw(screen, "a\nb\n")
    assert terminal.getvalue() == "a\nb\n"
    draw(screen, "c\n")
    assert terminal.getvalue() == "a\nb\n\x1b[2A\r\x1b[Jc\n"
    draw(screen, "d\n")
    assert terminal.getvalue().endswith("\x1b[1A\r\x1b[Jd\n")


def test_a_picture_is_never_higher_than_the_window(terminal: io.StringIO) -> None:
    screen = Screen(terminal)
    draw(screen, "".join(f"{n}\n" for n in range(9)))
    assert terminal.getvalue() == "0\n1\n2\n3\n"
    draw(screen, "x\n")
    assert "\x1b[4A" in terminal.getvalue()


def test_a_terminal_that_cannot_move_gets_one_below_the_other(
    terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "TERM", "dumb")
    screen = Screen(terminal)
    draw(screen, "a\n")
    draw(screen, "b\n")
    assert terminal.getvalue() == "a\nb\n"
