-- Schedules: kept by the task commands, fired by the workers' watchdog.

-- database_time --
-- The one clock that decides what is due.
SELECT clock_timestamp() AS now

-- add_schedule --
-- No row comes back when the name is taken.
INSERT INTO task_schedules (
       name, cron, timezone, type, description, domain, params, priority, max_attempts, ttl_seconds,
       misfire, overlap, next_run_at, created_by, changed_by, reason)
VALUES (%(name)s, %(cron)s, %(timezone)s, %(type)s, %(description)s, %(domain)s, %(params)s::jsonb,
       %(priority)s, %(max_attempts)s, %(ttl_s)s, %(misfire)s, %(overlap)s, %(next_run_at)s, %(actor)s,
       %(actor)s, %(reason)s)
    ON CONFLICT (name) DO NOTHING
RETURNING schedule_id

-- list_schedules --
-- All, or the one of that name.
SELECT s.name, s.schedule_id, s.cron, s.timezone, s.enabled, s.next_run_at, s.last_run_at,
       s.last_task_id, t.status::text AS last_status, s.last_error, s.failures, s.type, s.description,
       s.domain, s.params, s.priority, s.max_attempts, s.ttl_seconds AS ttl_s, s.misfire, s.overlap,
       s.reason, s.changed_by, s.created_by, s.created_at, s.updated_at,
       greatest(extract(epoch FROM clock_timestamp() - s.next_run_at), 0)::float8 AS late_s
  FROM task_schedules s
  LEFT JOIN tasks t ON t.id = s.last_task_id
 WHERE %(name)s::text IS NULL OR s.name = %(name)s
 ORDER BY s.name

-- schedule_names --
-- For suggestions.
SELECT s.name FROM task_schedules s ORDER BY s.name LIMIT 1000

-- recent_fires --
-- The latest times of one schedule, newest first.
SELECT f.fire_at, f.fired_at, f.outcome, f.task_id, t.status::text AS status, f.error, f.actor
  FROM task_schedule_fires f
  LEFT JOIN tasks t ON t.id = f.task_id
 WHERE f.schedule_id = %(schedule_id)s
 ORDER BY f.fire_at DESC
 LIMIT %(limit)s

-- pause_schedule --
-- What comes due meanwhile is left out.
UPDATE task_schedules
   SET enabled = false, next_run_at = NULL, changed_by = %(actor)s, reason = %(reason)s
 WHERE name = %(name)s AND enabled
RETURNING schedule_id

-- resume_schedule --
-- It goes on with the next time from now.
UPDATE task_schedules
   SET enabled = true, next_run_at = %(next_run_at)s, changed_by = %(actor)s, reason = %(reason)s
 WHERE name = %(name)s AND NOT enabled
RETURNING schedule_id

-- remove_schedule --
-- With the history of its fires; its tasks stay.
DELETE FROM task_schedules WHERE name = %(name)s RETURNING schedule_id

-- run_schedule --
-- Now, and once.
SELECT task_schedule_run(%(name)s) AS id

-- due_schedules --
-- now(), which unlike clock_timestamp() may bound an index scan. Longest overdue first.
SELECT s.schedule_id, s.name, s.cron, s.timezone, s.type, s.description, s.domain, s.params, s.priority,
       s.max_attempts, s.misfire, s.next_run_at, now() AS now
  FROM task_schedules s
 WHERE s.enabled AND s.next_run_at <= now()
 ORDER BY s.next_run_at
 LIMIT %(limit)s

-- fire_schedules --
-- Submit what is due and move the schedules on, in one transaction.
SELECT f.name, f.fire_at, f.outcome, f.task_id::text AS task_id, f.error
  FROM task_schedules_fire(
       %(ids)s::uuid[], %(expected)s::timestamptz[], %(next)s::timestamptz[], %(fire_ids)s::uuid[],
       %(fire_at)s::timestamptz[], %(outcomes)s::text[], %(errors)s::text[]) AS f

-- until_next_fire --
-- Seconds until a schedule can become due: the next full minute, as cron lines know no seconds. Those
-- that are due already are somebody else's at the moment.
SELECT least(
       60 - extract(epoch FROM now())::numeric %% 60,
       (SELECT extract(epoch FROM min(s.next_run_at) - now())
          FROM task_schedules s WHERE s.enabled AND s.next_run_at > now()))::float8 AS pause_s
