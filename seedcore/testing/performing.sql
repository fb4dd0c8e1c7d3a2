-- Tests run tasks one at a time, in their own process.

-- take --
-- Lease one task whatever the order, the pauses and the limits of its lane, due or not.
UPDATE tasks
   SET status = 'running', attempts = attempts + 1, owner_id = %(owner)s, locked_by = %(owner)s,
       locked_at = clock_timestamp(), started_at = clock_timestamp(), updated_at = clock_timestamp(),
       last_heartbeat = clock_timestamp(), lease_expires_at = clock_timestamp() + interval '1 hour'
 WHERE id = %(id)s AND status IN ('queued', 'retry')
RETURNING id::text, type, params, attempts, result, snapshot_id

-- claim_one --
-- Lease the task that a worker would start next.
SELECT id::text, type, params, attempts, result, snapshot_id
  FROM tasks_claim('queue', %(owner)s, 1, 3600, p_types => %(types)s::text[])

-- note --
-- Keep the start mark of a call that is made at most once.
UPDATE tasks SET result = %(result)s::jsonb
 WHERE id = %(id)s AND owner_id = %(owner)s AND attempts = %(attempts)s
RETURNING id

-- complete --
-- As a worker does.
SELECT tasks_complete(%(owner)s, ARRAY[%(id)s::uuid], ARRAY[%(attempts)s::int], ARRAY[%(result)s::jsonb])

-- fail --
-- As a worker does.
SELECT tasks_retry_or_fail(
       ARRAY[%(id)s::uuid], ARRAY[%(reason)s::text], ARRAY[%(result)s::jsonb], ARRAY[%(retryable)s::bool],
       ARRAY[%(delay_s)s::float8], %(owner)s, ARRAY[%(attempts)s::int], %(default_max)s)

-- outcome --
-- Where it stands now.
SELECT status::text AS status, result, error FROM tasks WHERE id = %(id)s
