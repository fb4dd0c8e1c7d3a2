"""A policy's folder: what is wrong is found, with file and line, and the same files are the same policy."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from seedcore.errors import CheckFailed
from seedcore.pkg import archive, example
from seedcore.pkg.canonical import canonical, checksum
from seedcore.pkg.fault import InvalidPolicy
from seedcore.pkg.folder import load_folder, load_tar, read_policy
from seedcore.pkg.model import Engine, Policy

RULE = """\
conditions:
  - {type: SIGNAL, key: heat, operator: ">=", value: 30}
emissions:
  - subtask: cool
"""


def files(**more: str | bytes | None) -> dict[str, bytes]:
    """A small sound policy; `rules__hot="..."` replaces rules/hot.yaml, None leaves a file out."""
    text: dict[str, str | bytes | None] = {
        "policy": "environment: dev\n",
        "subtasks__cool": "default_params: {fan: 1}\n",
        "subtasks__wait": "name: wait\n",
        "rules__hot": RULE,
        "fixtures__hot": "input: {signals: {heat: 31}}\nexpect: {subtasks: [cool]}\n",
    }
    found: dict[str, bytes] = {}
    for name, content in (text | more).items():
        if content is not None:
            path = name.replace("__", "/") + ("" if "." in name else ".yaml")
            found[path] = content.encode() if isinstance(content, str) else content
    return found


def faults(**more: str | bytes | None) -> list[str]:
    try:
        read_policy(files(**more))
    except InvalidPolicy as error:
        return [str(fault) for fault in error.faults]
    return []


def rule(conditions: str, emissions: str = "[{subtask: cool}]", more: str = "") -> str:
    return f"conditions: {conditions}\nemissions: {emissions}\n{more}"


def test_the_example_is_sound_and_the_small_policy_too() -> None:
    policy = read_policy(example.files())
    assert [r.name for r in policy.rules] == ["quiet-hours", "hot-room", "broken-sensor"]
    assert (policy.engine, len(policy.fixtures)) == (Engine.NATIVE, 4)
    assert policy.rules[0].denies
    assert faults() == []


@pytest.mark.parametrize(
    ("more", "place", "words"),
    [
        ({"rules__hot": RULE.replace("cool", "kool")}, "rules/hot.yaml:4", 'no subtask type "kool"'),
        ({"rules__hot": RULE.replace("key:", "kay:")}, "rules/hot.yaml:2", "did you mean key?"),
        ({"rules__hot": RULE.replace(">=", "=>")}, "rules/hot.yaml:2", 'no operator "=>"'),
        ({"rules__hot": RULE.replace('">="', "MATCHES")}, "rules/hot.yaml:2", "SIGNAL condition has no"),
        ({"rules__hot": RULE.replace("30", "warm")}, "rules/hot.yaml:2", "signals are numbers"),
        ({"rules__hot": RULE + "emissions: []\n"}, "rules/hot.yaml:5", "stands here twice"),
        ({"rules__hot": RULE + "  - {subtask: [}\n"}, "rules/hot.yaml:5", "no YAML"),
        ({"rules__hot": RULE.replace("30", "&a 30")}, None, ""),
        ({"rules__hot": RULE.replace("30", "*a")}, "rules/hot.yaml:2", "no YAML"),
        ({"rules__hot": RULE.replace("30", ".nan")}, "rules/hot.yaml:2", "no number that JSON has"),
        ({"rules__hot": b"name: \xff\n"}, "rules/hot.yaml:1", "no UTF-8"),
        ({"rules__hot": ""}, "rules/hot.yaml", "empty"),
        ({"rules__hot": "conditions: []\n"}, "rules/hot.yaml:1", "emits nothing and denies nothing"),
        ({"rules__hot": rule("[{type: VALUE, key: signal.heat}]")}, "rules/hot.yaml:1", "no input has"),
        (
            {"rules__hot": rule("[{type: VALUE, key: context.a, operator: MATCHES, value: '(a)\\1'}]")},
            "rules/hot.yaml:1", "can't be used",
        ),
        (
            {"rules__hot": rule("\n- {type: TAG, key: a}\n- {type: TAG, key: a}")},
            "rules/hot.yaml:3", "stands here twice",
        ),
        ({"rules__hot": rule("[{type: FACT, key: door}]")}, "rules/hot.yaml:1", "needs a predicate"),
        (
            {"rules__hot": rule("[]", "[{subtask: cool, relation: ORDERS}]")},
            "rules/hot.yaml:2", "nothing is before it",
        ),
        (
            {"rules__hot": rule("[]", "[{subtask: cool}, {subtask: wait, relation: GATE, gate_source: x}]")},
            "rules/hot.yaml:2", 'emits no "x"',
        ),
        (
            {"rules__hot": rule("[]", "[{subtask: cool, relation: GATE, gate_source: wait},"
                                      " {subtask: wait, relation: ORDERS}]")},
            "rules/hot.yaml:2", "wait for each other: cool -> wait -> cool (rule hot)",
        ),
        ({"policy": "environment: moon\n"}, "policy.yaml:1", 'no environment "moon"'),
        ({"policy": None}, "policy.yaml", "missing"),
        ({"policy": "version: 1.10\n"}, "policy.yaml:1", "put it in quotes"),
        ({"rules__hot": None}, "policy.yaml", "no enabled rule"),
        ({"policy.wasm": b"\0asm"}, "rules/hot.yaml:1", "one engine"),
        ({"fixtures__hot": "input: {}\n"}, "fixtures/hot.yaml:1", "expects nothing"),
        ({"fixtures__hot": "input: {tag: []}\nexpect: {denied: no}\n"}, "fixtures/hot.yaml:1", "true or false"),
        ({"fixtures__hot": "input: {}\nexpect: {subtasks: [kool]}\n"}, "fixtures/hot.yaml:1", "kool"),
        ({"subtasks__two": "- {name: cool}\n"}, "subtasks/two.yaml:1", "is at subtasks/cool.yaml:1"),
        ({"subtasks__cool": "default_params: {executor: {}}\n"}, "subtasks/cool.yaml:1", "ST101"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(
    more: dict[str, str | bytes | None], place: str | None, words: str
) -> None:
    found = faults(**more)
    if place is None:
        assert found == []
    else:
        assert any(line.startswith(f"{place}: ") and words in line for line in found), found


@pytest.mark.parametrize(
    ("first", "second", "excluded"),
    [
        ("SIGNAL, key: a, operator: '>', value: 5", "SIGNAL, key: a, operator: '<=', value: 5", True),
        ("SIGNAL, key: a, operator: '>=', value: 5", "SIGNAL, key: a, operator: '<=', value: 5.0", False),
        ("SIGNAL, key: a, operator: '=', value: 5", "SIGNAL, key: a, operator: '!=', value: 5.0", True),
        ("SIGNAL, key: a, operator: '>', value: 5", "SIGNAL, key: b, operator: '<', value: 5", False),
        ("TAG, key: a", "TAG, key: a, operator: '!='", True),
        ("TAG, operator: IN, value: [a, b]", "TAG, key: a, operator: '!='", False),
        ("VALUE, key: context.a, operator: '=', value: x", "VALUE, key: context.a, operator: IN, value: [y]", True),
        ("VALUE, key: context.a, operator: IN, value: [x, y]", "VALUE, key: context.a, operator: '!=', value: x", False),
        ("VALUE, key: context.a, operator: '=', value: cat", "VALUE, key: context.a, operator: MATCHES, value: ^d", True),
        (
            "VALUE, key: context.t, operator: '>', value: 2026-01-01T00:00:00Z",
            "VALUE, key: context.t, operator: '<', value: 2026-01-01T00:00:00+02:00", True,
        ),
        ("FACT, key: d, predicate: is, object: open", "FACT, key: d, predicate: is, operator: '!='", True),
        ("FACT, key: d, predicate: is, object: open", "FACT, key: d, predicate: is, object: shut, operator: '!='", False),
    ],
)  # fmt: skip
def test_conditions_that_exclude_each_other_are_found(
    first: str, second: str, excluded: bool
) -> None:
    text = rule(f"\n  - {{type: {first}}}\n  - {{type: {second}}}")
    found = faults(rules__hot=text)
    assert [line for line in found if "exclude each other" in line] == found
    assert (found != []) is excluded


def test_a_cycle_counts_only_if_its_rules_can_fire_together() -> None:
    forth = rule("[{type: TAG, key: a}]", "[{subtask: cool}, {subtask: wait, relation: ORDERS}]")
    back = "[{subtask: wait}, {subtask: cool, relation: ORDERS}]"
    both = faults(rules__hot=forth, rules__back=rule("[{type: TAG, key: b}]", back))
    assert len(both) == 1
    assert "(rules back, hot)" in both[0]
    never = rule("[{type: TAG, key: a, operator: '!='}]", back)
    assert faults(rules__hot=forth, rules__back=never) == []
    other = rule("[]", "[{subtask: wait}, {subtask: cool, relation: ORDERS, params: {fan: 2}}]")
    assert faults(rules__hot=forth, rules__back=other) == []
    same = rule("[]", "[{subtask: wait}, {subtask: cool, relation: ORDERS, params: {fan: 1}}]")
    assert len(faults(rules__hot=forth, rules__back=same)) == 1


def test_a_rule_that_only_fires_where_another_denies_is_unreachable() -> None:
    stop = "conditions: [{type: TAG, key: stop}]\ndeny: true\n"
    narrow = rule("[{type: TAG, key: stop}, {type: TAG, key: a}]")
    found = faults(rules__hot=narrow, rules__stop=stop)
    assert found == [
        (
            'rules/hot.yaml:1: the rule "hot" has no effect: "stop" at rules/stop.yaml:1 denies '
            "whenever it fires"
        )
    ]
    assert faults(rules__stop=stop) == []


def test_all_faults_come_at_once_and_rego_stands_alone() -> None:
    assert (
        len(faults(policy="a: 1\n", rules__hot=RULE.replace("cool", "x").replace("30", "y"))) == 3
    )
    module = {"rules__hot": None, "rules__main.rego": "package pkg\n"}
    policy = read_policy(files(**module))
    assert (policy.engine, policy.rules[0].name) == (Engine.REGO, "main")
    assert any("native and rego" in line for line in faults(**{"rules__main.rego": "package p\n"}))


def test_the_same_files_give_the_same_bytes_and_digits(tmp_path: Path) -> None:
    """The digits are written down: another machine, Python or locale has to find them too."""
    given = files()
    policy = read_policy(given)
    backwards = read_policy(dict(reversed(given.items())))
    assert checksum(policy) == checksum(backwards)
    assert checksum(policy) == "f13b66a0b6e9313dfc8774d6eb8bb85ded9a348cf602b26ba6f883b2ccbbf5fd"
    archive.write_new_folder(given, tmp_path / "p")
    (tmp_path / "p" / ".hidden").write_text("x")
    (tmp_path / "p" / "rules" / "hot.yaml~").write_text("x")
    again = load_folder(tmp_path / "p")
    assert canonical(again) == canonical(policy)
    packed = archive.pack(given)
    assert archive.unpack(packed) == given
    assert archive.pack(archive.unpack(packed)) == packed
    assert checksum(load_tar(packed)) == checksum(policy)
    commented = read_policy(files(rules__hot="# why\n" + RULE))
    assert _content(commented) == _content(policy)
    assert checksum(commented) != checksum(policy)


def _content(policy: Policy) -> object:
    return [(r.name, r.source) for r in policy.rules]


def test_a_folder_with_more_than_a_policy_is_refused(tmp_path: Path) -> None:
    archive.write_new_folder(files(), tmp_path / "p")
    (tmp_path / "p" / "rules" / "deep").mkdir()
    (tmp_path / "p" / "rules" / "cold.yml").write_text("x")
    (tmp_path / "p" / "link.md").symlink_to("/etc/passwd")
    with pytest.raises(InvalidPolicy) as caught:
        load_folder(tmp_path / "p")
    assert [f.where.path for f in caught.value.faults] == [
        "link.md",
        "rules/cold.yml",
        "rules/deep",
    ]


def test_a_bad_archive_is_refused() -> None:
    with pytest.raises(CheckFailed, match="can't be read"):
        load_tar(b"no tar at all")
    with pytest.raises(CheckFailed):
        load_tar(archive.pack(files())[:700])
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../../etc/passwd"))
    with pytest.raises(InvalidPolicy, match="no part of a policy"):
        load_tar(buffer.getvalue())
