-- Statements of the task commands. What a worker says to the database is in engine.sql.

-- submit --
-- The delay counts from the database's clock, not from the caller's.
SELECT s.id, s.created, s.status::text AS status, s.run_after, s.error
  FROM task_submit(
       p_type => %(type)s, p_description => %(description)s, p_params => %(params)s::jsonb,
       p_domain => %(domain)s, p_drift_score => %(drift_score)s, p_priority => %(priority)s,
       p_run_after => coalesce(%(run_after)s::timestamptz,
                               clock_timestamp() + %(in_s)s::float8 * interval '1 second'),
       p_deadline_at => %(deadline_at)s, p_expires_at => %(expires_at)s,
       p_max_attempts => %(max_attempts)s, p_idempotency_key => %(idempotency_key)s,
       p_depends_on => %(depends_on)s::uuid[], p_hold => %(hold)s, p_id => %(id)s::uuid,
       p_unique => %(unique)s, p_concurrency_key => %(concurrency_key)s,
       p_concurrency_limit => %(concurrency_limit)s) AS s

-- find_keys --
-- Which task stands for each idempotency key; keys of no task are left out.
SELECT k.key, task_find_key(k.key) AS id
  FROM unnest(%(keys)s::text[]) AS k (key)
 WHERE task_find_key(k.key) IS NOT NULL

-- taken_keys --
-- Which task keeps each key taken; for ever, any task that ever had it does.
SELECT k.key, t.id, t.status::text AS status
  FROM unnest(%(keys)s::text[]) AS k (key)
  JOIN tasks t ON t.id = task_find_key(k.key)
 WHERE %(ever)s OR task_holds_key(t.status, t.unique_while)

-- find_ids --
-- A prefix of an id is a range of ids, which the primary key finds.
SELECT t.id, t.status::text AS status, t.type, t.created_at
  FROM tasks t
 WHERE t.id BETWEEN %(low)s::uuid AND %(high)s::uuid
 ORDER BY t.created_at DESC
 LIMIT %(limit)s

-- inspect --
-- One task in full, with what follows from its times.
SELECT t.id, t.status::text AS status, t.type, t.description, t.domain, t.drift_score, t.params,
       t.priority, t.aged, t.attempts, t.max_attempts, t.lapses, t.idempotency_key,
       CASE WHEN t.idempotency_key IS NOT NULL THEN coalesce(t.unique_while, 'live') END AS unique,
       t.concurrency_key,
       CASE WHEN t.concurrency_key IS NOT NULL THEN coalesce(t.concurrency_limit, 1) END AS concurrency,
       task_held_back_by(t.id) AS held_back_by,
       t.status = 'created' AND NOT t.auto_release AS held,
       t.run_after, t.deadline_at, t.expires_at, t.created_at, t.updated_at, t.started_at, t.finished_at,
       t.result, t.error,
       t.owner_id, t.locked_by, t.locked_at, t.lease_expires_at, t.last_heartbeat,
       extract(epoch FROM clock_timestamp() - t.last_heartbeat)::float8 AS heartbeat_age_s,
       extract(epoch FROM t.lease_expires_at - clock_timestamp())::float8 AS lease_left_s,
       extract(epoch FROM clock_timestamp() - t.created_at)::float8 AS age_s,
       greatest(extract(epoch FROM t.started_at - coalesce(t.run_after, t.created_at)), 0)::float8 AS wait_s,
       extract(epoch FROM coalesce(t.finished_at, CASE WHEN t.status = 'running' THEN clock_timestamp() END)
                          - t.started_at)::float8 AS run_s,
       p.done, p.total, p.message, p.attempt, p.call_index AS call, p.at, p.checkpoint
  FROM tasks t LEFT JOIN task_progress p ON p.task_id = t.id
 WHERE t.id = %(id)s

