"""A page about a snapshot for a browser: rules, coverage, validation, rollout. One file, nothing beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

import psycopg

from seedcore.pkg import store
from seedcore.pkg.canonical import canonical_json
from seedcore.pkg.model import Engine, Policy, Rule, Snapshot
from seedcore.pkg.snapshots import show
from seedcore.pkg.store import Row, fetch, queries

_STYLE = """
:root{color-scheme:light dark;--fg:#1d2733;--dim:#566270;--bg:#fff;--soft:#f3f5f8;--line:#d8dee6;
--good:#1a7f4b;--bad:#b3261e;--warn:#8a5a00;--bar:#2f6fd6}
@media(prefers-color-scheme:dark){:root{--fg:#e3e8ee;--dim:#a5b0bc;--bg:#14181d;--soft:#1d232a;
--line:#343d48;--good:#5cc48d;--bad:#ff8a80;--warn:#e5b35a;--bar:#6ea2f5}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);max-width:70rem;
margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;line-height:1.25;margin:0;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:2.2rem 0 .6rem}
a{color:var(--bar)}nav{display:flex;flex-wrap:wrap;gap:.3rem 1.1rem}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));gap:.6rem;margin:1rem 0}
dl>div{background:var(--soft);border-radius:.4rem;padding:.5rem .7rem}
dt,thead th{font-weight:500;font-size:.8rem;color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}table+table{margin-top:1.2rem}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid var(--line)}
tbody th,td{min-width:5.5rem;overflow-wrap:anywhere}tbody th{font-weight:500}
code{font:13px/1.45 ui-monospace,monospace;overflow-wrap:anywhere}
pre{margin:.4rem 0;padding:.5rem .7rem;background:var(--soft);overflow-x:auto}pre code{overflow-wrap:normal}
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}
.bar{background:var(--line);border-radius:.3rem;height:.8rem;min-width:6rem;overflow:hidden}
.bar i{display:block;height:100%;background:var(--bar)}
footer{margin:2.5rem 0 1rem;font-size:.8rem;color:var(--dim);overflow-wrap:anywhere}
@media(max-width:44rem){
/* A row becomes a card: columns side by side would be a letter wide. */
thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
table,tbody,tr,tbody th,td{display:block;width:100%}
tr{border-bottom:1px solid var(--line);padding:.5rem 0}
tbody th,td{border:0;padding:.1rem 0;min-width:0}
td[data-label]::before{content:attr(data-label) ": ";font-size:.8rem;color:var(--dim)}
td:empty{display:none}
}
@media print{body{max-width:none;margin:0}nav{display:none}tr{break-inside:avoid}
.bar,.bar i{print-color-adjust:exact}}
"""


def render(conn: psycopg.Connection[Any], snapshot: Snapshot) -> str:
    """Return the page of a snapshot as HTML.

    The content is read and verified. Nothing in it can become markup: all text is escaped, there is no
    script, and the page says so to the browser.

    Args:
        conn: A connection in any state.
        snapshot: Which.

    Raises:
        CheckFailed: Its content is not what was stored.
    """
    policy = store.load(conn, snapshot.id)
    row = show(conn, snapshot)
    runs = fetch(conn, queries.validation_runs, {"id": snapshot.id, "limit": 20})
    events = fetch(conn, queries.timeline, {"id": snapshot.id, "limit": 200})
    lanes = fetch(conn, queries.lanes_of, {"id": snapshot.id})
    newest = _reported(runs[0]) if runs else {}
    title = f"Policy {snapshot.version} ({snapshot.env})"
    sections = {
        "Rules": _rules(policy, newest),
        "Subtasks": _table(
            ("name", "default params"),
            ((_text(s.name), _code(s.default_params)) for s in policy.subtasks),
        ),
        "Validation": _validation(runs, newest),
        "Lanes": _table(
            ("target", "region", "share", "since", "by"),
            (
                (
                    _text(lane["target"]), _text(lane["region"]), _share(lane["percent"]),
                    _time(lane["activated_at"]), _text(lane["activated_by"]),
                )
                for lane in lanes
            ),
        ),
        "Time line": _timeline(events),
    }  # fmt: skip
    ids = {name: name.lower().replace(" ", "-") for name in sections}
    links = "".join(f'<a href="#{ids[name]}">{name}</a>' for name in sections)
    parts = [
        f"<header><h1>{_text(title)}</h1></header>",
        f'<nav aria-label="Sections">{links}</nav>',
        "<main>",
        _facts(row, policy, newest),
        *(
            f'<section aria-labelledby="{ids[name]}"><h2 id="{ids[name]}">{name}</h2>\n{content}</section>'
            for name, content in sections.items()
        ),
        "</main>",
        f"<footer>sha256 {_text(snapshot.checksum)}</footer>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">"
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _facts(row: Row, policy: Policy, newest: Mapping[str, Any]) -> str:
    coverage = newest.get("coverage")
    facts = {
        "active": _word("yes" if row["active"] else "no", "good" if row["active"] else "warn"),
        "validation": _word(row["validation"] or "", "good" if row["validated"] else "warn"),
        "rules covered by fixtures": "?" if coverage is None else _share(round(coverage * 100)),
        "rules": f"{len(policy.rules)}",
        "fixtures": f"{len(policy.fixtures)}",
        "engine": _text(policy.engine.value),
        "stored": _time(row["created_at"]),
        "notes": _text(row["notes"] or ""),
    }
    cells = "".join(
        f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts.items() if value
    )
    return f"<dl>{cells}</dl>"


def _rules(policy: Policy, newest: Mapping[str, Any]) -> str:
    never: Sequence[str] = newest.get("rules_never_fired") or ()
    rows = (
        (
            _text(rule.name),
            f"{rule.priority}",
            _conditions(rule),
            _effects(rule),
            _covered(rule, never, known=bool(newest)),
        )
        for rule in policy.rules
    )
    return _table(("rule", "priority", "when", "then", "fixtures"), rows)


def _conditions(rule: Rule) -> str:
    if rule.engine is not Engine.NATIVE:
        return f"<details><summary>source</summary><pre><code>{_text(rule.source)}</code></pre></details>"
    return "<br>".join(f"<code>{_text(str(c))}</code>" for c in rule.conditions) or "always"


def _effects(rule: Rule) -> str:
    if rule.denies:
        return _word("deny", "bad")
    return "<br>".join(
        f"<code>{_text(f'{e.relation} {e.subtask}')}</code>"
        + (f" {_code(e.params)}" if e.params else "")
        for e in rule.emissions
    )


def _covered(rule: Rule, never: Sequence[str], *, known: bool) -> str:
    if rule.disabled:
        return _word("disabled", "warn")
    if not known or rule.engine is not Engine.NATIVE:
        return "?"
    return _word("none fires it", "bad") if rule.name in never else _word("fires", "good")


def _validation(runs: Sequence[Row], newest: Mapping[str, Any]) -> str:
    table = _table(
        ("finished", "result", "cases", "p95 ms", "by"),
        (
            (
                _time(run["finished_at"] or run["started_at"]),
                _word("green", "good") if run["success"] else _word("not green", "bad"),
                f"{run['cases_total'] - run['cases_failed']} of {run['cases_total']} passed",
                _text(str(_reported(run).get("p95_ms") or "")),
                _text(run["actor"]),
            )
            for run in runs
        ),
    )
    cases: Sequence[Row] = newest.get("cases") or ()
    listed = _table(
        ("fixture of the newest run", "result", "ms"),
        (
            (
                _text(str(case.get("name") or case.get("fixture") or "")),
                _word("ok", "good") if case.get("ok") else _word("failed", "bad"),
                _text(str(case.get("ms") or "")),
            )
            for case in cases
        ),
    )
    return table + (listed if cases else "")


def _reported(run: Row) -> Row:
    return run["report"] or {}


def _timeline(events: Sequence[Row]) -> str:
    return _table(
        ("at", "what", "where", "share", "by", "why"),
        (
            (
                _time(event["at"]),
                _word(event["action"], "warn" if "rollback" in event["action"] else ""),
                _text(
                    " in ".join(filter(None, (event["target"], event["region"]))) or event["env"]
                ),
                "" if event["to_percent"] is None else _share(event["to_percent"]),
                _text(event["actor"]),
                _text(event["reason"] or ""),
            )
            for event in events
        ),
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = "".join(f"<tr>{_row(head, row)}</tr>\n" for row in rows)
    if not body:
        return "<p>none</p>"
    heads = "".join(f'<th scope="col">{name}</th>' for name in head)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>\n{body}</tbody></table>"


def _row(head: Sequence[str], cells: Sequence[str]) -> str:
    """Return a row: its first cell is its name, the others say their column where it is narrow."""
    others = "".join(
        f'<td data-label="{name}">{cell}</td>'
        for name, cell in zip(head[1:], cells[1:], strict=True)
    )
    return f'<th scope="row">{cells[0]}</th>{others}'


def _share(percent: int) -> str:
    # The number stands beside it; a reader that sees no bars has no use for one.
    return f'<div class="bar" aria-hidden="true"><i style="width:{percent}%"></i></div>{percent} %'


def _word(text: str, kind: str) -> str:
    return f'<span class="{kind}">{_text(text)}</span>'


def _code(value: Mapping[str, Any] | None) -> str:
    return "" if not value else f"<code>{_text(canonical_json(dict(value)))}</code>"


def _time(value: datetime | None) -> str:
    if value is None:
        return ""
    shown = _text(value.strftime("%Y-%m-%d %H:%M:%S %Z"))
    return f'<time datetime="{value.isoformat()}">{shown}</time>'


def _text(value: str) -> str:
    return escape(value, quote=True)
