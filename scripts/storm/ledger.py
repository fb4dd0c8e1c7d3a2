"""What is recorded besides the queue's own history, and the judgement of both.

`chaos_runs`: every execution of a tool, written by the tool before it works. `chaos_ends`: every end
that the table of tasks ever showed, written by a trigger of ours. Neither has a constraint that would
prevent a second one: it is to be seen, not avoided.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import psycopg

from seedcore.task.verify import verify

PREPARE = """
CREATE TABLE IF NOT EXISTS chaos_runs (
    execution uuid PRIMARY KEY, task_id uuid NOT NULL, attempt int NOT NULL, process text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE IF NOT EXISTS chaos_ends (
    task_id uuid NOT NULL, attempt int NOT NULL, status text NOT NULL, execution uuid,
    at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE INDEX IF NOT EXISTS chaos_ends_at ON chaos_ends (at);
GRANT ALL ON chaos_runs, chaos_ends TO seedcore;
CREATE OR REPLACE FUNCTION chaos_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos_ends (task_id, attempt, status, execution)
    VALUES (NEW.id, NEW.attempts, NEW.status, (NEW.result #>> '{payload,result,execution}')::uuid);
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER chaos_ended AFTER UPDATE ON tasks FOR EACH ROW
    WHEN (NEW.status IN ('completed', 'failed', 'cancelled')
          AND (OLD.status IS DISTINCT FROM NEW.status OR OLD.result IS DISTINCT FROM NEW.result)
          OR OLD.status IN ('completed', 'failed', 'cancelled') AND OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION chaos_ended();
INSERT INTO seedcore_settings (name, value) VALUES ('task_event_level', 'all')
    ON CONFLICT (name) DO UPDATE SET value = excluded.value;
"""

# Each names the tasks that break one rule. What was submitted is a temporary table of the judge's.
RULES: dict[str, str] = {
    "lost: submitted, and not in the table": """
        SELECT s.id FROM submitted s LEFT JOIN tasks t ON t.id = s.id WHERE t.id IS NULL""",
    "there although nobody submitted it": """
        SELECT t.id FROM tasks t LEFT JOIN submitted s ON s.id = t.id
        WHERE s.id IS NULL AND t.type = 'chaos'""",
    "not ended": """
        SELECT id FROM tasks WHERE status NOT IN ('completed', 'failed', 'cancelled')""",
    "ended otherwise than its tool did": """
        SELECT t.id FROM tasks t JOIN submitted s ON s.id = t.id
        WHERE t.status::text <> CASE WHEN s.outcome = 'bad' THEN 'failed' ELSE 'completed' END
          AND NOT (s.is_cancelled AND t.status = 'cancelled')""",
    "ended more than once, or never seen to end": """
        SELECT t.id FROM tasks t LEFT JOIN chaos_ends e ON e.task_id = t.id
        GROUP BY t.id HAVING count(e.task_id) <> 1""",
    "accepted a result of another attempt than its last": """
        SELECT t.id FROM tasks t JOIN chaos_ends e ON e.task_id = t.id
        WHERE e.attempt <> t.attempts OR e.status <> t.status::text""",
    "accepted a result that no execution of this attempt had": """
        SELECT e.task_id FROM chaos_ends e
        LEFT JOIN chaos_runs r ON r.execution = e.execution
         AND r.task_id = e.task_id AND r.attempt = e.attempt
        WHERE e.status = 'completed' AND r.execution IS NULL""",
    "ran twice under one attempt": """
        SELECT task_id FROM chaos_runs GROUP BY task_id, attempt HAVING count(*) > 1""",
    "ran under an attempt that was never claimed": """
        SELECT r.task_id FROM chaos_runs r
        LEFT JOIN task_events e ON e.task_id = r.task_id AND e.attempts = r.attempt
         AND e.to_status = 'running'
        WHERE e.task_id IS NULL""",
}
EXAMPLES = 5


@dataclass
class Verdict:
    """What the records say.

    Attributes:
        tasks: How many were submitted.
        statuses: How many ended how.
        executions: How often tools ran.
        faults: What must not be, each a sentence; empty = all is well.
    """

    tasks: int
    statuses: dict[str, int]
    executions: int
    faults: list[str] = field(default_factory=list[str])


def judge(conn: psycopg.Connection[Any], submitted: dict[str, str], cancelled: set[str]) -> Verdict:
    """Check everything that was recorded.

    Args:
        conn: To the database of the storm, in autocommit; nothing runs there any more.
        submitted: Id of each submitted task, and how its tool was to end.
        cancelled: Ids of those whose cancellation was accepted, or may have been.
    """
    conn.execute(
        "CREATE TEMPORARY TABLE submitted (id uuid PRIMARY KEY, outcome text, is_cancelled boolean)"
    )
    with conn.cursor() as cursor, cursor.copy("COPY submitted FROM STDIN") as copy:
        for task_id, outcome in submitted.items():
            copy.write_row((task_id, outcome, task_id in cancelled))
    conn.execute("ANALYZE submitted, tasks, chaos_ends, chaos_runs, task_events")
    faults: list[str] = []
    for rule, statement in RULES.items():
        found = [str(row[0]) for row in conn.execute(statement).fetchall()]
        if found:
            faults.append(f"{len(found)} tasks {rule}: {', '.join(found[:EXAMPLES])}")
    broken = list(verify(conn, level="all"))
    faults += [f"history: {v.rule}, task {v.task_id}: {v.evidence}" for v in broken[:EXAMPLES]]
    if len(broken) > EXAMPLES:
        faults.append(f"history: {len(broken) - EXAMPLES} more")
    statuses = conn.execute("SELECT status::text, count(*) FROM tasks GROUP BY 1").fetchall()
    executions = conn.execute("SELECT count(*) FROM chaos_runs").fetchone()
    return Verdict(len(submitted), dict(statuses), executions[0] if executions else 0, faults)
