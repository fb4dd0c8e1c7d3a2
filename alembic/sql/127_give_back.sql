-- Drain and park, as revision 120 says, but what is due at once keeps its place: behind a backlog, the tasks
-- that a worker held when it ended would else wait for all that came after them, and those of one
-- concurrency key would change their order. A claim from floors finds them with its next scan.
CREATE OR REPLACE FUNCTION tasks_give_back(
    p_owner       TEXT,
    p_ids         UUID[],
    p_attempts    INTEGER[],
    p_delay_s     DOUBLE PRECISION DEFAULT 0,
    p_default_max INTEGER          DEFAULT 3
) RETURNS SETOF UUID
LANGUAGE plpgsql
SET search_path = public, pg_temp, seedcore_engine
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_now   TIMESTAMPTZ := clock_timestamp();
    v_level TEXT := seedcore_setting('task_event_level', 'terminal');
    v_ids   UUID[];
    v_lanes TEXT[];
BEGIN
    WITH moved AS (
        UPDATE tasks t
        SET status = 'retry',
            run_after = CASE WHEN p_delay_s > 0 THEN v_now + p_delay_s * interval '1 second' ELSE t.run_after END,
            updated_at = v_now,
            max_attempts = least(coalesce(t.max_attempts, p_default_max) + 1, 32767),
            owner_id = NULL, locked_by = NULL, locked_at = NULL,
            lease_expires_at = NULL, last_heartbeat = NULL
        FROM (SELECT * FROM unnest(p_ids, p_attempts) AS u (id, attempts) ORDER BY u.id) AS u
        WHERE t.id = u.id AND t.owner_id = p_owner AND t.attempts = u.attempts
        RETURNING t.id, t.type, t.attempts
    ), audited AS (
        INSERT INTO task_events (task_id, from_status, to_status, attempts, actor, reason)
        SELECT m.id, 'running', 'retry', m.attempts, p_owner, 'given back' FROM moved m
        WHERE v_level = 'all'
    )
    SELECT array_agg(m.id), array_agg(DISTINCT task_lane(m.type)) INTO v_ids, v_lanes FROM moved m;
    PERFORM queue_notify(l.lane) FROM unnest(v_lanes) AS l (lane);
    RETURN QUERY SELECT unnest(v_ids);
END
$$;
COMMENT ON FUNCTION tasks_give_back(TEXT, UUID[], INTEGER[], DOUBLE PRECISION, INTEGER) IS
    'returns leases without spending the attempt; due after the delay, without one where it stood in the queue before; fenced';
