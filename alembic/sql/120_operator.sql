-- What people do to tasks. Always audited, whatever the event level, with actor and reason.

-- Called before a lease is ended by anybody but its owner, whose tool runs on until it learns of that.
CREATE OR REPLACE FUNCTION tasks_leave_keys(p_ids UUID[]) RETURNS VOID
LANGUAGE sql
SET search_path = public, pg_temp AS $$
    SELECT
$$;
COMMENT ON FUNCTION tasks_leave_keys(UUID[]) IS
    'internal: does nothing; with revision 126 it keeps the concurrency keys of running tasks taken until their tools have stopped';

CREATE OR REPLACE FUNCTION tasks_cancel(
    p_ids    UUID[],
    p_reason TEXT,
    p_owner  TEXT DEFAULT NULL
) RETURNS SETOF UUID
LANGUAGE plpgsql
SET search_path = public, pg_temp, seedcore_engine
SET enable_seqscan = off
SET jit = off AS $$
DECLARE
    v_now TIMESTAMPTZ := clock_timestamp();
    v_ids UUID[];
    v_old taskstatus[];
BEGIN
    -- What waits is locked after what it waits for: so does whoever ends that, and a batch often has the
    -- smaller id.
    PERFORM FROM tasks t
    WHERE t.id = ANY (p_ids) AND t.status IN ('queued', 'retry', 'running')
      AND (p_owner IS NULL OR t.owner_id = p_owner)
    ORDER BY t.id
    FOR NO KEY UPDATE;
    SELECT array_agg(x.id), array_agg(x.status) INTO v_ids, v_old
    FROM (SELECT t.id, t.status FROM tasks t
          WHERE t.id = ANY (p_ids) AND t.status NOT IN ('completed', 'failed', 'cancelled')
            AND (p_owner IS NULL OR t.owner_id = p_owner)
          ORDER BY t.id
          FOR NO KEY UPDATE) AS x;
    IF v_ids IS NULL THEN
        RETURN;
    END IF;
    IF p_owner IS NULL THEN
        PERFORM tasks_leave_keys(v_ids);
    END IF;
    WITH moved AS (
        UPDATE tasks t
        SET status = 'cancelled', error = coalesce(p_reason, 'cancelled'), auto_release = false,
            finished_at = v_now, updated_at = v_now,
            owner_id = NULL, locked_by = NULL, locked_at = NULL,
            lease_expires_at = NULL, last_heartbeat = NULL
        FROM unnest(v_ids, v_old) AS u (id, old)
        WHERE t.id = u.id
        RETURNING t.id, u.old, t.attempts
    )
    INSERT INTO task_events (task_id, from_status, to_status, attempts, actor, reason)
    SELECT m.id, m.old, 'cancelled', m.attempts, coalesce(p_owner, task_actor()),
           coalesce(p_reason, task_reason())
    FROM moved m;
    PERFORM tasks_release_dependants(v_ids);
    RETURN QUERY SELECT unnest(v_ids);
END
$$;
COMMENT ON FUNCTION tasks_cancel(UUID[], TEXT, TEXT) IS
    'cancels unfinished tasks (with an owner: only those it holds) and what waits for them; returns those named that it cancelled';

CREATE OR REPLACE FUNCTION tasks_release(p_ids UUID[]) RETURNS TABLE (id UUID, status taskstatus)
LANGUAGE plpgsql
SET search_path = public, pg_temp, seedcore_engine
SET enable_seqscan = off
SET jit = off AS $$
#variable_conflict use_column
DECLARE
    v_ids UUID[];
BEGIN
    PERFORM tasks_hold_dependencies(p_ids);
    v_ids := ARRAY(
        SELECT t.id FROM tasks t
        WHERE t.id = ANY (p_ids) AND t.status = 'created' AND NOT t.auto_release
        ORDER BY t.id
        FOR NO KEY UPDATE);
    UPDATE tasks t SET auto_release = true, updated_at = clock_timestamp() WHERE t.id = ANY (v_ids);
    PERFORM tasks_release_dependants(ARRAY(SELECT tasks_settle_waiting(v_ids, p_audit => true)));
    INSERT INTO task_events (task_id, from_status, to_status, attempts, actor, reason)
    SELECT t.id, 'created', 'created', t.attempts, task_actor(), task_reason()
    FROM tasks t WHERE t.id = ANY (v_ids) AND t.status = 'created';
    RETURN QUERY SELECT t.id, t.status FROM tasks t WHERE t.id = ANY (v_ids);
