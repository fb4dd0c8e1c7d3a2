"""Policies for tests: small ones by hand, and WASM packs that speak OPA's ABI."""

from __future__ import annotations

import hashlib
from typing import Any

from seedcore.pkg.model import (
    Artifact,
    ArtifactType,
    Condition,
    ConditionType,
    Emission,
    Engine,
    Operator,
    Policy,
    Relation,
    Rule,
    SubtaskType,
    Where,
)


def tag(name: str, operator: Operator = Operator.EXISTS, value: str | None = None) -> Condition:
    return Condition(ConditionType.TAG, name, operator, value)


def signal(name: str, operator: Operator, value: object = None) -> Condition:
    return Condition(ConditionType.SIGNAL, name, operator, None if value is None else str(value))


def value(path: str, operator: Operator, text: str | None = None) -> Condition:
    return Condition(ConditionType.VALUE, path, operator, text)


def fact(
    subject: str, predicate: str, wanted: Any = None, operator: Operator = Operator.EXISTS
) -> Condition:
    return Condition(ConditionType.FACT, subject, operator, None, predicate, wanted)


def rule(
    name: str, *conditions: Condition, emits: tuple[Any, ...] = (), priority: int = 100, **more: Any
) -> Rule:
    made = [
        emission if isinstance(emission, Emission) else Emission(emission) for emission in emits
    ]
    placed = tuple(
        Emission(e.subtask, e.relation, e.params, e.gate_source, place)
        for place, e in enumerate(made)
    )
    numbered = tuple(
        Condition(c.type, c.key, c.operator, c.value, c.predicate, c.object, place)
        for place, c in enumerate(conditions)
    )
    return Rule(name, priority, conditions=numbered, emissions=placed, **more)


def policy(*rules: Rule, subtasks: dict[str, Any] | None = None) -> Policy:
    return Policy(
        subtasks=tuple(SubtaskType(n, d) for n, d in (subtasks or {"a": None, "b": None}).items()),
        rules=rules,
    )


def orders(name: str, **params: Any) -> Emission:
    return Emission(name, Relation.ORDERS, params or None)


def gate(name: str, source: str | None = None) -> Emission:
    return Emission(name, Relation.GATE, None, source)


def rego(source: str, *, subtasks: tuple[str, ...] = ("a", "b"), **more: Any) -> Policy:
    module = Rule("main", engine=Engine.REGO, source=source, where=Where("rules/main.rego"))
    return Policy(subtasks=tuple(SubtaskType(name) for name in subtasks), rules=(module,), **more)


def artifact(kind: ArtifactType, content: bytes, sha256: str | None = None) -> Artifact:
    return Artifact(kind, content, sha256 or hashlib.sha256(content).hexdigest())


def pack(
    body: str = "i32.const 3072",
    *,
    result: str = '[{"result":{"denied":true}}]',
    minor: int = 2,
    entrypoints: str = '{"pkg":0}',
    builtins: str = "{}",
    extra: str = "",
) -> bytes:
    """Return a module whose opa_eval has this body; by default it returns `result`."""
    import wasmtime

    texts = {1024: builtins, 2048: entrypoints, 3072: result}
    data = "\n".join(
        f'(data (i32.const {at}) "{_escaped(text)}\\00")' for at, text in texts.items()
    )
    return bytes(
        wasmtime.wat2wasm(f"""(module
          (import "env" "memory" (memory 1))
          (import "env" "opa_abort" (func $abort (param i32)))
          {extra}
          (global (export "opa_wasm_abi_version") i32 (i32.const 1))
          (global (export "opa_wasm_abi_minor_version") i32 (i32.const {minor}))
          (func (export "builtins") (result i32) i32.const 1024)
          (func (export "entrypoints") (result i32) i32.const 2048)
          (func (export "opa_json_dump") (param i32) (result i32) local.get 0)
          (func (export "opa_heap_ptr_get") (result i32) i32.const 8192)
          (func (export "opa_eval") (param $r i32) (param $entry i32) (param $data i32)
            (param $input i32) (param $length i32) (param $heap i32) (param $format i32)
            (result i32) {body})
          {data})""")
    )


def _escaped(text: str) -> str:
    return "".join(f"\\{byte:02x}" for byte in text.encode())


def wasm(content: bytes, sha256: str | None = None) -> Policy:
    return Policy(
        subtasks=(SubtaskType("a"), SubtaskType("b")),
        artifacts=(artifact(ArtifactType.WASM_PACK, content, sha256),),
    )
