-- limit_session --
-- A row that somebody else keeps locked must not stop a worker for long.
SELECT set_config('statement_timeout', %(statement_ms)s, false),
       set_config('lock_timeout', %(lock_ms)s, false),
       set_config('timezone', 'UTC', false)

-- limit_transaction --
-- The same for one transaction, which also holds behind a pooler.
SELECT set_config('statement_timeout', %(statement_ms)s, true),
       set_config('lock_timeout', %(lock_ms)s, true)

-- claim --
-- Take due tasks of the queue lane; columns are cast so that no value can make a whole batch unreadable.
SELECT id::text, type, description, domain, params::text, attempts, max_attempts,
       extract(epoch FROM deadline_at)::float8, result::text, idempotency_key, priority,
       extract(epoch FROM coalesce(run_after, created_at))::float8,
       extract(epoch FROM now() - coalesce(run_after, created_at))::float8,
       drift_score, lapses
  FROM tasks_claim(p_lane => 'queue', p_owner => %(owner)s, p_limit => %(limit)s::int,
                   p_lease_s => %(lease_s)s::float8, p_locked_by => %(locked_by)s,
                   p_types => %(types)s::text[], p_domains => %(domains)s::text[],
                   p_floor_at => %(floor_at)s::timestamptz[], p_floor_id => %(floor_id)s::uuid[])

-- clock --
-- When this transaction began, and how long ago that is.
SELECT extract(epoch FROM now())::float8, extract(epoch FROM clock_timestamp() - now())::float8

-- complete --
-- Write results of finished tasks; rows whose lease is lost do not come back.
SELECT accepted::text
  FROM tasks_complete(p_owner => %(owner)s, p_ids => %(ids)s::uuid[],
                      p_attempts => %(attempts)s::int[], p_results => %(results)s::jsonb[]) AS accepted

-- retry_or_fail --
-- Hand failed attempts to the one function that decides; rows whose lease is lost do not come back.
SELECT id::text, status::text, extract(epoch FROM run_after - now())::float8
  FROM tasks_retry_or_fail(p_ids => %(ids)s::uuid[], p_reasons => %(reasons)s::text[],
                           p_results => %(results)s::jsonb[], p_retryable => %(retryable)s::bool[],
                           p_delay_s => %(delays)s::float8[], p_owner => %(owner)s,
                           p_attempts => %(attempts)s::int[], p_default_max => %(default_max)s::int)

-- give_back --
-- Return tasks that were not worked on; their attempt is not spent and they keep their place.
SELECT returned::text
  FROM tasks_give_back(p_owner => %(owner)s, p_ids => %(ids)s::uuid[],
                       p_attempts => %(attempts)s::int[], p_delay_s => 0,
                       p_default_max => %(default_max)s::int) AS returned

-- hold_keys --
-- Keep the concurrency keys of attempts taken whose tools go on although the attempt has ended, or ends now.
SELECT held::text
  FROM tasks_hold_keys(p_owner => %(owner)s, p_ids => %(ids)s::uuid[],
                       p_attempts => %(attempts)s::int[], p_lease_s => %(lease_s)s::float8) AS held

-- let_keys_go --
-- The tools of attempts that were lost have stopped, so their concurrency keys are free.
SELECT tasks_let_keys_go(p_owner => %(owner)s, p_ids => %(ids)s::uuid[], p_attempts => %(attempts)s::int[])

-- note_progress --
-- Keep what a running task wants remembered if its worker dies; only the lease's holder may.
UPDATE tasks
   SET result = note.result
  FROM unnest(%(ids)s::uuid[], %(attempts)s::int[], %(results)s::jsonb[]) AS note(id, attempts, result)
 WHERE tasks.id = note.id
   AND tasks.owner_id = %(owner)s
   AND tasks.attempts = note.attempts
RETURNING tasks.id::text

-- cancel_own --
-- Cancel tasks of this worker's claim, such as equal ones of one batch.
SELECT cancelled::text
  FROM tasks_cancel(p_ids => %(ids)s::uuid[], p_reason => %(reason)s, p_owner => %(owner)s) AS cancelled

-- declare_waiting --
-- Ask submitters for a notification; committed before the last look into the queue.
INSERT INTO queue_waiters (lane, worker, since)
VALUES ('queue', %(owner)s, now())
ON CONFLICT (lane, worker) DO UPDATE SET since = excluded.since

-- withdraw_waiting --
-- A busy worker looks by itself; nobody needs to notify it.
DELETE FROM queue_waiters WHERE lane = 'queue' AND worker = %(owner)s

