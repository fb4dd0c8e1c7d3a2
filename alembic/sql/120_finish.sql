-- Ending an attempt. Every write of a worker is fenced by id, owner and attempts, and by nothing else:
-- a status in the guard would let a planner that was told "none are running" pick the index on status.

CREATE OR REPLACE FUNCTION tasks_complete(
    p_owner    TEXT,
    p_ids      UUID[],
    p_attempts INTEGER[],
    p_results  JSONB[] DEFAULT NULL
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
BEGIN
    WITH done AS (
        UPDATE tasks t
        SET status = 'completed', result = u.result, error = NULL,
            finished_at = v_now, updated_at = v_now,
            owner_id = NULL, locked_by = NULL, locked_at = NULL,
            lease_expires_at = NULL, last_heartbeat = NULL
        FROM (SELECT * FROM unnest(p_ids, p_attempts, p_results) AS u (id, attempts, result)
              ORDER BY u.id) AS u
        WHERE t.id = u.id AND t.owner_id = p_owner AND t.attempts = u.attempts
        RETURNING t.id, t.attempts
    ), audited AS (
        INSERT INTO task_events (task_id, from_status, to_status, attempts, actor)
        SELECT d.id, 'running', 'completed', d.attempts, p_owner FROM done d
        WHERE v_level <> 'none'
    )
    SELECT array_agg(d.id) INTO v_ids FROM done d;
    IF EXISTS (SELECT FROM task_depends_on_task e WHERE e.dst_task_id = ANY (v_ids)) THEN
        PERFORM tasks_release_dependants(v_ids);
    END IF;
    RETURN QUERY SELECT unnest(v_ids);
END
$$;
COMMENT ON FUNCTION tasks_complete(TEXT, UUID[], INTEGER[], JSONB[]) IS
    'ends attempts as completed; returns the ids that were still this owner''s, the others'' results are dropped';

CREATE OR REPLACE FUNCTION tasks_retry_or_fail(
    p_ids         UUID[],
    p_reasons     TEXT[],
    p_results     JSONB[]            DEFAULT NULL,
    p_retryable   BOOLEAN[]          DEFAULT NULL,
    p_delay_s     DOUBLE PRECISION[] DEFAULT NULL,
    p_owner       TEXT               DEFAULT NULL,
    p_attempts    INTEGER[]          DEFAULT NULL,
    p_default_max INTEGER            DEFAULT 3
) RETURNS TABLE (id UUID, status taskstatus, run_after TIMESTAMPTZ)
LANGUAGE plpgsql
SET search_path = public, pg_temp, seedcore_engine
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    v_now    TIMESTAMPTZ := clock_timestamp();
    v_level  TEXT := seedcore_setting('task_event_level', 'terminal');
    v_ids    UUID[];
    v_states taskstatus[];
    v_due    TIMESTAMPTZ[];
    v_failed UUID[];
    v_lanes  TEXT[];
BEGIN
    IF p_owner IS NULL THEN
        PERFORM tasks_leave_keys(p_ids);
    END IF;
    WITH moved AS (
        UPDATE tasks t
        SET status = CASE WHEN u.is_final OR t.attempts >= coalesce(t.max_attempts, p_default_max)
                          THEN 'failed' ELSE 'retry' END::taskstatus,
            run_after = CASE WHEN u.is_final OR t.attempts >= coalesce(t.max_attempts, p_default_max)
                             THEN t.run_after
                             ELSE v_now + coalesce(u.delay_s * interval '1 second',
                                                   task_retry_delay(t.attempts)) END,
            finished_at = CASE WHEN u.is_final OR t.attempts >= coalesce(t.max_attempts, p_default_max)
                               THEN v_now END,
            error = coalesce(u.reason, 'internal'), result = coalesce(u.result, t.result),
            updated_at = v_now,
            owner_id = NULL, locked_by = NULL, locked_at = NULL,
            lease_expires_at = NULL, last_heartbeat = NULL
        FROM (
            SELECT u.id, u.reason, u.result, u.retryable IS FALSE AS is_final, u.delay_s, u.attempts
            FROM unnest(p_ids, p_reasons, p_results, p_retryable, p_delay_s, p_attempts)
                 AS u (id, reason, result, retryable, delay_s, attempts)
            ORDER BY u.id
        ) AS u
        -- Without an owner anybody's lease may be ended (null = nobody has one, which never matches).
        WHERE t.id = u.id AND t.owner_id = coalesce(p_owner, t.owner_id)
          AND t.attempts = coalesce(u.attempts, t.attempts)
        RETURNING t.id, t.status, t.run_after, t.type, t.attempts, t.error
    ), audited AS (
        INSERT INTO task_events (task_id, from_status, to_status, attempts, actor, reason)
        SELECT m.id, 'running', m.status, m.attempts, coalesce(p_owner, task_actor()), m.error
        FROM moved m
        WHERE v_level = 'all' OR v_level = 'terminal' AND m.status = 'failed'
    )
    SELECT array_agg(m.id), array_agg(m.status), array_agg(m.run_after),
           array_agg(m.id) FILTER (WHERE m.status = 'failed'),
           array_agg(DISTINCT task_lane(m.type)) FILTER (WHERE m.status = 'retry')
    INTO v_ids, v_states, v_due, v_failed, v_lanes
    FROM moved m;
    PERFORM tasks_release_dependants(v_failed) WHERE v_failed IS NOT NULL;
    PERFORM queue_notify(l.lane) FROM unnest(v_lanes) AS l (lane);
    RETURN QUERY SELECT * FROM unnest(v_ids, v_states, v_due);
END
$$;
COMMENT ON FUNCTION tasks_retry_or_fail(UUID[], TEXT[], JSONB[], BOOLEAN[], DOUBLE PRECISION[], TEXT, INTEGER[], INTEGER) IS
    'the one decision about failed attempts: failed when permanent or out of attempts, else retry after a delay; fenced when an owner is given';

-- Drain and park: the attempt was not the task's fault, so it is given back. attempts can't fall, it is
-- the fencing token; the limit rises instead.
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
        SET status = 'retry', run_after = v_now + p_delay_s * interval '1 second', updated_at = v_now,
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
    'returns leases without spending the attempt, due after the delay; fenced';
