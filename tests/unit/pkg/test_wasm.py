from __future__ import annotations

import pytest

from seedcore.pkg.engines.document import Input
from seedcore.pkg.engines.errors import BadPolicy, PolicyError
from seedcore.pkg.engines.wasm import WasmEngine
from tests.unit.pkg.policies import pack, wasm

LOOP = "(loop $again br $again) i32.const 0"
# Takes a page more, for ever, until it gets none; then it does what a policy does without memory.
GROW = """(loop $again
            (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
          i32.const 2000 call $abort i32.const 0"""


def test_a_module_decides_from_the_input_that_it_was_given() -> None:
    # Its answer is denied when the input's second byte is the c of "context"… and it is a t of "tags".
    body = """(if (result i32) (i32.eq (i32.load8_u (i32.add (local.get $input) (i32.const 2)))
                                       (i32.const 116))
               (then i32.const 3072) (else i32.const 1024))"""
    result = '[{"result":{"subtasks":["a",{"name":"b","params":{"n":1}}],"edges":[{"from":"a","to":"b"}]}}]'
    engine = WasmEngine(wasm(pack(body, result=result)))
    for _ in range(3):  # a store of its own for each
        decision = engine.evaluate(Input.parse({"tags": ["x" * 70_000]}))
        assert [s.name for s in decision.subtasks] == ["a", "b"]
        assert decision.edges[0][:2] == ("a", "b")
        assert not decision.denied


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (pack(LOOP), "pkg.timeout"),
        (pack(GROW), "pkg.policy_error"),
        (pack("unreachable"), "pkg.trapped"),
        (pack("i32.const 3072 call $abort i32.const 0", result="no such rule"), "pkg.policy_error"),
        (pack("i32.const 900000000"), "pkg.bad_result"),
        (pack(result="[]"), "pkg.undefined"),
        (pack(result='[{"result":{"elsewhere":1}}]'), "pkg.bad_result"),
        (pack(result='[{"result":{"subtasks":["c"]}}]'), "pkg.bad_result"),
        (pack(result="not json"), "pkg.bad_result"),
    ],
    ids=["loops", "grows", "traps", "aborts", "outside", "undefined", "shape", "subtask", "text"],
)
def test_a_module_that_fails_is_an_error_and_the_next_call_is_not_harmed(
    content: bytes, code: str
) -> None:
    engine = WasmEngine(wasm(content), timeout_s=0.1, memory_mb=2)
    with pytest.raises(PolicyError) as caught:
        engine.evaluate(Input())
    assert caught.value.code == code
    assert "\n" not in caught.value.message
    assert WasmEngine(wasm(pack())).evaluate(Input()).denied


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\0asm but not really", "is no module"),
        (pack(minor=1), "ABI 1.1"),
        (pack(entrypoints='{"other":0}'), "no entrypoint pkg; it has other"),
        (pack(builtins='{"http.send":0}'), "http.send"),
        (
            pack(extra='(import "wasi_snapshot_preview1" "fd_write" (func (param i32)))'),
            "fd_write, which no policy gets",
        ),
    ],
)
def test_a_module_that_is_no_policy_is_refused_when_it_is_loaded(content: bytes, said: str) -> None:
    with pytest.raises(BadPolicy, match=said):
        WasmEngine(wasm(content))


def test_a_pack_whose_hash_does_not_match_is_not_even_compiled() -> None:
    with pytest.raises(BadPolicy, match="damaged"):
        WasmEngine(wasm(pack(), "0" * 64))