-- graph --
-- What a task waits for, and what waits for it.
SELECT 'depends_on' AS relation, e.required, d.id, d.status::text AS status, d.type
  FROM task_depends_on_task e JOIN tasks d ON d.id = e.dst_task_id
 WHERE e.src_task_id = %(id)s
UNION ALL
SELECT 'dependant', e.required, s.id, s.status::text, s.type
  FROM task_depends_on_task e JOIN tasks s ON s.id = e.src_task_id
 WHERE e.dst_task_id = %(id)s
 ORDER BY 1, 3

-- history --
-- Everything recorded about one task, oldest first.
SELECT e.task_id, e.at, e.from_status::text AS from_status, e.to_status::text AS to_status, e.attempts,
       e.actor, e.reason
  FROM task_events e
 WHERE e.task_id = %(id)s
 ORDER BY e.id

-- recent_events --
-- What was recorded in a span of time, oldest first; the times cut the partitions.
SELECT e.task_id, e.at, e.from_status::text AS from_status, e.to_status::text AS to_status, e.attempts,
       e.actor, e.reason
  FROM task_events e
 WHERE e.at >= %(since)s AND e.at < coalesce(%(until)s::timestamptz, 'infinity')
 ORDER BY e.at, e.id
 LIMIT %(limit)s

-- states --
-- Where tasks stand; ids of no task are left out.
SELECT t.id, t.status::text AS status, t.error, t.attempts, t.updated_at
  FROM tasks t
 WHERE t.id = ANY (%(ids)s::uuid[])

-- outcomes --
-- What came of tasks.
SELECT t.id, t.status::text AS status, t.type, t.result, t.error, t.attempts, t.updated_at
  FROM tasks t
 WHERE t.id = ANY (%(ids)s::uuid[])

-- cancel --
-- Unfinished tasks end at once; a worker that runs one learns it at its next renewal.
SELECT c.id FROM tasks_cancel(%(ids)s::uuid[], %(reason)s) AS c (id)

-- requeue --
-- Failed, cancelled and retrying tasks get more attempts.
SELECT r.id, r.status::text AS status FROM tasks_requeue(%(ids)s::uuid[], %(extra)s, %(delay_s)s) AS r

-- redrive_start --
-- One start for all batches, by the database's clock.
SELECT clock_timestamp() + %(delay_s)s::float8 * interval '1 second' AS start

-- redrive --
-- As requeue, but due one after another.
SELECT r.id
  FROM tasks_redrive(%(ids)s::uuid[], %(extra)s::int, %(start)s::timestamptz, %(first)s::int,
                     %(gap_s)s::float8) AS r (id)

-- release --
-- Lift holds.
SELECT r.id, r.status::text AS status FROM tasks_release(%(ids)s::uuid[]) AS r

-- requeue_stale --
-- Leases back from silent owners, or the named ones.
SELECT r.id, r.status::text AS status, r.owner_id, r.silent_s
  FROM tasks_requeue_stale(
       p_ids => %(ids)s::uuid[], p_older_than_s => %(older_than_s)s::float8, p_types => %(types)s::text[],
       p_limit => %(limit)s, p_default_max => %(default_max)s, p_max_lapses => %(max_lapses)s) AS r

-- add_dependency --
-- A task that has not started waits for one more.
SELECT task_add_dependency(%(src)s, %(dst)s, %(required)s) AS added

-- purge --
-- One batch of tasks that ended long ago.
SELECT tasks_purge(%(older_than_s)s * interval '1 second', %(statuses)s::taskstatus[], %(limit)s) AS done

-- purgeable --
-- How many tasks a purge would delete.
SELECT count(*) AS done
  FROM tasks o
 WHERE o.created_at < now() - %(older_than_s)s * interval '1 second'
   AND coalesce(o.finished_at, o.updated_at) < now() - %(older_than_s)s * interval '1 second'
   AND o.status = ANY (%(statuses)s::taskstatus[])
   AND NOT EXISTS (
       SELECT FROM task_depends_on_task e JOIN tasks s ON s.id = e.src_task_id
        WHERE e.dst_task_id = o.id AND s.status NOT IN ('completed', 'failed', 'cancelled'))

