"""The payload linter: what a task or a task type says that can't work, or hardly was meant.

Rules have stable codes: `ST…` for a task type's `default_params`, `TI…` for a task itself. What each
one asks for stands in `docs/reference/lint-rules.md`. Everything here is pure and cheap: a bulk
submission lints every line.
"""

from __future__ import annotations

from seedcore.task.lint.finding import Finding, LintMode, Severity, refused
from seedcore.task.lint.instance import lint_instance
from seedcore.task.lint.rules import RULES, Rule
from seedcore.task.lint.type_defaults import lint_type
from seedcore.task.plain import InvalidJson, compact_json, load_json

__all__ = [
    "RULES",
    "Finding",
    "InvalidJson",
    "LintMode",
    "Rule",
    "Severity",
    "compact_json",
    "lint_instance",
    "lint_type",
    "load_json",
    "refused",
]
