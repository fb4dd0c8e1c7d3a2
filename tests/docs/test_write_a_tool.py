"""Follow docs/how-to/write-a-tool.md to the letter: its files, its commands, its output."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.program import Program

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-tool.md"
BLOCK = re.compile(r"^```(\w+)(?: (.*?))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
END = "@@ end of command {} @@"


@dataclass
class Command:
    """A command as the page shows it, and what it shows below."""

    words: str
    shown: str


def steps() -> list[tuple[str, str, str]]:
    return [(kind, how or "", body) for kind, how, body in BLOCK.findall(PAGE.read_text())]


def commands(body: str) -> list[Command]:
    """Split a console block at its `$ ` lines; `> ` goes on with a command."""
    found: list[Command] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:], ""))
        elif line.startswith("> ") and not found[-1].shown:
            found[-1].words += "\n" + line[2:]
        else:
            found[-1].shown += line + "\n"
    return found


def writing(how: str, body: str) -> str:
    """Return the shell command that does what the page asks the reader to do with a file."""
    name, _, change = how.removeprefix("file=").partition(" ")
    if not change:
        return f"printf %s {shlex.quote(body)} > {name}"
    if change == "append":
        return f"printf '\\n\\n%s' {shlex.quote(body)} >> {name}"
    old = change.removeprefix('replace="').removesuffix('"')
    code = "import pathlib, sys; p = pathlib.Path(sys.argv[1]); t = p.read_text();"
    code += " assert t.count(sys.argv[2]) == 1; p.write_text(t.replace(*sys.argv[2:4]))"
    words = [sys.executable, "-c", code, name, old, body.rstrip("\n")]
    return shlex.join(words)


def comparable(text: str) -> str:
    """Forget what no two runs have in common: ids, times, and blanks at the end of lines."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<id>", text)
    text = re.sub(r"\d+\.\d+s\b", "0.00s", text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def test_a_reader_who_follows_the_page_gets_what_it_shows(
    seedcore: Program, tmp_path: Path, database_url: str
):
    script = ["exec 2>&1", "last() { return $1; }"]
    expected: list[Command] = []
    for kind, how, body in steps():
        if how.startswith("file="):
            script.append(writing(how, body))
        elif kind == "console":
            for command in commands(body):
                # The exit code of the command before, for `echo $?`.
                script += [f"last ${{code:-0}}\n{command.words}\ncode=$?"]
                script += [f"echo; echo {shlex.quote(END.format(len(expected)))}"]
                expected.append(command)
    assert len(expected) > 15

    environment = seedcore.environment(
        {
            "SEEDCORE_OUTPUT": "table",  # what a terminal shows
            "PATH": f"{Path(sys.executable).parent}:{seedcore.env['PATH']}",
            # The reader's pytest has not this project's plugins.
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }
    )
    ran = subprocess.run(
        ["bash"],
        input="\n".join(script),
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    rest = ran.stdout
    for number, command in enumerate(expected):
        output, marker, rest = rest.partition(END.format(number))
        assert marker, f"no answer to {command.words!r}:\n{output}\n{ran.stderr}"
        assert comparable(output) == comparable(command.shown), command.words


def test_the_page_shows_no_file_that_nobody_writes():
    kinds = [(kind, how.startswith("file=")) for kind, how, _ in steps()]
    assert all(written for kind, written in kinds if kind == "python")
    assert {kind for kind, _ in kinds} == {"python", "console", "toml"}
