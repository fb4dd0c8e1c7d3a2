"""Bulk submission: a result a line, whole batches, and what bad lines do to the good ones."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from seedcore.errors import SeedcoreError
from seedcore.task.bulk import BulkSubmission, BulkSummary, LineResult, submit_lines
from seedcore.task.reading import read_lines
from tests.integration.task.worker import Worker, history, new, set_level, status, task

Conn = psycopg.Connection[dict[str, Any]]


def begin(conn: Conn, lines: Iterable[Any], **options: Any) -> BulkSubmission:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    stream = io.BytesIO("\n".join(texts).encode(errors="surrogatepass"))
    return submit_lines(conn, read_lines(stream, max_bytes=1 << 20), **({"actor": "ann"} | options))


def run(conn: Conn, lines: Iterable[Any], **options: Any) -> tuple[list[LineResult], BulkSummary]:
    submission = begin(conn, lines, **options)
    return list(submission), submission.summary


def count(conn: Conn) -> int:
    row = conn.execute("SELECT count(*) AS n FROM tasks").fetchone()
    assert row is not None
    return row["n"]


def codes(results: list[LineResult]) -> list[tuple[int, str | None]]:
    return [(r.line, r.error.code if r.error else None) for r in results]


def test_every_field_of_a_line_arrives(conn: Conn) -> None:
    given = uuid4()
    line = {
        "type": "action", "params": {"a": {"b": [1, 2.5, None, "ü"]}}, "description": "open\tit\\n",
        "domain": "lab", "drift_score": 0.25, "priority": 8, "run_after": "2031-05-17T09:30:00+02:00",
        "deadline_at": "2031-05-18T00:00:00Z", "expires_at": "2031-05-19T00:00:00Z",
        "max_attempts": 5, "idempotency_key": "k", "hold": True, "id": str(given),
    }  # fmt: skip
    (result,), summary = run(conn, [line])
    assert result == LineResult(1, str(given), "created", created=True)
    assert summary == BulkSummary(lines=1, created=1)
    row = task(conn, given)
    for name in ("type", "params", "description", "domain", "drift_score", "priority",
                 "max_attempts", "idempotency_key"):  # fmt: skip
        assert row[name] == line[name]
    assert row["run_after"].isoformat() == "2031-05-17T07:30:00+00:00"
    assert not row["auto_release"]


def test_hints_fill_columns_as_for_one_task(conn: Conn) -> None:
    params = {"routing": {"hints": {"priority": 9, "ttl_seconds": 60}}}
    (result,), _ = run(conn, [{"type": "a", "params": params, "in": "5m"}])
    row = conn.execute("SELECT * FROM tasks WHERE id = %s", [result.id]).fetchone()
    assert row is not None
    assert row["priority"] == 9
    assert (row["expires_at"] - row["created_at"]).total_seconds() == 60
    assert (row["run_after"] - row["created_at"]).total_seconds() == 300


def test_rows_keep_the_order_of_their_lines(conn: Conn, worker: Worker) -> None:
    results, _ = run(conn, [{"type": f"t{n}"} for n in range(50)])
    ids = [result.id for result in results]
    assert ids == sorted(filter(None, ids))
    claimed = [worker.claim()[0]["type"] for _ in range(10)]
    assert claimed == [f"t{n}" for n in range(10)]


def test_an_array_is_read_like_lines(conn: Conn) -> None:
    text = json.dumps([{"type": "a"}, {"type": "b", "params": {"x": '],[{"}'}}], indent=2)
    results, summary = run(conn, [text])
    assert codes(results) == [(1, None), (2, None)]
    assert summary.created == 2


def test_blank_lines_count_but_make_nothing(conn: Conn) -> None:
    results, _ = run(conn, ["", '{"type":"a"}', "   ", "", '{"type":"b"}', ""])
    assert [r.line for r in results] == [2, 5]


def test_nothing_at_all_is_fine(conn: Conn) -> None:
    for lines in ([], ["", " "], ["[]"]):
        assert run(conn, lines) == ([], BulkSummary())


BAD = [
    ('{"type": "a"', "json.invalid", None),
    ("nonsense", "json.invalid", None),
    ('["a"', "json.invalid", None),
    ("5", "task.bad_field", ""),
    ("{}", "task.bad_field", "/type"),
    ('{"type": ""}', "task.bad_field", "/type"),
    ('{"type": "a", "prioritty": 3}', "task.unknown_field", "/prioritty"),
    ('{"type": "a", "priority": 11}', "task.bad_field", "/priority"),
    ('{"type": "a", "priority": "5"}', "task.bad_field", "/priority"),
    ('{"type": "a", "priority": true}', "task.bad_field", "/priority"),
    ('{"type": "a", "params": []}', "task.bad_field", "/params"),
    ('{"type": "a", "drift_score": -1}', "task.bad_field", "/drift_score"),
    ('{"type": "a", "run_after": "soon"}', "task.bad_field", "/run_after"),
    ('{"type": "a", "run_after": "2031-05-17T09:30:00"}', "task.bad_field", "/run_after"),
    ('{"type": "a", "at": "2031-05-17T09:30:00Z", "in": 5}', "task.bad_field", "/run_after"),
    ('{"type": "a", "in": "a while"}', "task.bad_field", "/in"),
    ('{"type": "a", "in": 1e12}', "task.bad_field", "/in"),
    ('{"type": "a", "id": "7"}', "task.bad_field", "/id"),
    ('{"type": "a", "depends_on": ["7"]}', "task.bad_field", "/depends_on/0"),
    ('{"type": "a", "depends_on": {"a": 1}}', "task.bad_field", "/depends_on"),
    ('{"type": "a", "hold": 1}', "task.bad_field", "/hold"),
    ('{"type": "a", "idempotency_key": ""}', "task.bad_field", "/idempotency_key"),
    ('{"type": "a", "type": "b"}', "TI200", "/type"),
    ('{"type": "a", "params": {"x": 1, "x": 2}}', "TI200", "/params/x"),
    ('{"type": "a", "params": {"x": "\\u0000"}}', "TI200", "/params/x"),
    ('{"type": "a", "params": {"x": "\\ud800"}}', "TI200", "/params/x"),
    ('{"type": "a", "params": {"x": 1e400}}', "TI200", "/params/x"),
    ('{"type": "a", "params": {"x": NaN}}', "TI200", "/params/x"),
    ('{"type": "a", "params": ' + '{"x":' * 70 + "1" + "}" * 70 + "}", "TI200", None),
    ('{"type": "a", "params": {"_router": {}}}', "TI211", "/params/_router"),
    ('{"type": "a", "params": {"tool_calls": 5}}', "TI204", "/params/tool_calls"),
]


@pytest.mark.parametrize(("line", "code", "pointer"), BAD)
def test_a_bad_line_is_told_and_leaves_the_others_alone(
    conn: Conn, line: str, code: str, pointer: str | None
) -> None:
    results, summary = run(conn, ['{"type":"a"}', line, '{"type":"b"}'], on_error="continue")
    assert codes(results) == [(1, None), (2, code), (3, None)]
    error = results[1].error
    assert error is not None
    if pointer is not None:
        assert error.pointer == pointer
    assert (results[1].id, results[1].status) == (None, None)
    assert (summary.created, summary.failed, summary.next_line) == (2, 1, None)
    assert summary.codes == {code: 1}
    assert count(conn) == 2


def test_an_unknown_key_gets_the_nearest_one_suggested(conn: Conn) -> None:
    (result,), _ = run(conn, ['{"type": "a", "dependson": []}'])
    assert result.error is not None
    assert 'did you mean "depends_on"?' in result.error.message


def test_bytes_that_are_no_text_are_told_with_their_column(conn: Conn) -> None:
    stream = io.BytesIO(b'{"type":"a"}\n{"type":"\xff"}\n')
    submission = submit_lines(conn, read_lines(stream, max_bytes=1000), actor="ann")
    results = list(submission)
    error = results[1].error
    assert error is not None
    assert (error.code, error.column) == ("json.invalid", 10)
    assert "UTF-8" in error.message


def test_params_over_the_limit_are_refused(conn: Conn) -> None:
    lines = [{"type": "a", "params": {"x": "y" * size}} for size in (900, 1100)]
    results, _ = run(conn, lines, params_max_bytes=1000)
    assert codes(results) == [(1, None), (2, "TI214")]


def test_a_long_line_with_small_params_is_not_refused(conn: Conn) -> None:
    line = '{"type": "a", ' + " " * 5000 + '"params": {"x": 1}}'
    results, _ = run(conn, [line], params_max_bytes=1000)
    assert codes(results) == [(1, None)]


def test_it_stops_before_a_bad_line_and_goes_on_after_it(conn: Conn) -> None:
    lines = [{"type": f"t{n}"} for n in range(1, 8)]
    lines[4] = {"type": "bad", "priority": 99}
    results, summary = run(conn, lines, batch_size=3)
    assert codes(results) == [(1, None), (2, None), (3, None), (4, None), (5, "task.bad_field")]
    assert (summary.created, summary.next_line, count(conn)) == (4, 5, 4)
    lines[4] = {"type": "good"}
    results, summary = run(conn, lines, batch_size=3, from_line=5)
    assert [r.line for r in results] == [5, 6, 7]
    assert (summary.next_line, count(conn)) == (None, 7)


def test_atomic_stores_all_or_nothing(conn: Conn) -> None:
    lines: list[Any] = [{"type": f"t{n}"} for n in range(10)]
    results, summary = run(conn, [*lines, "bad"], batch_size=3, atomic=True)
    assert codes(results) == [(11, "json.invalid")]
    assert (summary.created, summary.next_line, count(conn)) == (0, 1, 0)
    results, summary = run(conn, lines, batch_size=3, atomic=True)
    assert [r.line for r in results] == list(range(1, 11))
    assert (summary.created, count(conn)) == (10, 10)


def test_atomic_results_appear_only_when_everything_is_stored(conn: Conn, other: Conn) -> None:
    for result in begin(conn, [{"type": "a"}] * 10, batch_size=3, atomic=True):
        assert result.created
        assert count(other) == 10


def test_keys_make_one_task_within_a_file_and_across_files(conn: Conn) -> None:
    lines = [{"type": "a", "idempotency_key": f"k{n % 3}"} for n in range(7)]
    first, summary = run(conn, lines, batch_size=2)
    assert (summary.created, summary.existing, count(conn)) == (3, 4, 3)
    assert [r.created for r in first] == [True, True, True, False, False, False, False]
    assert [r.id for r in first[3:]] == [r.id for r in [*first[:3], first[0]]]
    second, summary = run(conn, lines)
    assert (summary.created, summary.existing, count(conn)) == (0, 7, 3)
    assert [r.id for r in second] == [r.id for r in first]


def test_ids_make_one_task(conn: Conn) -> None:
    given = str(uuid4())
    results, _ = run(conn, [{"type": "a", "id": given}, {"type": "b", "id": given}])
    assert [(r.id, r.created) for r in results] == [(given, True), (given, False)]
    results, _ = run(conn, [{"type": "c", "id": given}])
    assert [(r.id, r.created) for r in results] == [(given, False)]


@pytest.mark.parametrize("on_error", ["stop", "continue"])
def test_known_keys_can_be_errors(conn: Conn, on_error: Any) -> None:
    new(conn, idempotency_key="old")
    lines = [{"type": "a", "idempotency_key": k} for k in ("x", "old", "x", "y")]
    results, summary = run(conn, lines, on_conflict="fail", on_error=on_error)
    duplicate = "task.duplicate_key"
    if on_error == "stop":
        assert codes(results) == [(1, None), (2, duplicate)]
        assert (summary.next_line, count(conn)) == (2, 2)
    else:
        assert codes(results) == [(1, None), (2, duplicate), (3, duplicate), (4, None)]
        assert count(conn) == 3


def test_a_key_whose_task_failed_is_free_unless_unique_for_ever(conn: Conn, worker: Worker) -> None:
    old = new(conn, idempotency_key="k")
    worker.claim()
    worker.fail(old, retryable=False)
    (ever,), _ = run(conn, [{"type": "a", "idempotency_key": "k"}], unique="ever")
    assert (ever.id, ever.created, ever.status) == (str(old), False, "failed")
    (live,), _ = run(conn, [{"type": "a", "idempotency_key": "k"}])
    assert live.created


def test_lines_wait_for_earlier_lines_and_stored_tasks(conn: Conn, worker: Worker) -> None:
    stored = new(conn, idempotency_key="stored")
    given = str(uuid4())
    lines = [
        {"type": "a", "idempotency_key": "first"},
        {"type": "b", "id": given, "depends_on": ["key:first"]},
        {"type": "c", "depends_on": ["key:stored", given, str(stored)]},
    ]
    for size in (1, 10):
        conn.execute("DELETE FROM tasks WHERE id <> %s", [stored])
        results, _ = run(conn, lines, batch_size=size)
        assert [r.status for r in results] == ["queued", "created", "created"]
        edges = conn.execute("SELECT count(*) AS n FROM task_depends_on_task").fetchone()
        assert edges == {"n": 3}
    order: list[str] = []
    while rows := worker.claim(1):
        order.append(rows[0]["type"])
        worker.complete(rows[0]["id"])
    assert order == ["echo", "a", "b", "c"]


def test_a_line_whose_dependency_is_over_is_settled_at_once(conn: Conn, worker: Worker) -> None:
    good, bad = new(conn, idempotency_key="good"), new(conn, idempotency_key="bad")
    worker.claim(2)
    worker.complete(good)
    worker.fail(bad, retryable=False)
    results, summary = run(
        conn,
        [
            {"type": "a", "depends_on": ["key:good"]},
            {"type": "b", "depends_on": ["key:bad"], "idempotency_key": "b"},
            {"type": "c", "depends_on": ["key:b"]},
        ],
    )
    assert [r.status for r in results] == ["queued", "cancelled", "cancelled"]
    assert codes(results) == [
        (1, None), (2, "task.dependency_failed"), (3, "task.dependency_failed"),
    ]  # fmt: skip
    assert (summary.created, summary.failed) == (3, 0)


@pytest.mark.parametrize("size", [1, 10])
def test_circles_forward_references_and_strangers_are_errors(conn: Conn, size: int) -> None:
    lines = [
        {"type": "a", "idempotency_key": "a", "depends_on": ["key:b"]},
        {"type": "b", "idempotency_key": "b", "depends_on": ["key:a"]},
        {"type": "c", "idempotency_key": "c", "depends_on": ["key:c"]},
        {"type": "d", "depends_on": [str(uuid4())]},
        {"type": "e"},
    ]
    results, _ = run(conn, lines, on_error="continue", batch_size=size)
    assert [r.error is None for r in results] == [False, False, False, False, True]
    assert results[2].error is not None
    assert results[2].error.code in ("task.cycle", "task.dependency_not_found")
    assert results[3].error is not None
    assert results[3].error.code == "task.dependency_not_found"
    assert results[3].error.pointer == "/depends_on/0"
    if size == 10:
        assert results[0].error is not None
        assert "line 2, which in the end waits for this one" in results[0].error.message
    assert count(conn) == 1


def test_lines_that_wait_for_each_other_are_named_as_a_circle(conn: Conn) -> None:
    lines = [
        {"type": "a", "idempotency_key": "x", "depends_on": ["key:z"]},
        {"type": "a", "idempotency_key": "y", "depends_on": ["key:x"]},
        {"type": "a", "idempotency_key": "z", "depends_on": ["key:y"]},
    ]
    results, _ = run(conn, lines, on_error="continue")
    first = results[0].error
    assert first is not None
    assert first.code == "task.cycle"
    assert "waits for line 3, which in the end waits for this one" in first.message
    assert count(conn) == 0


def test_a_line_that_waits_for_a_later_one_is_told_to_move(conn: Conn) -> None:
    lines = [{"type": "a", "depends_on": ["key:b"]}, {"type": "b", "idempotency_key": "b"}]
    results, _ = run(conn, lines, on_error="continue")
    assert results[0].error is not None
    assert "line 2, which comes later; put that line first" in results[0].error.message


def test_a_dry_run_says_what_a_real_one_does(conn: Conn, worker: Worker) -> None:
    new(conn, idempotency_key="old")
    lines: list[Any] = [
        {"type": "a", "idempotency_key": "x"},
        {"type": "a", "idempotency_key": "x"},
        {"type": "a", "idempotency_key": "old"},
        {"type": "a", "depends_on": ["key:x", "key:old"]},
        {"type": "a", "depends_on": ["key:nobody"]},
        "broken",
        {"type": "a", "hold": True},
    ]
    for size in (2, 10):
        dry, _ = run(conn, lines, on_error="continue", batch_size=size, dry_run=True)
        assert count(conn) == 1
        shown = [(r.line, r.status, r.created, r.error and r.error.code) for r in dry]
        assert shown == [
            (1, "queued", True, None),
            (2, "queued", False, None),
            (3, "queued", False, None),
            (4, "created", True, None),
            (5, None, False, "task.dependency_not_found"),
            (6, None, False, "json.invalid"),
            (7, "created", True, None),
        ]
    real, _ = run(conn, lines, on_error="continue", batch_size=2)
    assert [(r.line, r.status, r.created, r.error and r.error.code) for r in real] == shown


def test_two_files_with_the_same_keys_at_once_make_each_task_once(
    conn: Conn, other: Conn, aside: Callable[..., Future[Any]]
) -> None:
    keys = [{"type": "a", "idempotency_key": f"k{n}"} for n in range(400)]
    both = [
        aside(run, conn, keys, batch_size=50),
        aside(run, other, list(reversed(keys)), batch_size=70),
    ]
    summaries = [one.result(30)[1] for one in both]
    assert sum(s.created for s in summaries) == 400
    assert sum(s.existing for s in summaries) == 400
    assert count(conn) == 400


def test_a_batch_that_the_database_refuses_is_not_half_written(conn: Conn) -> None:
    conn.execute("ALTER TABLE tasks ADD CONSTRAINT no_b CHECK (type <> 'b')")
    lines = [{"type": t} for t in "aaaaaabaa"]
    submission = begin(conn, lines, batch_size=3)
    with pytest.raises(SeedcoreError, match="no_b"):
        list(submission)
    assert (submission.summary.created, submission.summary.next_line) == (6, 7)
    assert count(conn) == 6


def test_a_full_disk_is_said_and_nothing_is_half_written(conn: Conn) -> None:
    conn.execute(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
        " RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';"
        " END$$"
    )
    conn.execute(
        "CREATE TRIGGER full_disk BEFORE INSERT ON tasks FOR EACH ROW WHEN (NEW.type = 'b')"
        " EXECUTE FUNCTION full_disk()"
    )
    submission = begin(conn, [{"type": t} for t in "aaaabaa"], batch_size=2)
    with pytest.raises(SeedcoreError, match="No space left") as caught:
        list(submission)
    assert (caught.value.code, caught.value.exit_code) == ("db.disk_full", 69)
    assert (submission.summary.next_line, count(conn)) == (5, 4)


def test_leaving_early_stores_whole_batches_and_frees_the_connection(conn: Conn) -> None:
    submission = begin(conn, [{"type": "a"}] * 1000, batch_size=10)
    results = iter(submission)
    for _ in range(25):
        next(results)
    results.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert count(conn) % 10 == 0
    assert 30 <= count(conn) < 1000


def test_who_submits_is_recorded_when_everything_is(conn: Conn) -> None:
    set_level(conn, "all")
    first = new(conn)
    results, _ = run(
        conn, [{"type": "a"}, {"type": "b", "depends_on": [str(first)]}], reason="nightly"
    )
    for result, state in zip(results, ("queued", "created"), strict=True):
        (event,) = history(conn, result.id)  # pyright: ignore[reportArgumentType]
        assert event == (None, state, 0, "ann", "nightly")


def test_a_staging_table_is_left_to_nobody(conn: Conn) -> None:
    run(conn, [{"type": "a"}])
    assert conn.execute("SELECT to_regclass('task_stage') AS t").fetchone() == {"t": None}


def test_warnings_are_counted_and_may_refuse(conn: Conn) -> None:
    line = {"type": "a", "params": {"routing": {}, "multimodal": {"source": "voice"}}}
    (result,), summary = run(conn, [line])
    assert result.created
    assert summary.warnings == len(result.warnings) > 0
    (result,), _ = run(conn, [line], lint_mode="strict")
    assert result.error is not None
    assert result.error.code.startswith("TI")
    (result,), _ = run(conn, [line], lint_mode="off")
    assert (result.created, result.warnings) == (True, ())


def test_unknown_tools_are_warned_of(conn: Conn) -> None:
    line = {"type": "a", "params": {"tool_calls": [{"name": "nope", "args": {}}]}}
    (result,), _ = run(conn, [line], known_tools={"echo"})
    assert result.created
    assert "nope" in result.warnings[0]


def test_a_file_of_many_batches(conn: Conn, worker: Worker) -> None:
    results, summary = run(conn, ({"type": "a", "params": {"n": n}} for n in range(12_001)))
    assert [r.line for r in results] == list(range(1, 12_002))
    assert summary == BulkSummary(lines=12_001, created=12_001)
    assert count(conn) == 12_001
    assert len({r.id for r in results}) == 12_001
    assert status(conn, results[7].id) == "queued"  # pyright: ignore[reportArgumentType]
