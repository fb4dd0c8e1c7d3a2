"""The WASM engine: modules of OPA's ABI 1.2 on wasmtime, each call in a store of its own.

The ABI is that of https://www.openpolicyagent.org/docs/latest/wasm/ : the host brings the memory and what to
call when the policy gives up or wants a built-in function, `opa_eval` takes the input as JSON text and returns
JSON text. Nothing else of the world can be reached: there is no WASI. Limits are four: fuel (instructions), an
epoch (time), memory, and the stack.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, cast

from seedcore.jsontext import encoder
from seedcore.pkg.engines.decision import Decision
from seedcore.pkg.engines.document import Input
from seedcore.pkg.engines.errors import BadPolicy, PolicyError, missing_library
from seedcore.pkg.engines.foreign import Reader
from seedcore.pkg.engines.port import entry_rule
from seedcore.pkg.model import ArtifactType, Engine, Policy

if TYPE_CHECKING:
    import wasmtime

_PAGE: Final = 65_536
_MIN_PAGES: Final = 16
_MAX_STACK: Final = 512 * 1024
_MAX_RESULT: Final = 64 * 1024 * 1024
_TICK_S: Final = 0.01
_KEPT_MODULES: Final = 8
_ABI: Final = (1, 2)
_IMPORTS: Final = frozenset(
    {"memory", "opa_abort", "opa_println", *(f"opa_builtin{n}" for n in range(5))}
)
FUEL_PER_S: Final = 1_000_000_000
"""Instructions that a second of time limit grants; a machine executes about as many."""

_text = encoder(allow_nan=False)


class WasmEngine:
    """Evaluates a policy that was compiled to WASM elsewhere (`opa build -t wasm`).

    Args:
        policy: The policy, with its pack.
        timeout_s: Longest evaluation, in seconds.
        memory_mb: Largest memory, in megabytes.

    Raises:
        Unavailable: wasmtime is not installed.
        BadPolicy: The module is damaged, no policy, of another ABI, or wants what is not there.
    """

    engine = Engine.WASM

    def __init__(self, policy: Policy, *, timeout_s: float = 2.0, memory_mb: int = 64) -> None:
        artifact = policy.artifact(ArtifactType.WASM_PACK)
        if artifact is None:
            raise BadPolicy("the policy has no WASM pack", code="pkg.no_artifact")
        if importlib.util.find_spec("wasmtime") is None:
            raise missing_library("wasmtime", "WASM")
        found = hashlib.sha256(artifact.content).hexdigest()
        if found != artifact.sha256:
            raise BadPolicy(
                f"the WASM pack is damaged: its sha256 is {found}, not {artifact.sha256}",
                code="pkg.artifact_damaged",
            )
        self._timeout_s = timeout_s
        self._pages = max(memory_mb * 1024 * 1024 // _PAGE, _MIN_PAGES)
        self._reader = Reader(policy)
        self._host = _Host.get()
        self._module = self._host.module(artifact.sha256, artifact.content)
        self._least_pages = _check_imports(self._module)
        with self._call() as call:
            self._entry = call.entrypoint(entry_rule(policy.entrypoint))

    def evaluate(self, document: Input, *, explain: bool = False) -> Decision:
        """Decide.

        Args:
            document: The input.
            explain: Makes no difference: a module does not tell what it looked at.

        Raises:
            PolicyError: It trapped, ran out of fuel, time or memory, or returned no decision.
        """
        began = time.perf_counter()
        with self._call() as call:
            results = call.evaluate(self._entry, _text(document.document()).encode())
        duration_ms = (time.perf_counter() - began) * 1000
        if not isinstance(results, list) or not results:
            raise PolicyError(
                "the entrypoint is undefined for this input",
                code="pkg.undefined",
                hint="give it a default, such as: default denied := false",
            )
        first: Any = cast("list[Any]", results)[0]
        if not isinstance(first, dict) or "result" not in first:
            raise PolicyError("the module's answer has no result", code="pkg.bad_result")
        return self._reader.decision(
            cast("dict[str, Any]", first)["result"], document.dropped, duration_ms
        )

    def close(self) -> None:
        """Do nothing: modules are kept by their hash, for whoever comes next."""

    def _call(self) -> _Call:
        return _Call(
            self._host,
            self._module,
            self._timeout_s,
            max(self._least_pages, _MIN_PAGES),
            self._pages,
        )


class _Host:
    """What all modules of this process share: the compiler, compiled modules, the clock."""

    _one: _Host | None = None
    _lock = threading.Lock()

    def __init__(self) -> None:
        import wasmtime

        config = wasmtime.Config()
        config.consume_fuel = True
        config.epoch_interruption = True
        config.max_wasm_stack = _MAX_STACK
        self.engine = wasmtime.Engine(config)
        self._modules: OrderedDict[str, wasmtime.Module] = OrderedDict()
        self._running = 0
        self._changed = threading.Condition()

    @classmethod
    def get(cls) -> _Host:
        with cls._lock:
            if cls._one is None:
                cls._one = cls()
                threading.Thread(target=cls._one._tick, name="wasm-epochs", daemon=True).start()
            return cls._one

    def module(self, sha256: str, content: bytes) -> wasmtime.Module:
        """Compile a module, or find it compiled."""
        import wasmtime

        with self._lock:
            known = self._modules.get(sha256)
            if known is None:
                try:
                    known = wasmtime.Module(self.engine, content)
                except wasmtime.WasmtimeError as error:
                    raise BadPolicy(
                        f"the WASM pack is no module: {_first_line(error)}", code="pkg.bad_module"
                    ) from None
                self._modules[sha256] = known
                if len(self._modules) > _KEPT_MODULES:
                    self._modules.popitem(last=False)
            else:
                self._modules.move_to_end(sha256)
            return known

    def began(self) -> None:
        with self._changed:
            self._running += 1
            self._changed.notify()

    def ended(self) -> None:
        with self._changed:
            self._running -= 1

    def _tick(self) -> None:
        """Move the epoch on while something runs; it is what ends a module that has time but no end."""
        while True:
            with self._changed:
                while self._running == 0:
                    self._changed.wait()
            time.sleep(_TICK_S)
            self.engine.increment_epoch()


class _Call:
    """One instance of a module, for one evaluation. Used with `with`, which counts its time."""

    def __init__(
        self, host: _Host, module: wasmtime.Module, timeout_s: float, least: int, most: int
    ) -> None:
        import wasmtime

        self._host = host
        self._timeout_s = timeout_s
        self._abort: str | None = None
        self._most = most
        store = self._store = wasmtime.Store(host.engine)
        store.set_fuel(int(timeout_s * FUEL_PER_S))
        store.set_epoch_deadline(max(int(timeout_s / _TICK_S), 1) + 1)
        store.set_limits(memory_size=most * _PAGE, table_elements=100_000, instances=1)
        with self._errors():
            if least > most:
                raise BadPolicy(
                    f"the WASM pack wants {least * _PAGE // 1024 // 1024} MB of memory at once",
                    code="pkg.out_of_memory",
                )
            kind = wasmtime.MemoryType(wasmtime.Limits(least, most))
            self._memory = wasmtime.Memory(store, kind)
            linker = wasmtime.Linker(host.engine)
            linker.define(store, "env", "memory", self._memory)
            self._define(linker)
            host.began()
            try:
                exports = linker.instantiate(store, module).exports(store)
            except BaseException:
                host.ended()
                raise
            self._exports = exports

    def __enter__(self) -> _Call:
        return self

    def __exit__(self, *_: object) -> None:
        self._host.ended()
        self._store.close()

    def entrypoint(self, name: str) -> int:
        """Return the number of an entrypoint, after a look at the ABI and the wanted functions."""
        with self._errors():
            abi = tuple(
                self._global(part)
                for part in ("opa_wasm_abi_version", "opa_wasm_abi_minor_version")
            )
            if abi[0] != _ABI[0] or abi[1] < _ABI[1]:
                raise BadPolicy(
                    f"the WASM pack is of ABI {abi[0]}.{abi[1]}, this program runs"
                    f" {_ABI[0]}.{_ABI[1]}",
                    code="pkg.bad_module",
                )
            wanted = self._table("builtins")
            if wanted:
                raise BadPolicy(
                    f"the WASM pack wants functions of its host: {', '.join(sorted(wanted))}",
                    code="pkg.bad_module",
                    hint="compile the policy without them",
                )
            known = self._table("entrypoints")
            if name not in known:
                raise BadPolicy(
                    f"the WASM pack has no entrypoint {name}; it has"
                    f" {', '.join(sorted(known)) or 'none'}",
                    code="pkg.no_entrypoint",
                )
            return int(known[name])

    def evaluate(self, entry: int, document: bytes) -> Any:
        """Return what `opa_eval` returns for an input."""
        with self._errors():
            heap = self._run("opa_heap_ptr_get")
            # The input lies where the heap begins; the heap begins behind it.
            self._make_room(heap + len(document))
            self._memory.write(self._store, document, heap)
            address = self._run(
                "opa_eval", 0, entry, 0, heap, len(document), heap + len(document), 0
            )
            return self._json(address)

    # -- the module's side --------------------------------------------------------------------

    def _define(self, linker: wasmtime.Linker) -> None:
        import wasmtime

        i32 = wasmtime.ValType.i32()

        def abort(address: int) -> None:
            self._abort = self._string(address, 2000)
            raise RuntimeError("opa_abort")

        def builtin(*_: int) -> int:
            self._abort = "it calls a function of its host, and there are none"
            raise RuntimeError("opa_builtin")

        def printed(_: int) -> None:
            """Say nothing: what a policy prints belongs to nobody."""

        linker.define_func("env", "opa_abort", wasmtime.FuncType([i32], []), abort)
        linker.define_func("env", "opa_println", wasmtime.FuncType([i32], []), printed)
        for number in range(5):
            kind = wasmtime.FuncType([i32] * (2 + number), [i32])
            linker.define_func("env", f"opa_builtin{number}", kind, builtin)

    def _run(self, name: str, *arguments: int) -> int:
        return int(self._export(name)(self._store, *arguments))

    def _export(self, name: str) -> Any:
        try:
            return self._exports[name]
        except KeyError:
            raise BadPolicy(
                f"the WASM pack does not export {name}", code="pkg.bad_module"
            ) from None

    def _global(self, name: str) -> int:
        return int(self._export(name).value(self._store))

    def _table(self, name: str) -> dict[str, Any]:
        value = self._json(self._run("opa_json_dump", self._run(name)))
        return cast("dict[str, Any]", value) if isinstance(value, dict) else {}

    def _make_room(self, size: int) -> None:
        missing = size - self._memory.data_len(self._store)
        if missing > 0:
            self._memory.grow(self._store, -(-missing // _PAGE))

    def _json(self, address: int) -> Any:
        text = self._string(address, _MAX_RESULT)
        try:
            return json.loads(text)
        except ValueError as error:
            raise PolicyError(
                f"the module's answer is not JSON: {error}", code="pkg.bad_result"
            ) from None

    def _string(self, address: int, longest: int) -> str:
        """Return the text at an address, up to the zero behind it."""
        length = self._memory.data_len(self._store)
        if not 0 <= address < length:
            raise PolicyError("the module's answer lies outside its memory", code="pkg.bad_result")
        found = bytearray()
        while address < length and len(found) <= longest:
            piece = self._memory.read(self._store, address, min(address + 4096, length))
            end = piece.find(0)
            if end >= 0:
                return (found + piece[:end]).decode("utf-8", "replace")
            found += piece
            address += len(piece)
        raise PolicyError("the module's answer has no end", code="pkg.bad_result")

    def _errors(self) -> contextlib.AbstractContextManager[None]:
        return _translated(self)

    @property
    def aborted(self) -> str | None:
        """What the module said when it gave up."""
        return self._abort

    @property
    def limits(self) -> tuple[float, int]:
        """Time in seconds, memory in megabytes."""
        return self._timeout_s, self._most * _PAGE // (1024 * 1024)


class _translated(contextlib.AbstractContextManager[None]):  # noqa: N801 - used like a function
    """Turns what wasmtime raises into errors of policy."""

    def __init__(self, call: _Call) -> None:
        self._call = call

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        import wasmtime

        if error is None or isinstance(error, (PolicyError, BadPolicy)):
            return
        timeout_s, memory_mb = self._call.limits
        if self._call.aborted is not None:
            raise PolicyError(f"the policy gave up: {self._call.aborted}") from None
        if isinstance(error, wasmtime.Trap):
            code = error.trap_code
            if code in (wasmtime.TrapCode.INTERRUPT, wasmtime.TrapCode.OUT_OF_FUEL):
                raise PolicyError(
                    f"the policy did not decide within {timeout_s:g} s"
                    + (" of instructions" if code is wasmtime.TrapCode.OUT_OF_FUEL else ""),
                    code="pkg.timeout",
                    hint="a larger PKG_TIMEOUT_S gives it more",
                ) from None
            name = code.name.lower().replace("_", " ") if code is not None else "no code"
            raise PolicyError(f"the policy trapped: {name}", code="pkg.trapped") from None
        if isinstance(error, wasmtime.WasmtimeError):
            said = _first_line(error)
            if "grow" in said or "memory" in said:
                raise PolicyError(
                    f"the policy needs more than {memory_mb} MB", code="pkg.out_of_memory"
                ) from None
            raise PolicyError(f"the policy failed: {said}") from None


def _check_imports(module: wasmtime.Module) -> int:
    """Return the pages that a module wants at least; what it can't have is refused before it runs."""
    import wasmtime

    least = 0
    for wanted in module.imports:
        if wanted.module != "env" or wanted.name not in _IMPORTS:
            raise BadPolicy(
                f"the WASM pack wants {wanted.module}.{wanted.name}, which no policy gets",
                code="pkg.bad_module",
            )
        if isinstance(wanted.type, wasmtime.MemoryType):
            least = max(least, wanted.type.limits.min)
    return least


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return " ".join(lines[-1].split())[:300] if lines else type(error).__name__
