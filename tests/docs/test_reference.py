"""The reference is what the code says, and what it shows can be typed."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.exceptions import TyperException

from seedcore.config.settings import fields
from seedcore_cli.app import COMMANDS, root
from seedcore_cli.error_codes import error_codes
from seedcore_cli.exit_codes import EXIT_CODES
from seedcore_cli.options import COMMON_IN_SHORT, Common
from seedcore_cli.reference import context, leaves, pages

ROOT = Path(__file__).parents[2]
TREE = root()
LEAVES = dict(leaves(TREE))
CODES = {code.code for code in EXIT_CODES}

_pages = functools.cache(pages)
each_leaf = pytest.mark.parametrize("path", LEAVES, ids=" ".join)


@pytest.mark.parametrize(
    "name", ["cli.md", "settings.md", "exit-codes.md", "output.md", "errors.md"]
)
def test_a_page_is_what_the_code_says(name: str) -> None:
    page = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert page == _pages()[name], "run scripts/generate-docs"


def test_error_codes_are_found_where_they_are_raised() -> None:
    found = {error.code: error.exit_code for error in error_codes()}
    assert found["task.not_found"] == 4
    assert found["db.disk_full"] == 69
    assert found["task.partial"] == 7
    assert found["json.invalid"] == 2
    assert set(found.values()) <= CODES


@each_leaf
def test_the_summary_says_more_than_the_name(path: tuple[str, ...]) -> None:
    summary = LEAVES[path].get_short_help_str()
    assert summary.endswith(".")
    assert summary[0].isupper()
    words = re.sub(r"\W+", " ", summary.lower()).split()
    assert len(words) > 2
    assert words[: len(path) - 1] != list(path[1:])


@each_leaf
def test_every_option_and_argument_is_explained(path: tuple[str, ...]) -> None:
    for parameter in LEAVES[path].params:
        assert parameter.help, f"{parameter.name} has no help"
        assert parameter.help.endswith((".", ")")), parameter.help


@each_leaf
def test_there_is_an_example_and_each_can_be_parsed(path: tuple[str, ...]) -> None:
    examples = list(_commands(LEAVES[path].help or ""))
    assert examples, "no example"
    own = [words for words in examples if words[1 : len(path)] == list(path[1:])]
    assert own, "no example of the command itself"
    for words in examples:
        _parse(words)


@each_leaf
def test_the_exit_codes_it_names_exist(path: tuple[str, ...]) -> None:
    text = LEAVES[path].help or ""
    for found in re.findall(r"Exit codes?:(.*?)(?:\n\s*\n|$)", text, re.DOTALL):
        named = {int(code) for code in re.findall(r"(?:^|;|\balso|\bor|,)\s+(\d+)\b", found)}
        assert named
        assert named <= CODES


@each_leaf
def test_durations_and_the_like_have_a_metavar(path: tuple[str, ...]) -> None:
    for parameter in LEAVES[path].params:
        takes_value = parameter.param_type_name == "option" and not (
            parameter.is_flag or parameter.count
        )
        if takes_value:
            assert parameter.metavar, f"{parameter.name} would show its Python type"


def test_the_common_options_are_all_named_in_short() -> None:
    named = set(re.findall(r"--([a-z-]+)", COMMON_IN_SHORT))
    assert named == {name.replace("_", "-") for name in Common.__dataclass_fields__}


def test_every_listed_command_has_a_line_of_help() -> None:
    for name in TREE.list_commands(context(TREE, ("seedcore",))):
        assert COMMANDS[name].help.endswith(".")


def test_every_setting_has_a_meaning() -> None:
    for field in fields():
        meaning = field.metadata["meaning"]
        assert meaning
        assert not meaning.endswith(".")
        assert meaning != field.name


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_docs_can_be_typed(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"```(?:sh|bash|console|shell)\n(.*?)```", text, re.DOTALL):
        for words in _commands(block):
            _parse(words)


_CALL = re.compile(
    r"^\s*(?:Examples?: +|\$ +|[A-Z_]+=\S+ +)*(?=seedcore |.*\| *seedcore |\w+=\$\(seedcore )"
)


def _commands(text: str) -> Iterator[list[str]]:
    """Yield the calls of seedcore in a text, up to the next pipe or redirection."""
    lines = iter(text.replace("\\\n", " ").splitlines())
    for line in lines:
        starts = _CALL.search(line)
        if starts is None:
            continue
        while line.count("'") % 2 and (more := next(lines, None)) is not None:
            line += "\n" + more.removeprefix("> ")
        for call in re.split(r"\|\||&&|[|;&]|\$\((?=seedcore)", _quoted(line[starts.end() :])):
            call = re.split(r"\s(?:>|<|2>|#)|\)$", call.strip())[0]
            if call.startswith("seedcore "):
                # The shell's own number is one.
                yield [_unquoted(word).replace("$$", "4711") for word in shlex.split(call)]


_HIDDEN = {"|": "\ue000", ";": "\ue001", "&": "\ue002", "#": "\ue003", ">": "\ue004", "<": "\ue005"}


def _quoted(line: str) -> str:
    """Hide what has a meaning to the shell where quotes take it away."""
    return re.sub(
        r"'[^']*'|\"[^\"]*\"",
        lambda match: "".join(_HIDDEN.get(c, c) for c in match.group()),
        line,
    )


def _unquoted(word: str) -> str:
    for shown, hidden in _HIDDEN.items():
        word = word.replace(hidden, shown)
    return word


def _parse(words: list[str]) -> None:
    """Parse a call as the program would, without running it."""
    command: Any = TREE
    rest = words[1:]
    path = ["seedcore"]
    while hasattr(command, "list_commands"):
        at = context(command, tuple(path))
        given = [word for word in rest if not word.startswith("-")]
        if not given or "--help" in rest[: rest.index(given[0])]:
            return
        index = 0
        while rest[index].startswith("-"):
            # The only common options that a page puts before the command take a value.
            index += 1 if "=" in rest[index] or rest[index] in ("-q", "--quiet") else 2
        child = command.get_command(at, rest[index])
        if child is None:
            if rest[index] in COMMANDS:
                return  # of a part that this installation does not have
            pytest.fail(f"no such command: {' '.join(words)}")
        command, rest = child, rest[index + 1 :]
        path.append(words[len(path)])
    try:
        command.make_context(" ".join(path), rest, resilient_parsing=False)
    except TyperException as error:
        pytest.fail(f"{' '.join(words)}: {error.format_message()}")
    except SystemExit:
        return
    except RuntimeError as stopped:  # --help ends it
        if type(stopped).__name__ != "Exit":
            raise