-- next_due --
-- Seconds until the next task of the lane becomes due; one index descent per status. A limit of the lane
-- that is used up may end earlier.
SELECT least(extract(epoch FROM min(first.due) - now())::float8, queue_next_token_s('queue'))
  FROM ((SELECT run_after AS due
           FROM tasks
          WHERE status = 'queued' AND type <> 'graph' AND run_after > now()
          ORDER BY run_after
          LIMIT 1)
         UNION ALL
        (SELECT run_after
           FROM tasks
          WHERE status = 'retry' AND type <> 'graph' AND run_after > now()
          ORDER BY run_after
          LIMIT 1)) AS first

-- is_drained --
-- Whether no task of the lane can still run: none is due, delayed or running anywhere.
SELECT NOT EXISTS (
       SELECT FROM tasks
        WHERE status IN ('queued', 'retry', 'running')
          AND type <> 'graph'
          AND (%(types)s::text[] IS NULL OR type = ANY (%(types)s::text[]))
          AND (%(domains)s::text[] IS NULL OR domain = ANY (%(domains)s::text[])))

-- is_due_later --
-- Whether something is due that this worker will get although it got nothing just now: a bucket fills up, a
-- place or a key gets free. What is paused waits for people. Of one key, other workers' types may go first, so
-- behind a filter it counts only while the key is in use.
SELECT EXISTS (
       SELECT FROM queue_lanes AS lane
        WHERE lane.lane = 'queue' AND NOT lane.paused
          AND (EXISTS (
               SELECT FROM generate_series(10, 0, -1) AS level (priority)
                CROSS JOIN LATERAL (
                      SELECT FROM tasks
                       WHERE status IN ('queued', 'retry') AND type <> 'graph' AND concurrency_key IS NULL
                         AND tasks.priority = level.priority
                         AND coalesce(run_after, created_at) <= now()
                         AND (expires_at IS NULL OR expires_at > now())
                         AND (%(types)s::text[] IS NULL OR type = ANY (%(types)s::text[]))
                         AND (%(domains)s::text[] IS NULL OR domain = ANY (%(domains)s::text[]))
                         AND NOT EXISTS (SELECT FROM queue_controls AS control
                                          WHERE control.lane = 'queue' AND control.paused
                                            AND control.domain = tasks.domain)
                       ORDER BY coalesce(run_after, created_at), id
                       LIMIT 1) AS first)
               OR EXISTS (
               SELECT FROM tasks
                WHERE status IN ('queued', 'retry') AND task_lane(type) = 'queue'
                  AND concurrency_key IS NOT NULL
                  AND coalesce(run_after, created_at) <= now()
                  AND (expires_at IS NULL OR expires_at > now())
                  AND (%(types)s::text[] IS NULL OR type = ANY (%(types)s::text[]))
                  AND (%(domains)s::text[] IS NULL OR domain = ANY (%(domains)s::text[]))
                  AND NOT EXISTS (SELECT FROM queue_controls AS control
                                   WHERE control.lane = 'queue' AND control.paused
                                     AND control.domain = tasks.domain)
                  AND (%(types)s::text[] IS NULL AND %(domains)s::text[] IS NULL
                       OR (task_key_use(concurrency_key)).running > 0))))

-- left_over --
-- What stays behind when a bounded run ends.
SELECT count(*) FILTER (WHERE status IN ('queued', 'retry')
                          AND coalesce(run_after, created_at) <= now()),
       count(*) FILTER (WHERE status IN ('queued', 'retry')
                          AND coalesce(run_after, created_at) > now()),
       count(*) FILTER (WHERE status = 'running'),
       count(*) FILTER (WHERE status = 'created')
  FROM tasks
 WHERE status IN ('queued', 'retry', 'running', 'created')
   AND type <> 'graph'
   AND (%(types)s::text[] IS NULL OR type = ANY (%(types)s::text[]))
   AND (%(domains)s::text[] IS NULL OR domain = ANY (%(domains)s::text[]))

-- own_running --
-- What the database believes this worker to hold: after a lost answer it may be more than it knows.
SELECT id::text, attempts
  FROM tasks
 WHERE status = 'running' AND owner_id = %(owner)s

-- own_ends --
-- How attempts of this worker ended whose answer was lost on the way.
SELECT tasks.id::text, tasks.status::text, tasks.error
  FROM unnest(%(ids)s::uuid[], %(attempts)s::int[]) AS mine(id, attempts)
  JOIN tasks ON tasks.id = mine.id AND tasks.attempts = mine.attempts