-- purge_events --
-- One batch of audit rows; whole days are dropped.
SELECT task_events_purge(%(older_than_s)s * interval '1 second', %(limit)s) AS done

-- pause_lane --
-- Claims of the lane, or of one domain of it, return nothing from now on.
SELECT queue_pause(%(lane)s, %(actor)s, %(reason)s, %(domain)s)

-- resume_lane --
-- Claims return tasks again.
SELECT queue_resume(%(lane)s, %(actor)s, %(domain)s)

-- limit_lane --
-- Claims return so many a second, or keep so many running at once.
SELECT queue_limit(p_lane => %(lane)s, p_actor => %(actor)s, p_reason => %(reason)s,
                   p_domain => %(domain)s, p_rate_per_s => %(rate_per_s)s::float8,
                   p_burst => %(burst)s::float8, p_concurrency => %(concurrency)s::int)

-- unlimit_lane --
-- Claims return what there is again.
SELECT queue_unlimit(%(lane)s, %(actor)s, %(domain)s)

-- set_fair --
-- Domains take turns, or not.
SELECT queue_fair(%(lane)s, %(fair)s, %(actor)s)

-- hold_lane --
-- Other changes of the lane wait until this transaction ends.
SELECT queue_hold_lane(%(lane)s)

-- control --
-- What holds a lane, or one domain of it, back.
SELECT l.lane, nullif(%(domain)s, '') AS domain,
       CASE %(domain)s WHEN '' THEN l.paused ELSE coalesce(c.paused, false) END AS paused,
       CASE %(domain)s WHEN '' THEN coalesce(l.reason, c.reason) ELSE c.reason END AS reason,
       c.rate_per_s, c.burst, c.concurrency, l.fair
  FROM queue_lanes l LEFT JOIN queue_controls c ON c.lane = l.lane AND c.domain = %(domain)s
 WHERE l.lane = %(lane)s

-- lane_changes --
-- What people changed of lanes, domains and schedules.
SELECT h.at, h.kind, h.lane, h.domain, h.schedule, h.before, h.after, h.actor, h.reason
  FROM queue_changes h
 WHERE (%(lane)s::text IS NULL OR h.lane = %(lane)s)
   AND (%(domain)s::text IS NULL OR h.domain = %(domain)s)
   AND (%(schedule)s::text IS NULL OR h.schedule = %(schedule)s)
   AND (%(since)s::timestamptz IS NULL OR h.at >= %(since)s)
 ORDER BY h.id DESC
 LIMIT nullif(%(limit)s::int, 0)

-- turns_index --
-- Whether the index of turns is there, and whole.
SELECT (SELECT i.indisvalid FROM pg_index i
         WHERE i.indexrelid = to_regclass('public.ix_tasks_claim_domain')) AS valid

-- drop_turns_index --
-- What an interrupted build left.
DROP INDEX CONCURRENTLY IF EXISTS ix_tasks_claim_domain

-- build_turns_index --
-- Claims of one lane and priority, domain by domain.
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_tasks_claim_domain ON tasks (
    (task_lane(type)), priority DESC, (coalesce(domain, '')), (coalesce(run_after, created_at)), id)
 WHERE status IN ('queued', 'retry') AND concurrency_key IS NULL

