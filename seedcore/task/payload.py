"""TaskPayload v2.5: what a task says about itself, in envelopes that don't touch each other.

`params` is the single truth. Every other name (`priority`, `chat_message`, `graph_op`, …) is a mirror:
a property that reads and writes one path in `params` and keeps nothing of its own, so no copy can
disagree, and keys that this version doesn't know travel through unchanged.

    interaction   how the task reaches an agent          chat         the message and its window
    routing       what the router may look at            graph        a graph operation
    cognitive     how an agent should think              multimodal   where voice or vision came from
    _router       what the router decided; written by the system, never by a caller

Whether the content makes sense is the linter's question (`seedcore.task.lint`), not this module's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Generic, Self, TypeVar, cast, overload

from seedcore.errors import UsageError

T = TypeVar("T")

ENVELOPES: Final = ("interaction", "routing", "cognitive", "chat", "graph", "multimodal", "risk")
"""Keys of `params` that hold an object with a meaning of its own."""

INTERACTION_MODES: Final = ("coordinator_routed", "agent_tunnel")
DECISION_KINDS: Final = ("fast", "planner", "hgnn")
MULTIMODAL_SOURCES: Final = ("voice", "vision", "sensor", "text")
TASK_TYPES: Final = ("chat", "query", "action", "graph", "maintenance", "unknown")
"""Types with a meaning of their own; any other text is a custom type."""

HIGH_STAKES_SCORE: Final = 0.8

GRAPH_OPS: Final = {
    "embed": "embed",
    "rag_query": "rag_query",
    "rag": "rag_query",
    "fact_embed": "fact_embed",
    "fact_query": "fact_query",
    "nim_embed": "nim_embed",
    "nim_task_embed": "nim_embed",
    "sync_nodes": "sync_nodes",
    "sync": "sync_nodes",
}
"""Every name of a graph operation, and the operation it stands for."""

GRAPH_OP_PATHS: Final = (("graph_op",), ("graph", "op"), ("graph", "kind"))


class Mirror(Generic[T]):
    """A property over one path in `params`.

    Reading a path that is not there, or whose envelope is not an object, gives None. Writing None
    removes the key, and an envelope that this empties. Writing copies the objects along the path, so
    a document that a caller handed in is never changed.

    Args:
        path: Keys from `params` down.
        legacy: An older path, read when the first one holds nothing; a write moves it away.
    """

    __slots__ = ("_legacy", "path")

    def __init__(self, *path: str, legacy: tuple[str, ...] | None = None) -> None:
        self.path = path
        self._legacy = legacy

    @overload
    def __get__(self, payload: None, owner: type[object]) -> Mirror[T]: ...
    @overload
    def __get__(self, payload: TaskPayload, owner: type[object]) -> T | None: ...
    def __get__(self, payload: TaskPayload | None, owner: type[object]) -> Mirror[T] | T | None:
        """Return what stands at the path."""
        if payload is None:
            return self
        value = at(payload.params, self.path)
        if value is None and self._legacy is not None:
            value = self._read_legacy(at(payload.params, self._legacy))
        return cast("T | None", value)

    def __set__(self, payload: TaskPayload, value: T | None) -> None:
        """Write the path, or remove it.

        Raises:
            UsageError: Something that is not an object is in the way.
        """
        params = with_value(payload.params, self.path, value)
        legacy = self._legacy
        if legacy is not None and self._read_legacy(at(params, legacy)) is not None:
            params = with_value(params, legacy, None)
        payload.params = params

    @staticmethod
    def _read_legacy(value: Any) -> Any:
        # A legacy list of anything but names was a list of calls: not ours to reinterpret.
        if isinstance(value, list) and all(
            isinstance(name, str) for name in cast("list[Any]", value)
        ):
            return cast("list[str]", value)
        return None


class TaskPayload:
    """One task, as it is submitted, stored and handed to an agent.

    Args:
        type: What kind of task it is; any text, `TASK_TYPES` have a meaning of their own.
        params: The envelopes. Kept as given; read the objects in it, change them through mirrors.
        description: Free text, or None.
        domain: Namespace, or None for none.
        drift_score: How unusual the task is; 0 = not at all.
        snapshot_id: Policy snapshot that governs it, or None.
        task_id: The task's UUID, or None before it has one.
        mirrors: Any mirror by its name (`priority=7`), written over `params`; None means not given.

    Raises:
        UsageError: A field can't have that value, or there is no such field.
    """

    __slots__ = (
        "_id",
        "description",
        "domain",
        "drift_score",
        "params",
        "snapshot_id",
        "type",
    )

    FIELDS: ClassVar[tuple[str, ...]] = (
        "task_id",
        "type",
        "description",
        "domain",
        "drift_score",
        "snapshot_id",
        "params",
    )

    tool_calls = Mirror[list[Any]]("tool_calls")
    risk = Mirror[dict[str, Any]]("risk")
    multimodal = Mirror[dict[str, Any]]("multimodal")

    conversation_id = Mirror[str]("interaction", "conversation_id")
    assigned_agent_id = Mirror[str]("interaction", "assigned_agent_id")

    required_specialization = Mirror[str]("routing", "required_specialization")
    specialization = Mirror[str]("routing", "specialization")
    skills = Mirror[dict[str, float]]("routing", "skills")
    routing_tools = Mirror[list[str]]("routing", "tools", legacy=("tools",))
    routing_tags = Mirror[list[str]]("routing", "routing_tags")
    priority = Mirror[int]("routing", "hints", "priority")
    deadline_at = Mirror[str]("routing", "hints", "deadline_at")
    ttl_seconds = Mirror[float]("routing", "hints", "ttl_seconds")
    timeout_s = Mirror[float]("routing", "hints", "timeout_s")
    min_capability = Mirror[float]("routing", "hints", "min_capability")
    max_mem_util = Mirror[float]("routing", "hints", "max_mem_util")

    agent_id = Mirror[str]("cognitive", "agent_id")
    cog_type = Mirror[str]("cognitive", "cog_type")
    decision_kind = Mirror[str]("cognitive", "decision_kind")
    llm_provider_override = Mirror[str]("cognitive", "llm_provider_override")
    llm_model_override = Mirror[str]("cognitive", "llm_model_override")
    skip_retrieval = Mirror[bool]("cognitive", "skip_retrieval")
    disable_memory_write = Mirror[bool]("cognitive", "disable_memory_write")
    force_rag = Mirror[bool]("cognitive", "force_rag")
    force_deep_reasoning = Mirror[bool]("cognitive", "force_deep_reasoning")
    force_fast = Mirror[bool]("cognitive", "force_fast")
    workflow = Mirror[Any]("cognitive", "workflow")

    chat_message = Mirror[str]("chat", "message")
    chat_history = Mirror[list[Any]]("chat", "history")
    agent_persona = Mirror[str]("chat", "agent_persona")
    style = Mirror[str]("chat", "style")

    graph_collection = Mirror[str]("graph", "collection")
    graph_inputs = Mirror[dict[str, Any]]("graph", "inputs")
    graph_config = Mirror[dict[str, Any]]("graph", "config")

    def __init__(
        self,
        /,
        type: str,
        params: Mapping[str, Any] | None = None,
        *,
        description: str | None = "",
        domain: str | None = None,
        drift_score: float = 0.0,
        snapshot_id: int | None = None,
        task_id: Any = None,
        **mirrors: Any,
    ) -> None:
        self.type = _name("type", type)
        self.params: dict[str, Any] = _params(params)
        self.description = _text_or_none("description", description)
        self.domain = _text_or_none("domain", domain)
        self.drift_score = _drift(drift_score)
        self.snapshot_id = _whole_or_none("snapshot_id", snapshot_id)
        self._id = task_id
        for name, value in mirrors.items():
            if name not in MIRRORS:
                raise UsageError(
                    f"TaskPayload has no field {name!r}",
                    code="task.unknown_field",
                    hint="keys of your own belong into params",
                )
            if value is not None:
                setattr(self, name, value)

    @property
    def task_id(self) -> str | None:
        """The task's id as text."""
        return None if self._id is None else str(self._id)

    @task_id.setter
    def task_id(self, value: Any) -> None:
        self._id = value

    @property
    def correlation_id(self) -> str | None:
        """What ties tasks of one cause together; the task's own id where none is given."""
        value = self.params.get("correlation_id")
        return self.task_id if value is None else value

    @correlation_id.setter
    def correlation_id(self, value: str | None) -> None:
        self.params = with_value(self.params, ("correlation_id",), value)

    @property
    def interaction_mode(self) -> str:
        """How the task reaches an agent; `coordinator_routed` where nothing is said."""
        value = at(self.params, ("interaction", "mode"))
        return INTERACTION_MODES[0] if value is None else value

    @interaction_mode.setter
    def interaction_mode(self, value: str | None) -> None:
        self.params = with_value(self.params, ("interaction", "mode"), value)

    @property
    def graph_op(self) -> str | None:
        """The graph operation, as written (aliases are in `GRAPH_OPS`).

        Raises:
            UsageError: Two places name different operations.
        """
        return graph_op(self.params)

    @graph_op.setter
    def graph_op(self, value: str | None) -> None:
        params = with_value(self.params, ("graph", "kind"), None)
        params = with_value(params, ("graph", "op"), value)
        self.params = with_value(params, ("graph_op",), value)

    @property
    def router(self) -> Mapping[str, Any]:
        """What the router decided; empty before it did. Only the system writes it."""
        value = self.params.get("_router")
        return cast("dict[str, Any]", value) if isinstance(value, dict) else {}

    @classmethod
    def model_validate(cls, document: Mapping[str, Any] | TaskPayload) -> Self:
        """Make a payload from a document: fields, mirror names, or both.

        Raises:
            UsageError: A field can't have that value, there is no such field, or type is missing.
        """
        if isinstance(document, TaskPayload):
            document = document.model_dump()
        if "type" not in document:
            raise UsageError("a task needs a type", code="task.bad_field")
        return cls(**document)

    def model_dump(self) -> dict[str, Any]:
        """Return the fields as a document; mirrors are in `params` and not repeated."""
        return {name: getattr(self, name) for name in self.FIELDS}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Make a payload from a row of `tasks`; columns that are not the payload's are left out."""
        return cls(
            row["type"],
            row["params"],
            description=row.get("description"),
            domain=row.get("domain"),
            drift_score=row.get("drift_score", 0.0),
            snapshot_id=row.get("snapshot_id"),
            task_id=row.get("id"),
        )

    def to_row(self) -> dict[str, Any]:
        """Return the columns of `tasks` that the payload fills."""
        return {
            "id": self._id,
            "type": self.type,
            "description": self.description,
            "domain": self.domain,
            "drift_score": self.drift_score,
            "snapshot_id": self.snapshot_id,
            "params": self.params,
        }

    def __eq__(self, other: object) -> bool:
        """Payloads are equal when all they say is."""
        if not isinstance(other, TaskPayload):
            return NotImplemented
        return self.model_dump() == other.model_dump()

    def __repr__(self) -> str:
        """Name the task, never its params: they may hold secrets."""
        return f"<TaskPayload {self.type} {self.task_id or 'new'}>"


