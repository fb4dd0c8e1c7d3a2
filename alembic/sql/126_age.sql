-- Waiting makes urgent: by one level for each p_age_s that a task has been due. Level 10 stays for people.
-- In the order of each claim index, from the longest waiting on; a row is raised once per call at most.
CREATE OR REPLACE FUNCTION tasks_age(p_age_s DOUBLE PRECISION, p_limit INTEGER DEFAULT 1000) RETURNS INTEGER
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
    v_age INTERVAL;
    v_ids UUID[];
BEGIN
    IF p_age_s <= 0 OR p_age_s IN ('NaN', 'Infinity') THEN
        RAISE EXCEPTION 'tasks can''t age by % seconds', p_age_s
            USING ERRCODE = 'SC422', DETAIL = 'queue.bad_age';
    END IF;
    v_age := p_age_s * interval '1 second';
    v_ids := ARRAY(
        SELECT r.id
        FROM generate_series(8, 0, -1) AS p (priority)
        CROSS JOIN LATERAL (
            SELECT q.id FROM tasks q
            WHERE q.status IN ('queued', 'retry') AND q.type <> 'graph' AND q.concurrency_key IS NULL
              AND q.priority = p.priority
              AND coalesce(q.run_after, q.created_at) < v_now - v_age
              AND coalesce(q.run_after, q.created_at) < v_now - v_age * (q.aged + 1) AND q.aged < 9
            ORDER BY coalesce(q.run_after, q.created_at), q.id
            LIMIT p_limit
            FOR NO KEY UPDATE SKIP LOCKED) AS r
        LIMIT p_limit);
    v_ids := v_ids || ARRAY(
        SELECT r.id
        FROM generate_series(8, 0, -1) AS p (priority)
        CROSS JOIN LATERAL (
            SELECT q.id FROM tasks q
            WHERE q.status IN ('queued', 'retry') AND q.type = 'graph' AND q.concurrency_key IS NULL
              AND q.priority = p.priority
              AND coalesce(q.run_after, q.created_at) < v_now - v_age
              AND coalesce(q.run_after, q.created_at) < v_now - v_age * (q.aged + 1) AND q.aged < 9
            ORDER BY coalesce(q.run_after, q.created_at), q.id
            LIMIT p_limit
            FOR NO KEY UPDATE SKIP LOCKED) AS r
        LIMIT p_limit - cardinality(v_ids));
    -- The index of their claims goes by key, so they have one for this, which knows how often each was
    -- raised: nothing is read that is not raised.
    v_ids := v_ids || ARRAY(
        SELECT r.id
        FROM generate_series(8, 0, -1) AS p (priority)
        CROSS JOIN generate_series(0, 8) AS a (aged)
        CROSS JOIN LATERAL (
            SELECT q.id FROM tasks q
            WHERE q.status IN ('queued', 'retry') AND q.concurrency_key IS NOT NULL
              AND q.priority = p.priority AND q.aged = a.aged
              AND coalesce(q.run_after, q.created_at) < v_now - v_age * (a.aged + 1)
            ORDER BY coalesce(q.run_after, q.created_at), q.id
            LIMIT p_limit
            FOR NO KEY UPDATE SKIP LOCKED) AS r
        LIMIT p_limit - cardinality(v_ids));
    UPDATE tasks t
    SET priority = t.priority + 1, aged = t.aged + 1, updated_at = v_now
    WHERE t.id = ANY (v_ids);
    RETURN cardinality(v_ids);
END
$$;
COMMENT ON FUNCTION tasks_age(DOUBLE PRECISION, INTEGER) IS
    'raises due tasks that wait longer than p_age_s for each level raised so far by one level, to 9 at most; returns how many';