-- lane_status --
-- Lanes and their controlled domains by the status of what they hold.
WITH place AS (
    SELECT l.lane, NULL::text AS domain, l.paused, l.fair, coalesce(l.reason, c.reason) AS reason,
           c.rate_per_s, c.burst, c.concurrency,
           CASE WHEN c.changed_at > l.changed_at THEN c.changed_by ELSE l.changed_by END AS changed_by,
           greatest(l.changed_at, c.changed_at) AS changed_at
      FROM queue_lanes l LEFT JOIN queue_controls c ON c.lane = l.lane AND c.domain = ''
     UNION ALL
    SELECT c.lane, c.domain, c.paused, l.fair, c.reason, c.rate_per_s, c.burst, c.concurrency,
           c.changed_by, c.changed_at
      FROM queue_controls c JOIN queue_lanes l ON l.lane = c.lane
     WHERE c.domain <> ''
), held AS (
    SELECT s.lane, NULL::text AS domain, s.status, s.tasks, s.due_now, s.oldest_due_at
      FROM task_queue_stats s
     UNION ALL
    SELECT p.lane, p.domain, t.status, count(*),
           count(*) FILTER (WHERE t.status IN ('queued', 'retry')
                              AND coalesce(t.run_after, t.created_at) <= now()),
           min(coalesce(t.run_after, t.created_at))
               FILTER (WHERE t.status IN ('queued', 'retry')
                         AND coalesce(t.run_after, t.created_at) <= now())
      FROM place p JOIN tasks t ON t.domain = p.domain AND task_lane(t.type) = p.lane
     WHERE t.status <> 'completed'
     GROUP BY 1, 2, 3
)
SELECT p.lane, p.domain, h.status::text AS status, coalesce(h.tasks, 0) AS tasks,
       coalesce(h.due_now, 0) AS due,
       extract(epoch FROM clock_timestamp() - h.oldest_due_at)::float8 AS oldest_age_s,
       p.paused, p.rate_per_s, p.burst, p.concurrency, p.fair, p.reason, p.changed_by, p.changed_at
  FROM place p LEFT JOIN held h ON h.lane = p.lane AND h.domain IS NOT DISTINCT FROM p.domain
 WHERE p.lane = coalesce(%(lane)s, p.lane)
 ORDER BY p.lane DESC, p.domain NULLS FIRST, h.status

-- lanes --
-- Every lane, with what waits in it.
SELECT l.lane, l.paused, l.reason, l.changed_by, l.changed_at, s.status::text AS status,
       coalesce(s.tasks, 0) AS tasks, coalesce(s.due_now, 0) AS due_now,
       extract(epoch FROM clock_timestamp() - s.oldest_due_at)::float8 AS oldest_age_s
  FROM queue_lanes l LEFT JOIN task_queue_stats s ON s.lane = l.lane
 ORDER BY l.lane DESC, s.status

-- stage --
-- A table for one batch of lines. Dropped at commit, so that a pooler's next client finds none.
CREATE TEMP TABLE IF NOT EXISTS task_stage (
    ord             integer,
    id              uuid,
    status          taskstatus,
    type            text,
    description     text,
    domain          text,
    drift_score     double precision,
    params          jsonb,
    run_after       timestamptz,
    in_s            double precision,
    priority        smallint,
    deadline_at     timestamptz,
    expires_at      timestamptz,
    max_attempts    smallint,
    idempotency_key text,
    concurrency_key text,
    concurrency_limit smallint,
    auto_release    boolean
) ON COMMIT DROP

-- empty_stage --
-- One transaction may hold many batches.
TRUNCATE task_stage

-- fill_stage --
-- Lines as they were read.
COPY task_stage FROM STDIN