END
$$;
COMMENT ON FUNCTION tasks_release(UUID[]) IS
    'lifts holds: queued, or waiting while dependencies remain, or cancelled when one has failed; returns the tasks that were held';

-- A task whose dependency is failed or cancelled is left alone, unless that one is requeued with it:
-- queued, it would run without what it needs; waiting, it would be cancelled again.
CREATE OR REPLACE FUNCTION tasks_requeue(
    p_ids     UUID[],
    p_extra   INTEGER          DEFAULT 3,
    p_delay_s DOUBLE PRECISION DEFAULT 0
) RETURNS TABLE (id UUID, status taskstatus)
LANGUAGE plpgsql
SET search_path = public, pg_temp, seedcore_engine
SET enable_seqscan = off
SET jit = off AS $$
#variable_conflict use_column
DECLARE
    v_now    TIMESTAMPTZ := clock_timestamp();
    v_ids    UUID[];
    v_may    UUID[];
    v_left   INTEGER;
    v_old    taskstatus[];
    v_states taskstatus[];
    v_lanes  TEXT[];
BEGIN
    IF p_extra < 1 THEN
        RAISE EXCEPTION 'a task needs at least one more attempt, not %', p_extra
            USING ERRCODE = 'SC422', DETAIL = 'task.bad_attempts';
    END IF;
    PERFORM tasks_hold_dependencies(p_ids);
    v_ids := ARRAY(
        SELECT t.id FROM tasks t
        WHERE t.id = ANY (p_ids) AND t.status IN ('failed', 'cancelled', 'retry')
        ORDER BY t.id
        FOR NO KEY UPDATE);
    LOOP
        BEGIN
            -- Under the locks, and with a snapshot of its own: which of them may, and where each one stood.
            v_may := ARRAY(
                SELECT x.id
                FROM (
                    SELECT t.id,
                           row_number() OVER (PARTITION BY coalesce(t.idempotency_key, t.id::text)
                                              ORDER BY t.created_at DESC, t.id DESC) AS nth
                    FROM tasks t
                    WHERE t.id = ANY (v_ids)
                      AND NOT EXISTS (
                          SELECT FROM tasks k
                          WHERE k.idempotency_key = t.idempotency_key AND k.id <> t.id
                            AND k.status NOT IN ('failed', 'cancelled'))
                ) AS x
                WHERE x.nth = 1);
            -- What waits for one that stays behind stays too, and so on down.
            LOOP
                v_left := cardinality(v_may);
                SELECT array_agg(t.id), array_agg(t.status) INTO v_may, v_old
                FROM tasks t
                WHERE t.id = ANY (v_may)
                  AND NOT EXISTS (
                      SELECT FROM task_depends_on_task e JOIN tasks d ON d.id = e.dst_task_id
                      WHERE e.src_task_id = t.id AND e.required
                        AND d.status IN ('failed', 'cancelled') AND d.id <> ALL (v_may));
                IF v_may IS NULL THEN
                    RETURN;
                END IF;
                EXIT WHEN cardinality(v_may) = v_left;
            END LOOP;
            WITH moved AS (
                UPDATE tasks t
                SET status = CASE WHEN w.waits THEN 'created' ELSE 'queued' END::taskstatus,
                    auto_release = w.waits,
                    run_after = v_now + p_delay_s * interval '1 second',
                    max_attempts = least(t.attempts + p_extra, 32767), lapses = 0,
                    expires_at = CASE WHEN t.expires_at > v_now THEN t.expires_at END,
                    finished_at = NULL, updated_at = v_now
                FROM (
                    SELECT u.id, u.old, EXISTS (
                        SELECT FROM task_depends_on_task e JOIN tasks d ON d.id = e.dst_task_id
                        WHERE e.src_task_id = u.id
                          AND (d.status NOT IN ('completed', 'failed', 'cancelled') OR d.id = ANY (v_may))
                    ) AS waits
                    FROM unnest(v_may, v_old) AS u (id, old)
                ) AS w
                WHERE t.id = w.id
                RETURNING t.id, w.old, t.status, t.attempts, t.type
            ), audited AS (
                INSERT INTO task_events (task_id, from_status, to_status, attempts, actor, reason)
                SELECT m.id, m.old, m.status, m.attempts, task_actor(), task_reason() FROM moved m
            )
            SELECT array_agg(m.id), array_agg(m.status),
                   array_agg(DISTINCT task_lane(m.type)) FILTER (WHERE m.status = 'queued')
            INTO v_may, v_states, v_lanes
            FROM moved m;
            EXIT;
        EXCEPTION WHEN unique_violation THEN
            -- Its key was taken between the look and the change; the next look sees by whom.
        END;
    END LOOP;
    PERFORM queue_notify(l.lane) FROM unnest(v_lanes) AS l (lane);
    RETURN QUERY SELECT * FROM unnest(v_may, v_states);