MIRRORS: Final = frozenset(
    name for name, member in vars(TaskPayload).items() if isinstance(member, Mirror)
) | {"correlation_id", "interaction_mode", "graph_op"}
"""Names of the mirrors, as the constructor takes them."""


def at(params: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """Return what stands at a path, or None where nothing does."""
    value: Any = params
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = cast("Mapping[str, Any]", value).get(key)
    return value


def with_value(params: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return params with a path set, or removed for None; the given objects stay as they are.

    Raises:
        UsageError: Something that is not an object is in the way.
    """
    key, rest = path[0], path[1:]
    if value is None:
        if key not in params or (rest and not isinstance(params[key], dict)):
            return params
        copy = dict(params)
        if rest:
            copy[key] = with_value(params[key], rest, None)
            if copy[key] is params[key]:
                return params
        if not rest or not copy[key]:
            del copy[key]
        return copy
    copy = dict(params)
    if rest:
        inner = params.get(key)
        if inner is not None and not isinstance(inner, dict):
            raise UsageError(
                f"params.{key} is not an object, so {'.'.join(rest)} can't be set in it",
                code="task.bad_field",
            )
        copy[key] = with_value(cast("dict[str, Any]", inner) or {}, rest, value)
    else:
        copy[key] = value
    return copy


def graph_op(params: Mapping[str, Any]) -> str | None:
    """Return the graph operation that params name, as written, or None.

    Raises:
        UsageError: Two places name different operations.
    """
    named = {
        ".".join(path): value for path in GRAPH_OP_PATHS if (value := at(params, path)) is not None
    }
    values = list(named.values())
    if any(_canonical(value) != _canonical(values[0]) for value in values[1:]):
        listed = ", ".join(f"{path} = {value!r}" for path, value in named.items())
        raise UsageError(f"params name different graph operations: {listed}", code="task.graph_op")
    return values[0] if values else None


def _canonical(name: Any) -> Any:
    return GRAPH_OPS.get(name, name) if isinstance(name, str) else name


def is_high_stakes(params: Mapping[str, Any]) -> bool:
    """Tell whether the risk envelope marks a task whose failure is expensive."""
    risk = params.get("risk")
    if not isinstance(risk, Mapping):
        return False
    risk = cast("Mapping[str, Any]", risk)
    score = risk.get("score")
    return (
        risk.get("is_high_stakes") is True
        or risk.get("level") in ("high", "critical")
        or (isinstance(score, (int, float)) and score >= HIGH_STAKES_SCORE)
    )


def _name(field: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{field} has to be text that is not empty", code="task.bad_field")
    return value


def _params(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UsageError("params has to be an object", code="task.bad_field")
    return dict(cast("Mapping[str, Any]", value))


def _text_or_none(field: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise UsageError(f"{field} has to be text or null", code="task.bad_field")


def _drift(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UsageError("drift_score has to be a number", code="task.bad_field")
    if not (math.isfinite(value) and value >= 0):
        raise UsageError("drift_score has to be finite and at least 0", code="task.bad_field")
    return float(value)


def _whole_or_none(field: str, value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise UsageError(f"{field} has to be a whole number or null", code="task.bad_field")
