-- Statements of `seedcore top`. Each reads a bounded number of rows by an index, whatever the table holds:
-- counts stop at a cap, and what lies beyond is told from the statistics. Run with the planner pinned.

-- pin_plan --
-- For this transaction only, so that it also works behind a pooler: with lying statistics a scan of the
-- table would look cheap.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
       set_config('enable_sort', 'on', true), set_config('jit', 'off', true)

-- lanes --
-- The lanes, whether they are held back, and how many workers wait at each.
SELECT l.lane, l.paused, l.reason, l.changed_by,
       (SELECT count(*) FROM queue_waiters w WHERE w.lane = l.lane) AS waiting
  FROM queue_lanes l
 ORDER BY l.lane DESC

-- counts --
-- Unfinished and failed tasks by status and lane, up to a cap for each status.
SELECT s.status::text AS status, task_lane(r.type) AS lane, count(*) AS tasks
  FROM unnest('{created,queued,retry,running,failed}'::taskstatus[]) AS s (status)
 CROSS JOIN LATERAL (
       SELECT t.type FROM tasks t
        WHERE t.status = s.status AND t.status <> 'completed'
        ORDER BY t.status, t.run_after LIMIT %(cap)s) AS r
 GROUP BY 1, 2

-- estimates --
-- What the statistics think of the statuses, for counts beyond the cap.
SELECT v.status, (v.share * greatest(c.reltuples, 0))::int8 AS tasks
  FROM pg_class c
  JOIN pg_stats p ON p.schemaname = 'public' AND p.tablename = 'tasks' AND p.attname = 'status'
 CROSS JOIN LATERAL unnest(p.most_common_vals::text::text[], p.most_common_freqs) AS v (status, share)
 WHERE c.oid = 'public.tasks'::regclass

-- due_queue --
-- How many tasks of the queue lane are due, up to the cap, and since when the oldest is: one ordered range
-- of the claim's index per priority. now() and not clock_timestamp(), which no index condition can hold.
SELECT (SELECT count(*)
          FROM (SELECT FROM generate_series(10, 0, -1) AS p (priority)
                 CROSS JOIN LATERAL (
                       SELECT FROM tasks t
                        WHERE t.status IN ('queued', 'retry') AND t.type <> 'graph'
                          AND t.concurrency_key IS NULL AND t.priority = p.priority
                          AND coalesce(t.run_after, t.created_at) <= now()
                        ORDER BY t.priority DESC, coalesce(t.run_after, t.created_at) LIMIT %(cap)s) AS f
                 LIMIT %(cap)s) AS c) AS tasks,
       (SELECT extract(epoch FROM now() - min(f.at))::float8
          FROM generate_series(10, 0, -1) AS p (priority)
         CROSS JOIN LATERAL (
               SELECT coalesce(t.run_after, t.created_at) AS at FROM tasks t
                WHERE t.status IN ('queued', 'retry') AND t.type <> 'graph'
                  AND t.concurrency_key IS NULL AND t.priority = p.priority
                  AND coalesce(t.run_after, t.created_at) <= now()
                ORDER BY t.priority DESC, coalesce(t.run_after, t.created_at) LIMIT 1) AS f) AS oldest_s

-- due_graph --
-- The same of the graph lane.
SELECT (SELECT count(*)
          FROM (SELECT FROM generate_series(10, 0, -1) AS p (priority)
                 CROSS JOIN LATERAL (
                       SELECT FROM tasks t
                        WHERE t.status IN ('queued', 'retry') AND t.type = 'graph'
                          AND t.concurrency_key IS NULL AND t.priority = p.priority
                          AND coalesce(t.run_after, t.created_at) <= now()
                        ORDER BY t.priority DESC, coalesce(t.run_after, t.created_at) LIMIT %(cap)s) AS f
                 LIMIT %(cap)s) AS c) AS tasks,
       (SELECT extract(epoch FROM now() - min(f.at))::float8
          FROM generate_series(10, 0, -1) AS p (priority)
         CROSS JOIN LATERAL (
               SELECT coalesce(t.run_after, t.created_at) AS at FROM tasks t
                WHERE t.status IN ('queued', 'retry') AND t.type = 'graph'
                  AND t.concurrency_key IS NULL AND t.priority = p.priority
                  AND coalesce(t.run_after, t.created_at) <= now()
                ORDER BY t.priority DESC, coalesce(t.run_after, t.created_at) LIMIT 1) AS f) AS oldest_s

