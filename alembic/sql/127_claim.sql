-- The claim, from a floor on. Everything else about it is as revision 120 says.

-- A worker says how far its last claims went in each priority, and the claim begins there: rows that have
-- left the queue stay in the index as long as anybody's snapshot may see them, and reading them again
-- with every claim is what makes a queue slow beside one long transaction. What lies below a floor (a
-- submission that committed late, a task that waited for others, a clock that was set back) is found by
-- a claim without floors, which the worker makes every second or two and before it believes that the
-- queue is empty.
DROP FUNCTION IF EXISTS tasks_claim(TEXT, TEXT, INTEGER, DOUBLE PRECISION, TEXT, TEXT[], TEXT[]);
CREATE OR REPLACE FUNCTION tasks_claim(
    p_lane      TEXT,
    p_owner     TEXT,
    p_limit     INTEGER,
    p_lease_s   DOUBLE PRECISION DEFAULT 600,
    p_locked_by TEXT             DEFAULT NULL,
    p_types     TEXT[]           DEFAULT NULL,
    p_domains   TEXT[]           DEFAULT NULL,
    p_floor_at  TIMESTAMPTZ[]    DEFAULT NULL,
    p_floor_id  UUID[]           DEFAULT NULL
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
    v_now        TIMESTAMPTZ := clock_timestamp();
    v_at         TIMESTAMPTZ[] := coalesce(p_floor_at, array_fill('-infinity'::timestamptz, ARRAY[11]));
    v_id         UUID[] := coalesce(p_floor_id, array_fill('00000000-0000-0000-0000-000000000000'::uuid, ARRAY[11]));
    v_ids        UUID[];
    v_paused     BOOLEAN;
    v_restricted BOOLEAN;
BEGIN
    IF coalesce(p_owner, '') = '' THEN
        RAISE EXCEPTION 'a claim needs an owner' USING ERRCODE = 'SC422', DETAIL = 'task.no_owner';
    END IF;
    IF cardinality(v_at) <> 11 OR cardinality(v_id) <> 11 THEN
        RAISE EXCEPTION 'a claim needs a floor for each of the 11 priorities, lowest first, not for %',
            least(cardinality(v_at), cardinality(v_id))
            USING ERRCODE = 'SC422', DETAIL = 'task.bad_floor';
    END IF;
    SELECT l.paused, l.restricted INTO v_paused, v_restricted FROM queue_lanes l WHERE l.lane = p_lane;
    IF v_paused THEN
        RETURN;
    END IF;
    -- Status and lane are literals, as in the indexes' predicates: a parameter would not match them.
    IF v_restricted AND p_lane IN ('queue', 'graph') THEN
        v_ids := tasks_pick_restricted(p_lane, p_limit, p_types, p_domains);
    ELSIF p_lane = 'queue' AND p_types IS NULL AND p_domains IS NULL THEN
        v_ids := ARRAY(
            SELECT r.id
            FROM generate_series(10, 0, -1) AS p (priority)
            CROSS JOIN LATERAL (
                SELECT q.id FROM tasks q
                WHERE q.status IN ('queued', 'retry') AND q.type <> 'graph' AND q.concurrency_key IS NULL
                  AND q.priority = p.priority
                  AND (coalesce(q.run_after, q.created_at), q.id) > (v_at[p.priority + 1], v_id[p.priority + 1])
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
                WHERE q.status IN ('queued', 'retry') AND q.type <> 'graph' AND q.concurrency_key IS NULL
                  AND q.priority = p.priority
                  AND (coalesce(q.run_after, q.created_at), q.id) > (v_at[p.priority + 1], v_id[p.priority + 1])
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
                WHERE q.status IN ('queued', 'retry') AND q.type = 'graph' AND q.concurrency_key IS NULL
                  AND q.priority = p.priority
                  AND (coalesce(q.run_after, q.created_at), q.id) > (v_at[p.priority + 1], v_id[p.priority + 1])
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
    -- Tasks with a concurrency key have an index of their own, whose first page says that there are none.
    IF NOT v_restricted AND EXISTS (
        SELECT FROM tasks k
        WHERE k.status IN ('queued', 'retry') AND k.concurrency_key IS NOT NULL AND task_lane(k.type) = p_lane
    ) THEN
        v_ids := tasks_pick_keyed(p_lane, p_limit, p_types, p_domains, v_ids);
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
COMMENT ON FUNCTION tasks_claim(TEXT, TEXT, INTEGER, DOUBLE PRECISION, TEXT, TEXT[], TEXT[], TIMESTAMPTZ[], UUID[]) IS
    'leases up to p_limit due tasks of a lane, most urgent first, and returns them in no order; nothing while the lane is paused; with floors (due time and id per priority 0 to 10) only tasks behind them';
