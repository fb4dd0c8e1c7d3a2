"""How long policy takes to decide: the native engine beside the same policy in Rego and a pack in WASM.

    python benchmarks/policy.py [--quick] [--rules 1000] [--inputs 5000] [--load 10000]

Rules have three conditions each (a tag, a threshold of a signal, a value) and emit two subtasks in order;
inputs have 8 tags, 20 signals and a context. Every input's decision by Rego is compared with the native one.
Three parts:

- decide: time per input of the native engine, plain and explained, and of `to_rego` of the same policy in
  regopy's process; the two kinds alternate, so that what disturbs the machine disturbs both;
- small: the same with 20 rules, beside a WASM module that returns a constant: what an engine costs at least;
- load: a stored snapshot of many rules, read from PostgreSQL, verified, and compiled.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Run as a file, this folder would come first, and its queue.py would stand for the standard library's.
if sys.path[0] == str(Path(__file__).parent):
    sys.path[0] = str(Path(__file__).parents[1])

import argparse
import gc
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg

from seedcore.db import migrate
from seedcore.db.embedded import EmbeddedServer
from seedcore.pkg import store
from seedcore.pkg.engines.document import Input
from seedcore.pkg.engines.native import NativeEngine
from seedcore.pkg.engines.port import Evaluator
from seedcore.pkg.engines.rego import RegoEngine
from seedcore.pkg.engines.translate import to_rego
from seedcore.pkg.engines.wasm import WasmEngine
from seedcore.pkg.model import (
    Artifact,
    ArtifactType,
    Condition,
    ConditionType,
    Emission,
    Engine,
    Env,
    Operator,
    Policy,
    Relation,
    Rule,
    SubtaskType,
)

MARK_P99_MS = 2.0
MARK_LOAD_S = 1.0
MARK_RATIO = 2.0

_PACK = """(module
  (import "env" "memory" (memory 1))
  (global (export "opa_wasm_abi_version") i32 (i32.const 1))
  (global (export "opa_wasm_abi_minor_version") i32 (i32.const 2))
  (func (export "builtins") (result i32) i32.const 1024)
  (func (export "entrypoints") (result i32) i32.const 2048)
  (func (export "opa_json_dump") (param i32) (result i32) local.get 0)
  (func (export "opa_heap_ptr_get") (result i32) i32.const 8192)
  (func (export "opa_eval") (param i32 i32 i32 i32 i32 i32 i32) (result i32) i32.const 3072)
  (data (i32.const 1024) "{}\\00")
  (data (i32.const 2048) "{\\22pkg\\22:0}\\00")
  (data (i32.const 3072) "[{\\22result\\22:true}]\\00"))"""


def policy_of(rules: int, chance: random.Random) -> Policy:
    """Return a policy of so many rules with three conditions each."""
    made: list[Rule] = []
    for number in range(rules):
        conditions = (
            Condition(ConditionType.TAG, f"tag{chance.randrange(50)}"),
            Condition(
                ConditionType.SIGNAL,
                f"signal{chance.randrange(20)}",
                chance.choice([Operator.GT, Operator.LT]),
                str(round(chance.random(), 3)),
                position=1,
            ),
            Condition(
                ConditionType.VALUE,
                "context.domain",
                chance.choice([Operator.EQ, Operator.NE]),
                f"domain{chance.randrange(10)}",
                position=2,
            ),
        )
        emissions = (
            Emission("act", params={"way": number % 30}),
            Emission("report", Relation.ORDERS, position=1),
        )
        name = f"rule{number:05}"
        made.append(
            Rule(
                name,
                chance.randrange(200),
                source=f'{{"rule":"{name}"}}',
                conditions=conditions,
                emissions=emissions,
            )
        )
    subtasks = (SubtaskType("act", {"options": {"force": 1}}), SubtaskType("report"))
    made.sort(key=lambda rule: (-rule.priority, rule.name))
    return Policy(subtasks=subtasks, rules=tuple(made))


def input_of(chance: random.Random) -> dict[str, Any]:
    """Return an input that some of the rules fire on."""
    return {
        "tags": [f"tag{chance.randrange(50)}" for _ in range(8)],
        "signals": {f"signal{number}": chance.random() for number in range(20)},
        "context": {"domain": f"domain{chance.randrange(10)}", "room": {"number": 7}},
    }


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return milliseconds and what came of it."""
    began = time.perf_counter()
    result = work()
    return (time.perf_counter() - began) * 1000, result


def line(name: str, values: list[float], note: str = "") -> str:
    """Return one line of the table."""
    ordered = sorted(values)
    p99 = ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)]
    return (
        f"  {name:<22}{len(ordered):>7}{statistics.median(ordered):>11.3f}"
        f"{p99:>11.3f}{ordered[-1]:>11.3f}  {note}"
    )


def judged(name: str, value: float, mark: float, *, least: bool = False) -> None:
    """Print a mark and whether it is reached."""
    met = value >= mark if least else value <= mark
    sign = ">=" if least else "<="
    print(f"  mark: {name} {value:,.3f} {sign} {mark:g}: {'reached' if met else 'MISSED'}")


