"""A validation report for other programs: JUnit's XML, and GitHub's annotations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import quoteattr

from seedcore.pkg.validation import Report

_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def junit_xml(report: Report, name: str) -> str:
    """Return a report as JUnit's XML: one test case for each fixture.

    Args:
        report: The report.
        name: What the suite is called.
    """
    total_s = sum(case.ms for case in report.cases) / 1000
    errors = sum(case.error is not None for case in report.cases)
    head = (
        f"<testsuite name={_quoted(name)} tests={_quoted(len(report.cases))}"
        f" failures={_quoted(report.failed - errors)} errors={_quoted(errors)}"
        f" time={_quoted(f'{total_s:.6f}')}>"
    )
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>", head]
    for case in report.cases:
        where = case.fixture.where
        file = (
            "" if where is None else f" file={_quoted(where.path)} line={_quoted(where.line or 1)}"
        )
        opening = (
            f"<testcase classname={_quoted(name)} name={_quoted(case.fixture.name)}{file}"
            f" time={_quoted(f'{case.ms / 1000:.6f}')}"
        )
        if case.ok:
            lines.append(opening + "/>")
        else:
            kind = "failure" if case.error is None else "error"
            lines.append(f"{opening}><{kind} message={_quoted(case.message())}/></testcase>")
    return "\n".join([*lines, "</testsuite>", "</testsuites>", ""])


def github_lines(report: Report, folder: Path | None) -> Iterator[str]:
    """Yield a workflow command for each fixture that failed, as GitHub shows them beside the code.

    https://docs.github.com/actions/reference/workflow-commands-for-github-actions

    Args:
        report: The report.
        folder: The policy's folder, which the places are relative to.
    """
    for case in report.cases:
        if case.ok:
            continue
        parts = [f"title={_property(case.fixture.name)}"]
        where = case.fixture.where
        if where is not None:
            path = where.path if folder is None else (folder / where.path).as_posix()
            parts = [f"file={_property(path)}", f"line={where.line or 1}", *parts]
        yield f"::error {','.join(parts)}::{_data(case.message())}"


def _quoted(value: object) -> str:
    return quoteattr(_NOT_IN_XML.sub("\ufffd", str(value)), {"\n": "&#10;", "\t": "&#9;"})


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
