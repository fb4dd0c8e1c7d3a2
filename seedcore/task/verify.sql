-- The history checker's statements. All of them run on one snapshot, so that events and tasks agree.

-- scope --
-- From when on this database was meant to record what it records now. Older events may be gone, and
-- what was recorded while the level was another proves nothing by what is missing.
SELECT seedcore_setting('task_event_level', 'terminal'),
       CASE WHEN first.at IS NOT NULL
            THEN greatest(%(since)s::timestamptz, first.at,
                          (SELECT s.changed_at FROM seedcore_settings s WHERE s.name = 'task_event_level')) END
  FROM (SELECT min(e.at) AS at FROM task_events e
         WHERE e.at >= coalesce(%(since)s::timestamptz, '-infinity')) AS first

-- events --
-- Every recorded change beside the one before it, and the last one of a task beside its row. The key of
-- each day's partition has the order of the window, so nothing has to be kept but one task's line.
WITH walked AS (
    SELECT e.task_id, e.id, e.at, e.from_status, e.to_status, e.attempts, e.actor,
           lag(e.to_status) OVER line AS prev_status,
           lag(e.attempts) OVER line AS prev_attempts,
           lag(e.actor) OVER line AS prev_actor,
           lag(e.at) OVER line AS prev_at,
           max(e.attempts) OVER before AS highest,
           max(e.attempts) FILTER (WHERE e.to_status = 'running') OVER before AS claimed,
           first_value(e.from_status) OVER line AS first_from,
           lead(e.id) OVER line IS NULL AS is_last
      FROM task_events e
     WHERE e.at >= coalesce(%(since)s::timestamptz, '-infinity')
    WINDOW line AS (PARTITION BY e.task_id ORDER BY e.id),
           before AS (PARTITION BY e.task_id ORDER BY e.id
                      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
), beside AS (
    SELECT w.*, t.id IS NOT NULL AS is_there, t.status, t.attempts AS now_attempts,
           t.finished_at, t.created_at,
           w.prev_status IN ('completed', 'failed', 'cancelled') AS was_over,
           w.to_status IN ('completed', 'failed', 'cancelled') AS is_over,
           coalesce(t.status IN ('completed', 'failed', 'cancelled'), false) AS row_is_over,
           %(complete)s AND w.prev_at >= %(recorded)s AS follows
      FROM walked w LEFT JOIN tasks t ON w.is_last AND t.id = w.task_id
), judged AS (
    SELECT b.*,
           b.attempts < b.highest
               OR b.to_status = 'running' AND b.attempts <= b.claimed
               OR b.follows AND b.attempts <> b.prev_attempts + (b.to_status = 'running')::int
               AS attempts_broken,
           b.was_over AND b.is_over AS ended_twice,
           b.was_over AND NOT b.is_over
               AND NOT (b.from_status = b.prev_status AND b.prev_status <> 'completed'
                        AND b.to_status IN ('queued', 'created'))
               AS went_on,
           (b.from_status || '>' || b.to_status) <> ALL (%(moves)s::text[]) AS impossible,
           b.follows AND NOT b.was_over AND b.from_status IS DISTINCT FROM b.prev_status AS torn,
           b.to_status = 'completed' AND b.prev_status = 'running' AND b.attempts = b.prev_attempts
               AND b.actor IS DISTINCT FROM b.prev_actor
               AS stolen,
           b.is_last AND NOT b.is_there AND NOT b.is_over AND %(ends)s AND b.at >= %(recorded)s
               AS vanished,
           b.is_last AND b.is_there AND %(ends)s
               AND (b.at >= %(recorded)s AND (%(complete)s OR b.is_over)
                        AND (b.status <> b.to_status OR b.now_attempts <> b.attempts)
                    OR b.row_is_over AND b.finished_at >= %(recorded)s AND b.status <> b.to_status)
               AS contradicted,
           b.is_last AND b.is_there AND %(complete)s AND b.first_from IS NOT NULL
               AND b.created_at >= %(recorded)s
               AS headless
      FROM beside b
)
SELECT j.task_id, r.rule,
       format('%%s: %%s → %%s, attempt %%s by %%s: %%s', to_char(j.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
              coalesce(j.from_status::text, 'new'), j.to_status, j.attempts, coalesce(j.actor, 'nobody'), r.why)
  FROM judged j
 CROSS JOIN LATERAL (VALUES
       ('attempts', CASE WHEN j.attempts_broken
                         THEN format('the attempt before was %%s', coalesce(j.highest, 0)) END),
       ('two_ends', CASE WHEN j.ended_twice
                         THEN format('the task was %%s for good since attempt %%s', j.prev_status, j.prev_attempts) END),
       ('after_end', CASE WHEN j.went_on
                          THEN format('the task was %%s for good', j.prev_status) END),
       ('transition', CASE WHEN j.impossible THEN 'the life cycle has no such move'
                           WHEN j.torn THEN format('the task was %%s', j.prev_status) END),
       ('owner', CASE WHEN j.stolen THEN format('the lease was %%s''s', j.prev_actor) END),
       ('lost', CASE WHEN j.vanished THEN 'the task is gone, and was not over' END),
       ('state', CASE WHEN j.contradicted
                      THEN format('the row says %%s, attempt %%s', j.status, j.now_attempts) END),
       ('unrecorded', CASE WHEN j.headless THEN 'how the task began is not recorded' END)) AS r (rule, why)
 WHERE (j.attempts_broken OR j.ended_twice OR j.went_on OR j.impossible OR j.torn OR j.stolen
        OR j.vanished OR j.contradicted OR j.headless)
   AND r.why IS NOT NULL

-- unrecorded --
-- Ends that left no trace; with every change recorded, whole lives.
SELECT t.id, 'unrecorded',
       CASE WHEN t.status IN ('completed', 'failed', 'cancelled')
            THEN format('the row says %%s since %%s, and nothing is recorded', t.status, t.finished_at)
            ELSE format('the row says %%s, and nothing is recorded', t.status) END
  FROM tasks t
 WHERE (t.status IN ('completed', 'failed', 'cancelled') AND t.finished_at >= %(recorded)s
        OR %(complete)s AND t.created_at >= %(recorded)s)
   AND NOT EXISTS (SELECT FROM task_events e
                    WHERE e.task_id = t.id AND e.at >= coalesce(%(since)s::timestamptz, '-infinity'))

-- rows --
-- What can be seen without any event: tasks that nobody will ever take up again.
SELECT t.id, 'lease',
       format('running, attempt %%s, owner %%s, and no lease that could end', t.attempts, coalesce(t.owner_id, 'nobody'))
  FROM tasks t
 WHERE t.status = 'running' AND (t.owner_id IS NULL OR t.lease_expires_at IS NULL)
UNION ALL
SELECT t.id, 'lapsed',
       format('the lease of %%s, attempt %%s, ended %%s ago', t.owner_id, t.attempts,
              date_trunc('second', now() - t.lease_expires_at))
  FROM tasks t
 WHERE t.status = 'running' AND t.lease_expires_at < now() - %(lapsed_s)s::float8 * interval '1 second'
UNION ALL
SELECT t.id, 'stranded', format('waits since %%s for tasks that are over', t.updated_at)
  FROM tasks t
 WHERE t.status = 'created' AND t.auto_release
   AND t.updated_at < now() - %(lapsed_s)s::float8 * interval '1 second'
   AND NOT EXISTS (SELECT FROM task_depends_on_task e JOIN tasks d ON d.id = e.dst_task_id
                    WHERE e.src_task_id = t.id AND d.status NOT IN ('completed', 'failed', 'cancelled'))