-- insert_staged --
-- Keys in one order, so that two loads of the same keys wait for each other and not both for both.
-- Each row is a microsecond younger than the one before, which keeps the order of lines with ids of
-- their own; storing a row takes longer. Audit and notification are the insert trigger's.
-- Returns the lines that were not stored.
WITH stored AS (
    INSERT INTO tasks (
           id, status, type, description, domain, drift_score, params, run_after, priority, deadline_at,
           expires_at, max_attempts, idempotency_key, unique_while, concurrency_key, concurrency_limit,
           auto_release, created_at, updated_at, snapshot_id)
    SELECT s.id, s.status, s.type, s.description, s.domain, s.drift_score, s.params,
           coalesce(s.run_after, s.at + s.in_s * interval '1 second'),
           coalesce(s.priority, task_hint_priority(s.params), 5),
           coalesce(s.deadline_at, task_hint_deadline(s.params)),
           coalesce(s.expires_at, s.at + task_hint_ttl(s.params)),
           s.max_attempts, s.idempotency_key,
           CASE WHEN s.idempotency_key IS NOT NULL THEN %(unique_while)s::text END,
           s.concurrency_key, s.concurrency_limit, s.auto_release, s.at, s.at,
           -- A sub-select, so that the whole batch asks once.
           (SELECT pkg_default_snapshot_id())
      FROM (SELECT l.*, n.now + l.ord * interval '1 microsecond' AS at
              FROM task_stage l CROSS JOIN (SELECT clock_timestamp() AS now) AS n) AS s
     WHERE NOT (%(ever)s AND s.idempotency_key IS NOT NULL AND task_find_key(s.idempotency_key) IS NOT NULL)
     ORDER BY s.idempotency_key NULLS FIRST, s.ord
        ON CONFLICT DO NOTHING
    RETURNING id
)
SELECT s.ord
  FROM task_stage s
 WHERE NOT EXISTS (SELECT FROM stored WHERE stored.id = s.id)

-- staged_rivals --
-- The stored tasks that staged lines are repeats of; a line without one may be tried again.
SELECT s.ord, t.id, t.status::text AS status
  FROM task_stage s
 CROSS JOIN LATERAL (
       SELECT t.id, t.status FROM tasks t
        WHERE t.id = coalesce((SELECT same.id FROM tasks same WHERE same.id = s.id),
                              CASE WHEN %(ever)s THEN task_find_key(s.idempotency_key)
                                   ELSE (SELECT k.id FROM tasks k
                                          WHERE k.idempotency_key = s.idempotency_key
                                            AND task_holds_key(k.status, k.unique_while)) END)) AS t
 WHERE s.ord = ANY (%(ords)s::int[])

-- hold_references --
-- Tasks that lines wait for, kept from ending until the batch is stored. In id order, as everywhere.
SELECT t.id FROM tasks t WHERE t.id = ANY (%(ids)s::uuid[]) ORDER BY t.id FOR SHARE

-- add_edges --
-- Who of a batch waits for whom: to complete, or only to end.
SELECT tasks_link(%(src)s::uuid[], %(dst)s::uuid[], %(required)s::boolean[])

-- start_waiting --
-- A held task waits for its dependencies instead; where it stands then.
SELECT task_await(%(id)s)::text AS status

-- members --
-- How far the tasks are that one waits for.
SELECT d.status::text AS status, count(*) AS tasks
  FROM task_depends_on_task e JOIN tasks d ON d.id = e.dst_task_id
 WHERE e.src_task_id = %(id)s
 GROUP BY d.status

-- failed_members --
-- Those that did not complete, by id.
SELECT d.id, d.status::text AS status, d.error
  FROM task_depends_on_task e JOIN tasks d ON d.id = e.dst_task_id
 WHERE e.src_task_id = %(id)s AND d.status IN ('failed', 'cancelled')
 ORDER BY d.id
 LIMIT %(limit)s

-- settle --
-- Queue or cancel new waiting tasks whose dependencies have ended already, and so on down.
SELECT tasks_release_dependants(ARRAY(SELECT tasks_settle_waiting(%(ids)s::uuid[])))

-- lapse --
-- End leases whose work is gone, by the rule for silent owners, as the reaper would later.
SELECT l.id::text AS id, l.status::text AS status
  FROM tasks_lapse(ARRAY(
         SELECT t.id FROM tasks t
          JOIN unnest(%(ids)s::uuid[], %(attempts)s::integer[]) AS u (id, attempts)
            ON t.id = u.id AND t.attempts = u.attempts
         WHERE t.owner_id = %(owner)s
         ORDER BY t.id
         FOR NO KEY UPDATE OF t), %(default_max)s, %(max_lapses)s) l
