"""What may stand in each kind of file, read into the words of `seedcore.pkg.model`.

Whatever does not fit becomes a fault with its line, and the reading goes on.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection
from enum import StrEnum
from typing import Any, TypeVar, cast

from seedcore.pkg.canonical import canonical_json
from seedcore.pkg.documents import Item
from seedcore.pkg.fault import Fault
from seedcore.pkg.model import (
    DEFAULT_PRIORITY,
    INPUT_FIELDS,
    SCHEMA_VERSION,
    Condition,
    ConditionType,
    Emission,
    Env,
    Fixture,
    Operator,
    Relation,
    Rule,
    SubtaskType,
    Where,
    plain_text,
)

MAX_NAME_CHARS = 200
MAX_CONDITIONS = 64
MAX_EMISSIONS = 64
_PRIORITIES = range(-1_000_000, 1_000_001)
_ENTRYPOINT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*([./][A-Za-z_][A-Za-z0-9_]*)*")
_TAGS = "tags"
"""The label of a TAG condition that lists its tags and has no key of its own."""

_MANIFEST = ("version", "environment", "entrypoint", "schema_version", "notes")
_SUBTASK = ("name", "default_params")
_RULE = (
    "name", "priority", "conditions", "emissions", "deny", "disabled", "metadata", "description",
)  # fmt: skip
_CONDITION = ("type", "key", "operator", "value", "predicate", "object")
_EMISSION = ("subtask", "relation", "params", "gate_source")
_FIXTURE = ("name", "input", "expect", "description")
T = TypeVar("T")
W = TypeVar("W", bound=StrEnum)

EXPECTATIONS = ("subtasks", "ordered", "edges", "rules", "denied")


class Reader:
    """Reads documents.

    Args:
        faults: Where what is wrong is added.
    """

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults

    def manifest(self, document: Item | None) -> dict[str, str]:
        """Return what `policy.yaml` says."""
        entry = self._object(document, _MANIFEST, "policy.yaml") if document else None
        if entry is None:
            return {}
        said = {key: text for key in _MANIFEST if (text := self._text(entry, key)) is not None}
        self._name_fits(said.get("version"), entry, "version")
        environment = said.get("environment")
        if environment is not None and environment not in list(Env):
            self._fault(
                entry["environment"].where,
                "bad_environment",
                f'there is no environment "{environment}"; one of {", ".join(Env)}',
            )
            del said["environment"]
        if (entrypoint := said.get("entrypoint")) and not _ENTRYPOINT.fullmatch(entrypoint):
            self._fault(
                entry["entrypoint"].where,
                "bad_entrypoint",
                f'"{entrypoint}" is no path into a policy, such as data.pkg',
            )
        if said.get("schema_version", SCHEMA_VERSION) != SCHEMA_VERSION:
            self._fault(
                entry["schema_version"].where,
                "bad_schema_version",
                f"this program reads schema version {SCHEMA_VERSION}",
            )
        return said

    def subtasks(self, document: Item, stem: str) -> list[SubtaskType]:
        """Return the subtask types of a file."""

        def make(item: Item, name: str | None) -> SubtaskType | None:
            entry = self._object(item, _SUBTASK, "a subtask type")
            if entry is None or (own := self._named(entry, name, item.where)) is None:
                return None
            return SubtaskType(own, self._params(entry, "default_params"), where=item.where)

        return self._each(document, stem, make)

    def rules(self, document: Item, stem: str) -> list[Rule]:
        """Return the native rules of a file; their source is still to be filled in."""
        return self._each(document, stem, self._rule)

    def fixtures(self, document: Item, stem: str) -> list[Fixture]:
        """Return the fixtures of a file."""
        return self._each(document, stem, self._fixture)

    def _rule(self, item: Item, name: str | None) -> Rule | None:
        entry = self._object(item, _RULE, "a rule")
        if entry is None or (own := self._named(entry, name, item.where)) is None:
            return None
        metadata = dict(self._params(entry, "metadata") or {})
        if "deny" in metadata:
            self._fault(entry["metadata"].where, "deny_in_metadata", "say deny beside metadata")
        if (description := self._text(entry, "description")) is not None:
            metadata["description"] = description
        if self._flag(entry, "deny"):
            metadata["deny"] = True
        conditions = self._list(entry, "conditions", MAX_CONDITIONS, self._condition)
        emissions = self._list(entry, "emissions", MAX_EMISSIONS, self._emission)
        return Rule(
            name=own,
            priority=self._priority(entry),
            conditions=tuple(conditions),
            emissions=tuple(emissions),
            metadata=metadata or None,
            disabled=self._flag(entry, "disabled"),
            where=item.where,
        )

    def _condition(self, item: Item, position: int) -> Condition | None:
        entry = self._object(item, _CONDITION, "a condition")
        if entry is None:
            return None
        type_ = self._word(entry, "type", ConditionType, item.where, None)
        operator = self._word(entry, "operator", Operator, item.where, Operator.EXISTS)
        if type_ is None or operator is None:
            return None
        key = self._text(entry, "key")
        if key is None and type_ is ConditionType.TAG and operator is Operator.IN:
            key = _TAGS
        if not key:
            if "key" not in entry or entry["key"].value == "":
                self._fault(item.where, "no_key", f"a {type_} condition needs a key")
            return None
        value = self._comparand(entry.get("value"))
        object_ = entry.get("object")
        return Condition(
            type=type_,
            key=key,
            operator=operator,
            value=value,
            predicate=self._text(entry, "predicate"),
            object=None if object_ is None else object_.plain(),
            position=position,
            where=item.where,
        )

    def _comparand(self, item: Item | None) -> str | None:
        """Return what a condition compares with, as text."""
        if item is None or item.value is None:
            return None
        if isinstance(item.value, dict):
            self._fault(item.where, "bad_value", "a value is a scalar, or for IN a list of them")
            return None
        if isinstance(item.value, list):
            items = cast("list[Item]", item.value)
            if any(isinstance(part.value, (dict, list)) or part.value is None for part in items):
                self._fault(item.where, "bad_value", "a list of values consists of scalars")
                return None
            return canonical_json(item.plain())
        return plain_text(item.value)

    def _emission(self, item: Item, position: int) -> Emission | None:
        entry = self._object(item, _EMISSION, "an emission")
        if entry is None:
            return None
        subtask = self._text(entry, "subtask")
        relation = self._word(entry, "relation", Relation, item.where, Relation.EMITS)
        if not subtask:
            if "subtask" not in entry or entry["subtask"].value == "":
                self._fault(item.where, "no_subtask", "an emission names its subtask")
            return None
        if relation is None:
            return None
        params = self._params(entry, "params")
        if params and "gate_source" in params:
            self._fault(entry["params"].where, "bad_params", "say gate_source beside params")
        source = self._text(entry, "gate_source")
        if source is not None and relation is not Relation.GATE:
            self._fault(
                entry["gate_source"].where, "bad_gate", "only an emission of relation GATE has one"
            )
        return Emission(subtask, relation, params, source, position, item.where)

    def _fixture(self, item: Item, name: str | None) -> Fixture | None:
        entry = self._object(item, _FIXTURE, "a fixture")
        if entry is None or (own := self._named(entry, name, item.where)) is None:
            return None
        self._text(entry, "description")
        input_ = entry.get("input")
        expect = entry.get("expect")
        if input_ is None:
            self._fault(item.where, "no_input", f'the fixture "{own}" has no input')
        if expect is None or not expect.value:
            self._fault(
                expect.where if expect else item.where,
                "no_expectation",
                f'the fixture "{own}" expects nothing; say what of {", ".join(EXPECTATIONS)}',
            )
        if input_ is None or expect is None:
            return None
        inputs = self._object(input_, INPUT_FIELDS, "an input")
        expected = self._object(expect, EXPECTATIONS, "an expectation")
        if inputs is None or expected is None:
            return None
        return Fixture(own, input_.plain(), expect.plain(), item.where)

    def _each(
        self, document: Item, stem: str, make: Callable[[Item, str | None], T | None]
    ) -> list[T]:
        """Read a document that is one entry, named like its file, or a list of entries."""
        if isinstance(document.value, list):
            entries = cast("list[Item]", document.value)
            made = [make(item, None) for item in entries]
        else:
            made = [make(document, stem)]
        return [one for one in made if one is not None]

    def _list(
        self, entry: dict[str, Item], key: str, most: int, make: Callable[[Item, int], T | None]
    ) -> list[T]:
        item = entry.get(key)
        if item is None or item.value is None:
            return []
        if not isinstance(item.value, list):
            self._fault(item.where, "bad_type", f"{key} is a list")
            return []
        parts = cast("list[Item]", item.value)
        if len(parts) > most:
            self._fault(item.where, "too_many", f"a rule has at most {most} {key}")
            return []
        made = [make(part, position) for position, part in enumerate(parts)]
        return [one for one in made if one is not None]

    def _object(self, item: Item, known: Collection[str], what: str) -> dict[str, Item] | None:
        """Return the members of an object, after a look at the names of its keys."""
        if not isinstance(item.value, dict):
            self._fault(item.where, "bad_type", f"{what} is an object with keys")
            return None
        for key, where in item.keys.items():
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                meant = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"
                self._fault(where, "unknown_key", f'{what} has no key "{key}"{meant}')
        return cast("dict[str, Item]", item.value)

    def _named(self, entry: dict[str, Item], name: str | None, where: Where) -> str | None:
        own = self._text(entry, "name")
        if own is None:
            if name is None and "name" not in entry:
                self._fault(where, "no_name", "an entry of a list needs a name")
            own = name
        elif name is not None and own != name:
            self._fault(
                entry["name"].where, "other_name", f'the file is named "{name}", and this "{own}"'
            )
        return own if self._name_fits(own, entry, "name") else None

    def _name_fits(self, name: str | None, entry: dict[str, Item], key: str) -> bool:
        if name is None:
            return False
        if name.strip() == name != "" and len(name) <= MAX_NAME_CHARS and name.isprintable():
            return True
        self._fault(
            entry[key].where,
            "bad_name",
            f"a {key} is 1 to {MAX_NAME_CHARS} printable characters, without space around it",
        )
        return False

    def _text(self, entry: dict[str, Item], key: str) -> str | None:
        """Return a text; a number is one too, as in `version: 42`."""
        item = entry.get(key)
        if item is None or item.value is None:
            return None
        if isinstance(item.value, str):
            return item.value
        if isinstance(item.value, (int, float)) and not isinstance(item.value, bool):
            if isinstance(item.value, float):  # 1.10 would become 1.1
                self._fault(item.where, "bad_type", f"{key} is text; put it in quotes")
                return None
            return str(item.value)
        self._fault(item.where, "bad_type", f"{key} is text")
        return None

    def _flag(self, entry: dict[str, Item], key: str) -> bool:
        item = entry.get(key)
        if item is None or isinstance(item.value, bool):
            return item is not None and item.value is True
        self._fault(item.where, "bad_type", f"{key} is true or false")
        return False

    def _priority(self, entry: dict[str, Item]) -> int:
        item = entry.get("priority")
        if item is None:
            return DEFAULT_PRIORITY
        if type(item.value) is int and item.value in _PRIORITIES:
            return item.value
        self._fault(item.where, "bad_type", "priority is an integer of at most a million")
        return DEFAULT_PRIORITY

    def _params(self, entry: dict[str, Item], key: str) -> dict[str, Any] | None:
        item = entry.get(key)
        if item is None or item.value is None:
            return None
        if not isinstance(item.value, dict):
            self._fault(item.where, "bad_type", f"{key} is an object")
            return None
        return item.plain()

    def _word(
        self, entry: dict[str, Item], key: str, words: type[W], where: Where, default: W | None
    ) -> W | None:
        item = entry.get(key)
        if item is None:
            if default is None:
                self._fault(where, f"no_{key}", f"{key} is missing; one of {', '.join(words)}")
            return default
        if isinstance(item.value, str) and item.value.upper() in list(words):
            return words(item.value.upper())
        given = plain_text(item.plain())
        self._fault(
            item.where, f"bad_{key}", f'there is no {key} "{given}"; one of {", ".join(words)}'
        )
        return None

    def _fault(self, where: Where, code: str, message: str) -> None:
        self.faults.append(Fault(where, code, message))