def decide(rules: int, inputs: int, rego_inputs: int, timeout_s: float) -> float:
    """Time both engines on the same policy; return the native p99 in milliseconds."""
    chance = random.Random(7)
    policy = policy_of(rules, chance)
    raws = [input_of(chance) for _ in range(inputs)]
    compile_ms, native = timed(lambda: NativeEngine(policy))
    module = Rule("all", engine=Engine.REGO, source=to_rego(policy))
    translated = replace(policy, rules=(module,))
    rego_ms, rego = timed(lambda: RegoEngine(translated, timeout_s=timeout_s, memory_mb=2000))
    times: dict[str, list[float]] = {"native": [], "native, explained": [], "rego": []}
    fired = 0
    gc.collect()
    gc.freeze()
    every = max(inputs // max(rego_inputs, 1), 1)
    for number, raw in enumerate(raws):
        # As a worker does it: the input is checked, then decided on.
        ms, decision = timed(lambda raw=raw: native.evaluate(Input.parse(raw)))
        times["native"].append(ms)
        fired += len(decision.rules)
        if number % every == 0:
            ms, told = timed(lambda raw=raw: native.evaluate(Input.parse(raw), explain=True))
            times["native, explained"].append(ms)
            assert told.essence() == decision.essence()
            ms, other = timed(lambda raw=raw: rego.evaluate(Input.parse(raw)))
            times["rego"].append(ms)
            assert [r.name for r in other.rules] == [r.name for r in decision.rules]
            assert len(other.subtasks) == len(decision.subtasks)
    rego.close()
    print(f"\n{rules:,} rules with 3 conditions each; {fired / inputs:.1f} fire on an input\n")
    print(f"  {'engine':<22}{'inputs':>7}{'p50 ms':>11}{'p99 ms':>11}{'max ms':>11}")
    print(line("native", times["native"], f"compiled in {compile_ms:,.0f} ms"))
    print(line("native, explained", times["native, explained"]))
    print(line("rego (regopy)", times["rego"], f"compiled in {rego_ms:,.0f} ms"))
    ratio = statistics.median(times["rego"]) / statistics.median(times["native"])
    p99 = sorted(times["native"])[int(inputs * 0.99)]
    print()
    judged("native p99, ms", p99, MARK_P99_MS)
    judged("native beside Rego, times as fast", ratio, MARK_RATIO, least=True)
    return p99


def small(inputs: int) -> None:
    """Time what each engine costs at least."""
    import hashlib

    import wasmtime

    chance = random.Random(8)
    policy = policy_of(20, chance)
    content = bytes(wasmtime.wat2wasm(_PACK))
    pack = Artifact(ArtifactType.WASM_PACK, content, hashlib.sha256(content).hexdigest())
    constant = Rule(
        "all", engine=Engine.REGO, source="package pkg\n\nimport rego.v1\n\ndenied := false\n"
    )
    engines: dict[str, Evaluator] = {
        "native, 20 rules": NativeEngine(policy),
        "rego, a constant": RegoEngine(replace(policy, rules=(constant,))),
        "wasm, a constant": WasmEngine(replace(policy, rules=(), artifacts=(pack,))),
    }
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(inputs):
        document = Input.parse(input_of(chance))
        for name, engine in engines.items():
            ms, _ = timed(lambda engine=engine, document=document: engine.evaluate(document))
            times[name].append(ms)
    print("\nwhat an engine costs at least\n")
    print(f"  {'engine':<22}{'inputs':>7}{'p50 ms':>11}{'p99 ms':>11}{'max ms':>11}")
    for name, values in times.items():
        print(line(name, values))
        engines[name].close()


def load(rules: int) -> None:
    """Time reading, verifying and compiling a stored snapshot."""
    policy = policy_of(rules, random.Random(9))
    with tempfile.TemporaryDirectory(prefix="sc-policy-") as folder:
        server = EmbeddedServer(Path(folder))
        server.ensure_running()
        try:
            migrate.up_url(server.conninfo())
            with psycopg.connect(server.conninfo(), autocommit=True) as conn:
                with conn.transaction():
                    stored = store.insert(
                        conn, policy, version="v1", env=Env.PROD, actor="benchmark"
                    )
                seconds: list[float] = []
                busy: list[float] = []
                for _ in range(5):
                    used = time.process_time()
                    read_ms, found = timed(lambda: store.load(conn, stored.id))
                    compile_ms, _ = timed(lambda found=found: NativeEngine(found))
                    seconds.append((read_ms + compile_ms) / 1000)
                    busy.append(time.process_time() - used)
        finally:
            server.stop()
    print(f"\nload: {rules:,} rules with {3 * rules:,} conditions\n")
    print(f"  read and verified {read_ms / 1000:.3f} s, compiled {compile_ms / 1000:.3f} s")
    print(f"  processor time of this process: {statistics.median(busy):.3f} s")
    judged("loaded, s (median of 5)", statistics.median(seconds), MARK_LOAD_S)


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, under half a minute")
    parser.add_argument("--rules", type=int, default=1000)
    parser.add_argument("--inputs", type=int, default=5000)
    parser.add_argument("--rego-inputs", type=int, default=10)
    parser.add_argument("--load", type=int, default=10_000)
    given = parser.parse_args()
    if given.quick:
        decide(given.rules, 1000, 2, 60)
        small(50)
    else:
        decide(given.rules, given.inputs, given.rego_inputs, 60)
        small(500)
    load(given.load)


if __name__ == "__main__":
    main()
