-- The functions of this revision in a file of their own: 120 replaces them, and its downgrade runs this
-- file to put them back.

CREATE OR REPLACE FUNCTION task_retry_delay(p_attempts integer, p_jitter_s double precision DEFAULT NULL)
RETURNS interval
LANGUAGE sql VOLATILE PARALLEL SAFE
SET search_path = public, pg_temp
AS $$
    -- The exponent is capped before the power is taken, so that a large count can't overflow.
    SELECT make_interval(secs =>
        least(10 * 2 ^ least(p_attempts, 16), 300) + coalesce(p_jitter_s, random() * 5))
$$;
COMMENT ON FUNCTION task_retry_delay(integer, double precision) IS
    'Pause before the next attempt: min(10 * 2^attempts, 300) s plus the jitter, by default up to 5 s.';

CREATE OR REPLACE FUNCTION cleanup_stale_running_tasks(
    stale_minutes integer DEFAULT 15, max_attempts integer DEFAULT 3)
RETURNS integer
LANGUAGE sql VOLATILE
SET search_path = public, pg_temp
AS $$
    WITH stale AS (
        SELECT t.id
        FROM tasks AS t
        WHERE t.status = 'running'
          AND (t.lease_expires_at IS NULL OR t.lease_expires_at < now())
          AND coalesce(t.last_heartbeat, t.locked_at, t.updated_at)
              < now() - make_interval(mins => stale_minutes)
        FOR UPDATE SKIP LOCKED
    ), moved AS (
        UPDATE tasks AS t
        SET status = CASE WHEN t.attempts >= cleanup_stale_running_tasks.max_attempts
                          THEN 'failed' ELSE 'retry' END::taskstatus,
            run_after = CASE WHEN t.attempts >= cleanup_stale_running_tasks.max_attempts
                             THEN t.run_after ELSE now() + task_retry_delay(t.attempts) END,
            error = 'lease_expired',
            locked_by = NULL, locked_at = NULL,
            owner_id = NULL, lease_expires_at = NULL, last_heartbeat = NULL
        FROM stale
        WHERE t.id = stale.id
        RETURNING t.id
    )
    SELECT count(*)::integer FROM moved
$$;
COMMENT ON FUNCTION cleanup_stale_running_tasks(integer, integer) IS
    'Take back running tasks without a valid lease that gave no sign of life for so many minutes; returns how many.';