-- renew --
-- Extend the leases of everything held for a while, and learn which of them are gone.
SELECT id::text, renewed, status::text
  FROM tasks_renew(p_owner => %(owner)s, p_ids => %(ids)s::uuid[],
                   p_attempts => %(attempts)s::int[], p_lease_s => %(lease_s)s::float8)

-- reap --
-- Give tasks of silent owners back; null when another worker is at it.
SELECT CASE WHEN pg_try_advisory_xact_lock(hashtextextended('seedcore.watchdog.reap', 0))
            THEN tasks_reap_expired(p_grace_s => %(grace_s)s::float8, p_limit => %(limit)s::int,
                                    p_default_max => %(default_max)s::int,
                                    p_max_lapses => %(max_lapses)s::int) END

-- expire --
-- Cancel tasks that may not start any more; null when another worker is at it.
SELECT CASE WHEN pg_try_advisory_xact_lock(hashtextextended('seedcore.watchdog.expire', 0))
            THEN tasks_expire_due(p_limit => %(limit)s::int) END

-- release --
-- Free waiting tasks whose release was missed; null when another worker is at it.
SELECT CASE WHEN pg_try_advisory_xact_lock(hashtextextended('seedcore.watchdog.release', 0))
            THEN tasks_release_ready(p_limit => %(limit)s::int) END

-- age --
-- Raise what has waited long by one level; null when another worker is at it.
SELECT CASE WHEN pg_try_advisory_xact_lock(hashtextextended('seedcore.watchdog.age', 0))
            THEN tasks_age(p_age_s => %(age_s)s::float8, p_limit => %(limit)s::int) END

-- forget_waiters --
-- Rows of workers that died while waiting would make every submit notify nobody. A live worker
-- renews its row at every look into the queue, so an old one belongs to none.
DELETE FROM queue_waiters WHERE since < now() - make_interval(secs => %(older_s)s::float8)

-- forget_key_holds --
-- What lapsed counts for nothing; its owner died, or could not say that its tool had stopped.
SELECT tasks_forget_key_holds()

-- prepare_partitions --
-- Keep the coming days' event partitions there; null when another worker is at it.
SELECT CASE WHEN pg_try_advisory_xact_lock(hashtextextended('seedcore.watchdog.partitions', 0))
            THEN task_events_ensure(p_days => 7) END

-- retain_tasks --
-- Remove one slice of tasks that are over for long enough; no row when all are kept, or another is at it.
SELECT removed, seen, wait_s, swept
  FROM tasks_retain(p_completed_s => %(completed_s)s::float8, p_failed_s => %(failed_s)s::float8,
                    p_cancelled_s => %(cancelled_s)s::float8, p_share => %(share)s::float8)

-- retain_events --
-- Drop the oldest day of events that are old enough; no row as above.
SELECT day::text, removed, wait_s, busy
  FROM task_events_retain(p_events_s => %(events_s)s::float8)

-- notify_channel --
-- The channel that submitters of this database use.
SELECT seedcore_setting('notify_channel', %(fallback)s)

-- queue_ages --
-- Age of the oldest due task per status, for the gauge. Tasks with a concurrency key are ordered by key, so
-- of those that are queued the first thousand stand for all.
SELECT 'queued', coalesce(extract(epoch FROM now() - min(oldest.due)), 0)::float8
  FROM ((SELECT first.due
           FROM generate_series(0, 10) AS level(priority)
          CROSS JOIN LATERAL (
                SELECT coalesce(run_after, created_at) AS due
                  FROM tasks
                 WHERE status IN ('queued', 'retry')
                   AND status = 'queued'
                   AND type <> 'graph'
                   AND concurrency_key IS NULL
                   AND tasks.priority = level.priority
                   AND coalesce(run_after, created_at) <= now()
                 ORDER BY coalesce(run_after, created_at), id
                 LIMIT 1) AS first)
         UNION ALL
        (SELECT coalesce(run_after, created_at)
           FROM tasks
          WHERE status IN ('queued', 'retry')
            AND status = 'queued'
            AND task_lane(type) = 'queue'
            AND concurrency_key IS NOT NULL
            AND coalesce(run_after, created_at) <= now()
          LIMIT 1000)) AS oldest
 UNION ALL
SELECT 'retry', coalesce(extract(epoch FROM now() - (
       SELECT run_after
         FROM tasks
        WHERE status = 'retry' AND type <> 'graph' AND run_after <= now()
        ORDER BY run_after
        LIMIT 1)), 0)::float8
 UNION ALL
SELECT 'running', coalesce(extract(epoch FROM now() - min(locked_at)), 0)::float8
  FROM tasks
 WHERE status = 'running' AND type <> 'graph'
