-- Claiming and keeping leases.

-- The SET clauses fix the plan: one ordered range of the lane's index per priority, whatever the
-- statistics say. With no other way left to sort, scan or join, the only plan without a disabled step
-- is the one that stops at the limit.
--
-- Rows are locked by one statement and changed by the next: nobody else can change them in between,
-- and the second one needs no second copy of the lane's conditions.
CREATE OR REPLACE FUNCTION tasks_claim(
    p_lane      TEXT,
    p_owner     TEXT,
    p_limit     INTEGER,
    p_lease_s   DOUBLE PRECISION DEFAULT 600,
    p_locked_by TEXT             DEFAULT NULL,
    p_types     TEXT[]           DEFAULT NULL,
    p_domains   TEXT[]           DEFAULT NULL
) RETURNS SETOF tasks
LANGUAGE plpgsql
SET search_path = public, pg_temp, seedcore_engine
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_sort = off
SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_now TIMESTAMPTZ := clock_timestamp();
    v_ids UUID[];
BEGIN
    IF coalesce(p_owner, '') = '' THEN
        RAISE EXCEPTION 'a claim needs an owner' USING ERRCODE = 'SC422', DETAIL = 'task.no_owner';
    END IF;
    IF EXISTS (SELECT FROM queue_lanes l WHERE l.lane = p_lane AND l.paused) THEN
        RETURN;
    END IF;
    -- Status and lane are literals, as in the indexes' predicates: a parameter would not match them.
    IF p_lane = 'queue' AND p_types IS NULL AND p_domains IS NULL THEN
        v_ids := ARRAY(
            SELECT r.id
            FROM generate_series(10, 0, -1) AS p (priority)
            CROSS JOIN LATERAL (
                SELECT q.id FROM tasks q
                WHERE q.status IN ('queued', 'retry') AND q.type <> 'graph'
                  AND q.priority = p.priority
                  AND coalesce(q.run_after, q.created_at) <= v_now
                  AND (q.expires_at IS NULL OR q.expires_at > v_now)
                ORDER BY coalesce(q.run_after, q.created_at), q.id
                LIMIT p_limit
                FOR NO KEY UPDATE SKIP LOCKED) AS r
            LIMIT p_limit);
    ELSIF p_lane = 'queue' THEN
        v_ids := ARRAY(
            SELECT r.id
            FROM generate_series(10, 0, -1) AS p (priority)
            CROSS JOIN LATERAL (
                SELECT q.id FROM tasks q
                WHERE q.status IN ('queued', 'retry') AND q.type <> 'graph'
                  AND q.priority = p.priority
                  AND coalesce(q.run_after, q.created_at) <= v_now
                  AND (q.expires_at IS NULL OR q.expires_at > v_now)
                  AND (p_types IS NULL OR q.type = ANY (p_types))
                  AND (p_domains IS NULL OR q.domain = ANY (p_domains))
                ORDER BY coalesce(q.run_after, q.created_at), q.id
                LIMIT p_limit
                FOR NO KEY UPDATE SKIP LOCKED) AS r
            LIMIT p_limit);
    ELSIF p_lane = 'graph' THEN
        v_ids := ARRAY(
            SELECT r.id
            FROM generate_series(10, 0, -1) AS p (priority)
            CROSS JOIN LATERAL (
                SELECT q.id FROM tasks q
                WHERE q.status IN ('queued', 'retry') AND q.type = 'graph'
                  AND q.priority = p.priority
                  AND coalesce(q.run_after, q.created_at) <= v_now
                  AND (q.expires_at IS NULL OR q.expires_at > v_now)
                  AND (p_domains IS NULL OR q.domain = ANY (p_domains))
                ORDER BY coalesce(q.run_after, q.created_at), q.id
                LIMIT p_limit
                FOR NO KEY UPDATE SKIP LOCKED) AS r
            LIMIT p_limit);
    ELSE
        RAISE EXCEPTION 'there is no lane "%"', p_lane
            USING ERRCODE = 'SC404', DETAIL = 'queue.lane_not_found',
                  HINT = 'the lanes are queue and graph';
    END IF;
    IF cardinality(v_ids) = 0 THEN
        RETURN;
    END IF;

    IF seedcore_setting('task_event_level', 'terminal') = 'all' THEN
        INSERT INTO task_events (task_id, from_status, to_status, attempts, actor)
        SELECT t.id, t.status, 'running', t.attempts + 1, p_owner FROM tasks t WHERE t.id = ANY (v_ids);
    END IF;
    RETURN QUERY
    UPDATE tasks t
    SET status = 'running', attempts = t.attempts + 1,
        owner_id = p_owner, locked_by = coalesce(p_locked_by, p_owner), locked_at = v_now,
        lease_expires_at = v_now + p_lease_s * interval '1 second', last_heartbeat = v_now,
        started_at = v_now, updated_at = v_now
    WHERE t.id = ANY (v_ids)
    RETURNING t.*;
END
$$;
COMMENT ON FUNCTION tasks_claim(TEXT, TEXT, INTEGER, DOUBLE PRECISION, TEXT, TEXT[], TEXT[]) IS
    'leases up to p_limit due tasks of a lane, most urgent first, and returns them in no order; nothing while the lane is paused';

CREATE OR REPLACE FUNCTION tasks_renew(
    p_owner    TEXT,
    p_ids      UUID[],
    p_attempts INTEGER[],
    p_lease_s  DOUBLE PRECISION DEFAULT 600
) RETURNS TABLE (id UUID, renewed BOOLEAN, status taskstatus)
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
    v_now  TIMESTAMPTZ := clock_timestamp();
    v_done BIGINT;
BEGIN
    -- Locks in id order, like completion: the two run on different connections of one worker.
    RETURN QUERY
    UPDATE tasks t
    SET lease_expires_at = v_now + p_lease_s * interval '1 second',
        last_heartbeat = v_now, updated_at = v_now
    FROM (SELECT u.id, u.attempts FROM unnest(p_ids, p_attempts) AS u (id, attempts) ORDER BY u.id) AS u
    WHERE t.id = u.id AND t.owner_id = p_owner AND t.attempts = u.attempts
    RETURNING t.id, true, t.status;
    GET DIAGNOSTICS v_done = ROW_COUNT;
    IF v_done < cardinality(p_ids) THEN
        RETURN QUERY
        SELECT u.id, false, (SELECT t.status FROM tasks t WHERE t.id = u.id)
        FROM unnest(p_ids, p_attempts) AS u (id, attempts)
        WHERE NOT EXISTS (SELECT FROM tasks t
                          WHERE t.id = u.id AND t.owner_id = p_owner AND t.attempts = u.attempts);
    END IF;
END
$$;
COMMENT ON FUNCTION tasks_renew(TEXT, UUID[], INTEGER[], DOUBLE PRECISION) IS
    'prolongs leases; renewed is false, with the true status (null: gone), for those that were lost';