END
$$;
COMMENT ON FUNCTION tasks_requeue(UUID[], INTEGER, DOUBLE PRECISION) IS
    'gives failed, cancelled and retrying tasks more attempts; skips those whose key is live elsewhere or whose dependency has failed; returns what moved';

CREATE OR REPLACE FUNCTION tasks_requeue_stale(
    p_ids          UUID[]           DEFAULT NULL,
    p_older_than_s DOUBLE PRECISION DEFAULT NULL,
    p_types        TEXT[]           DEFAULT NULL,
    p_limit        INTEGER          DEFAULT 1000,
    p_default_max  INTEGER          DEFAULT 3,
    p_max_lapses   INTEGER          DEFAULT 10
) RETURNS TABLE (id UUID, status taskstatus, owner_id TEXT, silent_s DOUBLE PRECISION)
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
SET jit = off AS $$
#variable_conflict use_column
DECLARE
    v_now    TIMESTAMPTZ := clock_timestamp();
    v_ids    UUID[];
    v_owners TEXT[];
    v_silent DOUBLE PRECISION[];
BEGIN
    SELECT array_agg(x.id), array_agg(x.owner_id), array_agg(x.silent_s)
    INTO v_ids, v_owners, v_silent
    FROM (
        SELECT t.id, t.owner_id,
               extract(epoch FROM v_now - coalesce(t.last_heartbeat, t.locked_at, t.updated_at))::float8
                   AS silent_s
        FROM tasks t
        WHERE t.status = 'running'
          AND (p_ids IS NOT NULL AND t.id = ANY (p_ids)
               -- Named, a lease ends at the operator's word; else only when its owner is silent.
               OR p_ids IS NULL
                  AND CASE WHEN p_older_than_s IS NULL
                           THEN t.lease_expires_at IS NULL OR t.lease_expires_at < v_now
                           ELSE coalesce(t.last_heartbeat, t.locked_at, t.updated_at)
                                < v_now - p_older_than_s * interval '1 second' END)
          AND (p_types IS NULL OR t.type = ANY (p_types))
        LIMIT p_limit
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS x;
    PERFORM tasks_leave_keys(v_ids);
    RETURN QUERY
    SELECT l.id, l.status, u.owner_id, u.silent_s
    FROM tasks_lapse(v_ids, p_default_max, p_max_lapses, p_audit => true) AS l
    JOIN unnest(v_ids, v_owners, v_silent) AS u (id, owner_id, silent_s) ON u.id = l.id;
END
$$;
COMMENT ON FUNCTION tasks_requeue_stale(UUID[], DOUBLE PRECISION, TEXT[], INTEGER, INTEGER, INTEGER) IS
    'takes the named leases, or those of silent owners, back by hand; returns what moved, from whom, silent for how long';

CREATE OR REPLACE FUNCTION queue_pause(p_lane TEXT, p_actor TEXT, p_reason TEXT DEFAULT NULL) RETURNS VOID
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE queue_lanes
    SET paused = true, reason = p_reason, changed_by = p_actor, changed_at = now()
    WHERE lane = p_lane;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no lane "%"', p_lane
            USING ERRCODE = 'SC404', DETAIL = 'queue.lane_not_found',
                  HINT = 'the lanes are queue and graph';
    END IF;
END
$$;
COMMENT ON FUNCTION queue_pause(TEXT, TEXT, TEXT) IS 'claims of this lane return nothing from now on; what runs goes on';

CREATE OR REPLACE FUNCTION queue_resume(p_lane TEXT, p_actor TEXT) RETURNS VOID
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE queue_lanes
    SET paused = false, reason = NULL, changed_by = p_actor, changed_at = now()
    WHERE lane = p_lane;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no lane "%"', p_lane
            USING ERRCODE = 'SC404', DETAIL = 'queue.lane_not_found',
                  HINT = 'the lanes are queue and graph';
    END IF;
    PERFORM queue_notify(p_lane);
END
$$;
COMMENT ON FUNCTION queue_resume(TEXT, TEXT) IS 'claims of this lane return tasks again; wakes the waiting workers';
