"""One line of a bulk submission: from its text to a task that can be stored, and what became of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from seedcore.errors import UsageError
from seedcore.task.ids import new_id
from seedcore.task.intake import FieldError, read_fields
from seedcore.task.lint import (
    InvalidJson,
    LintMode,
    Severity,
    compact_json,
    lint_instance,
    load_json,
    refused,
)
from seedcore.task.reading import Line

Unique = Literal["waiting", "unfinished", "live", "ever"]
"""How long a task keeps its idempotency key taken: until its first attempt begins, until it has ended,
until it failed or was cancelled, or for ever."""

OnConflict = Literal["return", "skip", "fail"]


@dataclass(frozen=True, slots=True)
class LineError:
    """Why a line made no task, or why its task was cancelled at once.

    Args:
        code: A stable word, or the linter's rule.
        message: What is wrong.
        pointer: JSON pointer to the spot in the line, if there is one.
        column: Column of a syntax error in the line, from 1.
        hint: The cure, when the message does not say it.
    """

    code: str
    message: str
    pointer: str | None = None
    column: int | None = None
    hint: str | None = None


class LineResult(NamedTuple):
    """What became of one line.

    Attributes:
        line: Its number in the input; of an element in an array.
        id: The task, new or known; None when there is none.
        status: Where the task stands; None when there is none.
        created: Whether this line made it.
        error: Why there is none, or why the task was cancelled at once.
        warnings: What the linter warns of, a sentence each.
    """

    line: int
    id: str | None
    status: str | None
    created: bool
    error: LineError | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How lines are judged.

    Args:
        unique: How long keys stay taken.
        on_conflict: What a known id or key means: its task, nothing, or an error.
        lint_mode: `warn`, `strict` or `off`.
        params_max_bytes: Largest params document.
        known_tools: Names of tools; None = don't check.
    """

    unique: Unique = "live"
    on_conflict: OnConflict = "return"
    lint_mode: str = LintMode.WARN
    params_max_bytes: int = 1_048_576
    known_tools: Collection[str] | None = None

    @property
    def unique_while(self) -> str | None:
        """The same as the database stores it: the usual case is null."""
        return None if self.unique == "live" else self.unique

    @property
    def line_max_bytes(self) -> int:
        """Longest line worth reading: JSON may be written several times longer than it is kept."""
        return 4 * self.params_max_bytes + 65_536


class Entry:
    """A line on its way: what it asks for, and then what it got.

    Attributes:
        line: Its number.
        size: Length of its text in bytes.
        fields: Fields of the task, as `NewTask` names them; none when there is an error.
        own_id: The id that the task is to have.
        params: Its params as compact JSON.
        warnings: What the linter warns of.
        id: The task that the line stands for, its own or a known one.
        status: Where that task stands; None = not stored.
        is_new: Whether the line made the task.
        same_as: An earlier line of the batch with its id or key.
        error: Why there is no task, or why it was cancelled at once.
    """

    __slots__ = (
        "error",
        "fields",
        "id",
        "is_new",
        "line",
        "own_id",
        "params",
        "same_as",
        "size",
        "status",
        "warnings",
    )

    def __init__(self, line: int, size: int, error: LineError | None = None) -> None:
        self.line = line
        self.size = size
        self.error = error
        self.fields: dict[str, Any] = {}
        self.own_id = ""
        self.params = "{}"
        self.warnings: tuple[str, ...] = ()
        self.id: str | None = None
        self.status: str | None = None
        self.is_new = False
        self.same_as: Entry | None = None

    def reset(self) -> None:
        """Forget what it got: the transaction is begun anew."""
        self.id = self.own_id
        self.status = None
        self.is_new = False
        self.same_as = None

    @property
    def key(self) -> str | None:
        """Its idempotency key."""
        return self.fields.get("idempotency_key")

    @property
    def given_id(self) -> str | None:
        """Its id, if the line named one."""
        return self.own_id if "id" in self.fields else None

    @property
    def depends_on(self) -> tuple[str, ...]:
        """What it waits for."""
        return self.fields.get("depends_on", ())

    @property
    def first_status(self) -> str:
        """The status that its task is stored with."""
        fields = self.fields
        return "created" if fields.get("hold") or fields.get("depends_on") else "queued"

    def result(self) -> LineResult:
        """Return what became of it."""
        source = self.same_as or self
        return LineResult(
            self.line,
            source.id if source.status else None,
            source.status,
            self.is_new,
            self.error or source.error,
            self.warnings,
        )


def _one_line_each(fault: InvalidJson, text: bytes) -> str | None:
    """Return the cure for an object that goes on in the next line, as an indented one does."""
    if fault.column is None or not text.lstrip().startswith(b"{"):
        return None
    ends_early = fault.column > len(text.decode(errors="replace").rstrip())
    return "write each object in one line, as 'jq -c . FILE' does" if ends_early else None


def read_entry(line: Line, rules: Rules) -> Entry:
    """Parse, check and lint one line; what is wrong with it is in the entry's `error`."""
    number, text = line
    if isinstance(text, UsageError):
        return Entry(number, 0, LineError(text.code, text.message, hint=text.hint))
    entry = Entry(number, len(text))
    try:
        document = load_json(text)
        fields = read_fields(document)
    except InvalidJson as fault:
        # Well-formed, but nothing that can be kept: the linter's rule; else no JSON at all.
        code = fault.code if fault.pointer is None else "TI200"
        entry.error = LineError(
            code, fault.reason, fault.pointer, fault.column, _one_line_each(fault, text)
        )
        return entry
    except FieldError as fault:
        entry.error = LineError(fault.code, fault.message, fault.pointer, hint=fault.hint)
        return entry
    # The text of the line is longer than its params, so a short line needs no measuring.
    is_short = len(text) <= rules.params_max_bytes
    findings = lint_instance(
        document,
        known_tools=rules.known_tools,
        params_max_bytes=rules.params_max_bytes,
        params_bytes=len(text) if is_short else None,
        plain=True,
    )
    if findings:
        bad = refused(findings, rules.lint_mode)
        if bad:
            entry.error = LineError(bad[0].code, bad[0].message, bad[0].path)
            return entry
        if rules.lint_mode != LintMode.OFF:
            entry.warnings = tuple(str(f) for f in findings if f.severity == Severity.WARNING)
    entry.fields = fields
    given = fields.get("id")
    entry.own_id = new_id() if given is None else str(given)
    params = fields.get("params")
    if params:
        entry.params = compact_json(params)
    return entry