-- due_keyed --
-- Those with a concurrency key stand in an index of their own, by key; of them a sample up to the cap.
SELECT k.lane, count(*) AS tasks, extract(epoch FROM now() - min(k.at))::float8 AS oldest_s
  FROM (SELECT task_lane(t.type) AS lane, coalesce(t.run_after, t.created_at) AS at FROM tasks t
         WHERE t.status IN ('queued', 'retry') AND t.concurrency_key IS NOT NULL
         ORDER BY task_lane(t.type), t.concurrency_key LIMIT %(cap)s) AS k
 WHERE k.at <= now()
 GROUP BY k.lane

-- running --
-- Tasks that run, those that have run longest first.
SELECT r.id, r.type, r.domain, task_lane(r.type) AS lane, r.owner_id AS owner, r.attempts AS attempt,
       extract(epoch FROM clock_timestamp() - r.last_heartbeat)::float8 AS lease_age_s,
       extract(epoch FROM r.lease_expires_at - clock_timestamp())::float8 AS lease_left_s,
       extract(epoch FROM clock_timestamp() - r.started_at)::float8 AS run_s,
       greatest(extract(epoch FROM r.started_at - coalesce(r.run_after, r.created_at)), 0)::float8 AS wait_s
  FROM (SELECT t.* FROM tasks t
         WHERE t.status = 'running' AND t.status <> 'completed'
         ORDER BY t.run_after LIMIT %(cap)s) AS r
 ORDER BY r.started_at

-- waiters --
-- Workers with nothing to do.
SELECT w.worker AS owner, w.lane, extract(epoch FROM clock_timestamp() - w.since)::float8 AS idle_s
  FROM queue_waiters w
 ORDER BY w.worker
 LIMIT %(cap)s

-- failures --
-- Tasks that failed last. No index is in their order; the status's is in that of the last delay, and equal
-- keys are in that of the table, so its two ends hold the latest.
SELECT f.id, f.type, f.domain, task_lane(f.type) AS lane, f.attempts AS attempt, left(f.error, 300) AS error,
       extract(epoch FROM clock_timestamp() - coalesce(f.finished_at, f.updated_at))::float8 AS ago_s
  FROM ((SELECT t.* FROM tasks t
          WHERE t.status = 'failed' AND t.status <> 'completed' AND t.run_after IS NOT NULL
          ORDER BY t.run_after DESC LIMIT %(cap)s)
        UNION ALL
        (SELECT t.* FROM tasks t
          WHERE t.status = 'failed' AND t.status <> 'completed' AND t.run_after IS NULL
          ORDER BY t.run_after DESC LIMIT %(cap)s)) AS f
 ORDER BY coalesce(f.finished_at, f.updated_at) DESC
 LIMIT %(shown)s

-- counters --
-- The server's own counters, which cost nothing: rows made and changed in tasks, rows made in the audit. By
-- function and not by view, which joins the catalog for columns that nobody asks for.
SELECT extract(epoch FROM clock_timestamp())::float8 AS at,
       pg_stat_get_tuples_inserted('public.tasks'::regclass) AS submitted,
       pg_stat_get_tuples_updated('public.tasks'::regclass) AS changed,
       (SELECT coalesce(sum(pg_stat_get_tuples_inserted(i.inhrelid)), 0)::int8
          FROM pg_inherits i WHERE i.inhparent = 'public.task_events'::regclass) AS events,
       seedcore_setting('task_event_level', 'terminal') AS event_level,
       to_regclass('public.task_progress') IS NOT NULL AS has_progress

-- progress --
-- What running tasks report of themselves.
SELECT p.task_id AS id, p.attempt, p.done, p.total, p.message FROM task_progress p WHERE p.task_id = ANY (%(ids)s)
