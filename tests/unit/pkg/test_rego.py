from __future__ import annotations

from collections.abc import Iterator

import pytest

from seedcore.pkg.engines.document import Input
from seedcore.pkg.engines.errors import BadPolicy, PolicyError
from seedcore.pkg.engines.rego import RegoEngine
from seedcore.pkg.model import ArtifactType, Policy
from tests.unit.pkg.policies import artifact, rego

POLICY = """package pkg

import rego.v1

default denied := false

denied if "forbidden" in input.tags

subtasks contains {"name": "a", "params": {"n": input.signals.temp}} if input.signals.temp > 30

subtasks contains "b" if {
	"slow" in input.tags
	x := numbers.range(1, 2000)
	count([1 | some i in x; some j in x; some k in x; i + j + k == -1]) > 0
}

subtasks contains "b" if {
	"large" in input.tags
	x := numbers.range(1, 2000)
	count([s | some i in x; some j in x; s := sprintf("%d-%d-%s", [i, j, input.context.pad])]) < 0
}

subtasks contains 5 if "odd" in input.tags
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[RegoEngine]:
    made = RegoEngine(rego(POLICY), timeout_s=0.5)
    yield made
    made.close()


def test_a_policy_decides_and_an_engine_that_was_ended_starts_again(engine: RegoEngine) -> None:
    for tags, code in (
        ([], None),
        (["slow"], "pkg.timeout"),
        (["odd"], "pkg.bad_result"),
        ([], None),
    ):
        document = Input.parse({"tags": tags, "signals": {"temp": 31.5, "bad": "x"}})
        if code is None:
            decision = engine.evaluate(document)
            assert [(s.name, dict(s.params)) for s in decision.subtasks] == [("a", {"n": 31.5})]
            assert (decision.denied, decision.dropped) == (False, ("bad",))
            continue
        with pytest.raises(PolicyError) as caught:
            engine.evaluate(document)
        assert caught.value.code == code


def test_a_policy_that_grows_is_ended() -> None:
    engine = RegoEngine(rego(POLICY), timeout_s=20, memory_mb=80)
    with pytest.raises(PolicyError) as caught:
        engine.evaluate(Input.parse({"tags": ["large"], "context": {"pad": "y" * 5000}}))
    assert caught.value.code == "pkg.out_of_memory"
    engine.close()


def test_a_module_that_does_not_compile_is_named_with_its_line() -> None:
    with pytest.raises(BadPolicy, match=r"rules/main\.rego:\d: .*unclosed") as caught:
        RegoEngine(rego("package pkg\n\nimport rego.v1\n\na if {\n"))
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("body", ["nobody(1)", "1 / input.context.zero"])
def test_what_fails_in_rego_is_an_error(body: str) -> None:
    engine = RegoEngine(rego(f"package pkg\n\nimport rego.v1\n\ndenied := {body} == 1\n"))
    with pytest.raises(PolicyError):
        engine.evaluate(Input.parse({"context": {"zero": 0}}))
    engine.close()


def test_an_entrypoint_that_says_nothing_is_an_error() -> None:
    engine = RegoEngine(rego("package pkg\n\nimport rego.v1\n\nallow if input.tags[_] == `x`\n"))
    with pytest.raises(PolicyError) as caught:
        engine.evaluate(Input())
    assert caught.value.code in ("pkg.undefined", "pkg.bad_result")
    engine.close()


def test_a_damaged_bundle_never_reaches_the_library() -> None:
    bad = Policy(artifacts=(artifact(ArtifactType.REGO_BUNDLE, b"rbb", "0" * 64),))
    with pytest.raises(BadPolicy, match="damaged"):
        RegoEngine(bad)
    whole = Policy(artifacts=(artifact(ArtifactType.REGO_BUNDLE, b"no bundle at all"),))
    with pytest.raises((BadPolicy, PolicyError)):
        RegoEngine(whole)
