"""What holds for every command: shown on commands made for the purpose."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

import pytest
import typer

from seedcore.errors import Conflict, NotFound
from seedcore_cli import app as tree
from seedcore_cli.app import group
from seedcore_cli.options import Cli, Confirm, DryRun, Yes, common
from seedcore_cli.output import Column
from tests.cli.conftest import Invoke

ROWS = [{"id": "a", "n": 1}, {"id": "b", "n": 2}]
COLUMNS = (Column("id", id=True), Column("n"))


def _sample(seen: dict[str, Any]) -> typer.Typer:
    app = group("Commands of this test.")

    @app.command("list")
    @common
    def list_(cli: Cli, *, limit: Annotated[int, typer.Option(min=0)] = 50) -> None:
        """List rows.

        Example: seedcore sample list --limit 3
        """
        seen.update(cli=cli, limit=limit)
        cli.note("listing")
        cli.printer.many(ROWS, COLUMNS)

    @app.command("fail")
    @common
    def fail(cli: Cli, how: str) -> None:
        """Fail.

        Example: seedcore sample fail bug
        """
        raise {
            "bug": ValueError("two\nlines"),
            "conflict": Conflict("lost it", hint="seedcore sample list", details={"at": 5}),
            "missing": NotFound("no such thing"),
            "memory": MemoryError(),
            "recursion": RecursionError("too deep"),
            "full": OSError(28, "No space left on device"),
            "interrupt": KeyboardInterrupt(),
        }[how]

    @app.command("wipe")
    @common
    def wipe(
        cli: Cli, *, yes: Yes = False, confirm: Confirm = None, dry_run: DryRun = False
    ) -> None:
        """Remove rows.

        Example: seedcore sample wipe --yes
        """
        if confirm is None:
            cli.confirm(level=1, summary="remove 2 rows", yes=yes)
        else:
            cli.confirm(level=2, name="lab", summary="remove lab", given=confirm)
        cli.note("wiped")

    @app.command("spin")
    @common
    def spin(cli: Cli) -> None:
        """Never end.

        Example: seedcore sample spin --timeout 1s
        """
        import time

        while True:
            time.sleep(0.01)

    return app


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    found: dict[str, Any] = {}
    sample = typer.main.get_group(_sample(found))
    sample.name = "sample"
    root: Callable[[], Any] = tree.root

    def with_sample() -> Any:
        command = root()
        command.commands["sample"] = sample
        return command

    entry = tree.LazyGroup("config", "A sample.", "Setup")  # a module that exists
    monkeypatch.setitem(tree.COMMANDS, "sample", entry)
    monkeypatch.setattr(tree, "root", with_sample)
    return found


@pytest.mark.parametrize(
    "words",
    [
        ["-o", "json", "sample", "list"],
        ["sample", "-o", "json", "list"],
        ["sample", "list", "-o", "json"],
        ["-o", "yaml", "sample", "-o", "tsv", "list", "--output=json"],
    ],
)
def test_common_options_work_at_every_level_and_the_nearest_wins(
    invoke: Invoke, seen: dict[str, Any], words: list[str]
) -> None:
    assert invoke(*words).json == ROWS


def test_a_variable_never_beats_a_flag(
    invoke: Invoke, seen: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDCORE_OUTPUT", "jsonl")
    assert invoke("sample", "list").rows == ROWS
    assert invoke("-o", "json", "sample", "list").json == ROWS
    monkeypatch.setenv("SEEDCORE_ACTOR", "env")
    invoke("--actor", "flag", "sample", "list")
    assert seen["cli"].actor == "flag"
    invoke("sample", "list")
    assert seen["cli"].actor == "env"


def test_notes_go_to_standard_error_and_can_be_silenced(
    invoke: Invoke, seen: dict[str, Any]
) -> None:
    result = invoke("sample", "list")
    assert (result.out, result.err) == ("id\tn\na\t1\nb\t2\n", "listing\n")
    for words in (["-q"], ["-o", "json"], ["-o", "jsonl"], ["-o", "yaml"]):
        assert invoke("sample", "list", *words).err == ""


@pytest.mark.parametrize("form", ["table", "wide", "tsv", "json", "jsonl", "yaml", "name"])
def test_a_format_does_not_change_the_exit_code(
    invoke: Invoke, seen: dict[str, Any], form: str
) -> None:
    result = invoke("sample", "fail", "conflict", "-o", form)
    assert (result.code, result.out) == (5, "")
    if form in ("json", "jsonl", "yaml"):
        assert result.error == {
            "code": "conflict",
            "message": "lost it",
            "hint": "seedcore sample list",
            "details": {"at": 5},
            "exit_code": 5,
        }
    else:
        assert result.err == "error: lost it\nhint: seedcore sample list\n"


@pytest.mark.parametrize(
    ("how", "code", "message"),
    [
        ("bug", 1, "unexpected ValueError: two lines"),
        ("memory", 1, "out of memory"),
        ("recursion", 1, "unexpected RecursionError: too deep"),
        ("full", 1, "can't write the output: No space left on device"),
        ("missing", 4, "no such thing"),
    ],
)
def test_every_error_is_one_line_and_a_code(
    invoke: Invoke, seen: dict[str, Any], how: str, code: int, message: str
) -> None:
    result = invoke("sample", "fail", how)
    assert result.code == code
    assert result.err.splitlines()[0] == f"error: {message}"
    assert "Traceback" not in result.err
    assert invoke("sample", "fail", how, "-o", "json").error["message"] == message


def test_a_traceback_is_for_debugging_only(
    invoke: Invoke, seen: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Traceback" in invoke("sample", "fail", "bug", "--debug").err
    monkeypatch.setenv("SEEDCORE_DEBUG", "1")
    assert "Traceback" in invoke("sample", "fail", "bug").err
    monkeypatch.setenv("SEEDCORE_DEBUG", "0")
    assert "Traceback" not in invoke("sample", "fail", "bug").err


def test_an_interrupt_is_quiet(invoke: Invoke, seen: dict[str, Any]) -> None:
    result = invoke("sample", "fail", "interrupt")
    assert (result.code, result.out, result.err) == (130, "", "")


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["smaple"], "no such command 'smaple'. Did you mean 'sample'?", "seedcore --help"),
        (
            ["sample", "lst"],
            "no such command 'lst'. Did you mean 'list'?",
            "seedcore sample --help",
        ),
        (["sample", "list", "--lmit"], "no such option: --lmit", "seedcore sample list --help"),
        (["sample", "list", "--limit", "x"], "'x' is not a whole number", None),
        (["sample", "list", "--limit", "-1"], "-1 is less than 0", None),
        (["sample", "list", "-o", "xml"], "'xml' is not one of table, wide, tsv", None),
        (["sample", "list", "--timeout", "soon"], "'soon' is not a duration", None),
        (["sample", "fail"], "missing argument", None),
        (["sample", "list", "a"], "got unexpected extra argument", None),
    ],
)
def test_wrong_usage_is_two_lines_and_2(
    invoke: Invoke, seen: dict[str, Any], words: list[str], message: str, hint: str | None
) -> None:
    result = invoke(*words)
    assert (result.code, result.out) == (2, "")
    first, second = result.err.splitlines()
    assert first.startswith("error: ")
    assert message in first
    assert second == f"hint: {hint}" if hint else second.startswith("hint: seedcore ")


def test_wrong_usage_in_json_is_an_object_too(invoke: Invoke, seen: dict[str, Any]) -> None:
    for words in (["-o", "json", "sample", "nix"], ["sample", "list", "--nix", "-ojson"]):
        result = invoke(*words)
        assert result.error["exit_code"] == result.code == 2
    assert invoke("sample", "nix", "--output=jsonl").error["code"] == "usage.arguments"


@pytest.mark.parametrize("words", [[], ["sample"]])
def test_nothing_to_do_is_help_on_standard_error_and_2(
    invoke: Invoke, seen: dict[str, Any], words: list[str]
) -> None:
    result = invoke(*words)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("Usage: seedcore")


def test_a_dangerous_command_needs_yes_without_a_terminal(
    invoke: Invoke, seen: dict[str, Any]
) -> None:
    result = invoke("sample", "wipe")
    assert result.code == 10
    assert "remove 2 rows" in result.err
    assert "embedded" in result.err  # where
    assert "--yes" in result.err
    assert invoke("sample", "wipe", "--yes").err == "wiped\n"
    for words in (["--no-input"], ["-o", "json"]):
        assert invoke("sample", "wipe", *words, input=b"y\n", tty=True).code == 10


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"YES\n", 0), (b"\n", 10), (b"", 10)])
def test_a_terminal_is_asked(
    invoke: Invoke, seen: dict[str, Any], answer: bytes, code: int
) -> None:
    result = invoke("sample", "wipe", input=answer, tty=True)
    assert result.code == code
    assert "[y/N]" in result.err
    assert result.out == ""


def test_a_name_confirms_only_itself(invoke: Invoke, seen: dict[str, Any]) -> None:
    assert invoke("sample", "wipe", "--confirm", "lab").code == 0
    result = invoke("sample", "wipe", "--confirm", "prod", "-o", "json")
    assert (result.code, result.error["code"]) == (10, "cli.declined")


def test_the_whole_command_may_have_a_time_out(invoke: Invoke, seen: dict[str, Any]) -> None:
    result = invoke("sample", "spin", "--timeout", "100ms")
    assert (result.code, result.err) == (6, "error: the time of --timeout has passed\n")


@pytest.mark.parametrize("words", [["--color", "never"], ["--color", "auto"], []])
def test_no_escapes_where_no_colours_are_wanted(
    invoke: Invoke, seen: dict[str, Any], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    if not words:
        monkeypatch.setenv("TERM", "dumb")
    elif words[1] == "auto":
        monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in invoke("sample", "list", *words, tty=True).out


def test_colours_on_a_terminal_or_when_asked(invoke: Invoke, seen: dict[str, Any]) -> None:
    assert "\x1b[1m" in invoke("sample", "list", tty=True).out
    assert "\x1b[1m" in invoke("sample", "list", "-o", "table", "--color", "always").out
    assert "\x1b" not in invoke("sample", "list", "-o", "table").out


def test_a_broken_configuration_still_reports_in_the_format_asked_for(
    invoke: Invoke, seen: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASK_LEASE_S", "soon")
    result = invoke("sample", "wipe", "-o", "json")
    assert result.code == 78
    assert result.error["message"].startswith("env:TASK_LEASE_S: task_lease_s: 'soon'")
    monkeypatch.delenv("TASK_LEASE_S")
    monkeypatch.setenv("SEEDCORE_OUTPUT", "xml")
    assert invoke("sample", "wipe").code == 78


def test_json_output_is_what_json_reads(invoke: Invoke, seen: dict[str, Any]) -> None:
    assert json.loads(invoke("sample", "list", "-o", "json", "--columns", "n").out) == [
        {"n": 1},
        {"n": 2},
    ]
