-- Looking keys up, and submitting one task. Bulk submission does the same for whole batches.

CREATE OR REPLACE FUNCTION task_find_key(p_key TEXT) RETURNS UUID
LANGUAGE sql STABLE
SET search_path = public, pg_temp AS $$
    SELECT coalesce(
        (SELECT t.id FROM tasks t
         WHERE t.idempotency_key = p_key AND task_holds_key(t.status, t.unique_while)),
        (SELECT t.id FROM tasks t
         WHERE t.idempotency_key = p_key AND NOT task_holds_key(t.status, t.unique_while)
         ORDER BY t.created_at DESC, t.id DESC
         LIMIT 1))
$$;
COMMENT ON FUNCTION task_find_key(TEXT) IS 'the task that keeps this idempotency key taken, else the newest that had it';

DROP FUNCTION IF EXISTS task_submit(TEXT, TEXT, JSONB, TEXT, DOUBLE PRECISION, INTEGER, TIMESTAMPTZ, TIMESTAMPTZ,
    TIMESTAMPTZ, INTEGER, TEXT, UUID[], BOOLEAN, UUID, TEXT, INTEGER);
CREATE OR REPLACE FUNCTION task_submit(
    p_type            TEXT,
    p_description     TEXT             DEFAULT NULL,
    p_params          JSONB            DEFAULT '{}',
    p_domain          TEXT             DEFAULT NULL,
    p_drift_score     DOUBLE PRECISION DEFAULT 0,
    p_priority        INTEGER          DEFAULT NULL,
    p_run_after       TIMESTAMPTZ      DEFAULT NULL,
    p_deadline_at     TIMESTAMPTZ      DEFAULT NULL,
    p_expires_at      TIMESTAMPTZ      DEFAULT NULL,
    p_max_attempts    INTEGER          DEFAULT NULL,
    p_idempotency_key TEXT             DEFAULT NULL,
    p_depends_on      UUID[]           DEFAULT NULL,
    p_hold            BOOLEAN          DEFAULT false,
    p_id              UUID             DEFAULT NULL,
    p_unique          TEXT             DEFAULT 'live',
    p_snapshot_id     INTEGER          DEFAULT NULL,
    p_concurrency_key   TEXT           DEFAULT NULL,
    p_concurrency_limit INTEGER        DEFAULT NULL
) RETURNS TABLE (id UUID, created BOOLEAN, status taskstatus, run_after TIMESTAMPTZ, error TEXT)
LANGUAGE plpgsql
SET search_path = public, pg_temp, seedcore_engine AS $$
#variable_conflict use_column
DECLARE
    v_now     TIMESTAMPTZ := clock_timestamp();
    v_level   TEXT := seedcore_setting('task_event_level', 'terminal');
    v_id      UUID := coalesce(p_id, gen_random_uuid());
    v_status  taskstatus := 'queued';
    v_waits   BOOLEAN := false;
    v_error   TEXT;
    v_missing UUID;
BEGIN
    IF coalesce(p_type, '') = '' THEN
        RAISE EXCEPTION 'a task needs a type' USING ERRCODE = 'SC422', DETAIL = 'task.bad_field';
    END IF;
    IF p_unique NOT IN ('waiting', 'unfinished', 'live', 'ever') THEN
        RAISE EXCEPTION 'a key is unique while waiting, unfinished, live or ever, not "%"', p_unique
            USING ERRCODE = 'SC422', DETAIL = 'task.bad_field';
    END IF;
    IF p_concurrency_limit IS NOT NULL AND p_concurrency_key IS NULL THEN
        RAISE EXCEPTION 'a limit of % at once needs a concurrency key', p_concurrency_limit
            USING ERRCODE = 'SC422', DETAIL = 'task.bad_field';
    END IF;
    IF p_unique = 'ever' AND p_idempotency_key IS NOT NULL THEN
        RETURN QUERY SELECT t.id, false, t.status, t.run_after, NULL FROM tasks t
                     WHERE t.id = task_find_key(p_idempotency_key);
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;

    IF cardinality(p_depends_on) > 0 THEN
        IF v_id = ANY (p_depends_on) THEN
            RAISE EXCEPTION 'task % can''t wait for itself', v_id
                USING ERRCODE = 'SC422', DETAIL = 'task.cycle';
        END IF;
        -- Held until this commits, so that no dependency ends between the look and the row. In id
        -- order, like every other statement that locks several tasks.
        PERFORM FROM tasks d WHERE d.id = ANY (p_depends_on) ORDER BY d.id FOR SHARE;
        SELECT w.id INTO v_missing FROM unnest(p_depends_on) AS w (id)
        WHERE NOT EXISTS (SELECT FROM tasks d WHERE d.id = w.id) LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'there is no task % to wait for', v_missing
                USING ERRCODE = 'SC404', DETAIL = 'task.dependency_not_found';
        END IF;
        SELECT format('dependency_failed: task %s is %s', d.id, d.status) INTO v_error
        FROM tasks d
        WHERE d.id = ANY (p_depends_on) AND d.status IN ('failed', 'cancelled')
        ORDER BY d.finished_at LIMIT 1;
        v_waits := EXISTS (SELECT FROM tasks d WHERE d.id = ANY (p_depends_on) AND d.status <> 'completed');
    END IF;
    IF v_error IS NOT NULL THEN
        v_status := 'cancelled';
    ELSIF p_hold OR v_waits THEN
        v_status := 'created';
    END IF;

    LOOP
        INSERT INTO tasks AS t (
            id, status, type, description, domain, drift_score, params, run_after,
            priority, deadline_at, expires_at, max_attempts, idempotency_key, auto_release,
            error, finished_at, created_at, updated_at, snapshot_id,
            concurrency_key, concurrency_limit, unique_while)
        VALUES (
            v_id, v_status, p_type, p_description, p_domain, coalesce(p_drift_score, 0),
            coalesce(p_params, '{}'), p_run_after,
            coalesce(p_priority, task_hint_priority(p_params), 5),
            coalesce(p_deadline_at, task_hint_deadline(p_params)),
            coalesce(p_expires_at, v_now + task_hint_ttl(p_params)),
            p_max_attempts, p_idempotency_key, v_status = 'created' AND NOT coalesce(p_hold, false),
            v_error, CASE WHEN v_status = 'cancelled' THEN v_now END, v_now, v_now,
            coalesce(p_snapshot_id, pkg_default_snapshot_id()),
            p_concurrency_key, p_concurrency_limit,
            CASE WHEN p_idempotency_key IS NOT NULL THEN nullif(p_unique, 'live') END)
        ON CONFLICT DO NOTHING;
        EXIT WHEN FOUND;
        RETURN QUERY
        SELECT t.id, false, t.status, t.run_after, NULL FROM tasks t
        WHERE t.id = p_id
           OR t.idempotency_key = p_idempotency_key AND task_holds_key(t.status, t.unique_while)
        ORDER BY t.id = p_id DESC NULLS LAST
        LIMIT 1;
        IF FOUND THEN
            RETURN;
        END IF;
        -- The task that held the key let go of it between the two statements: the key is free again.
    END LOOP;

    INSERT INTO task_depends_on_task (src_task_id, dst_task_id)
    SELECT DISTINCT v_id, w.id FROM unnest(p_depends_on) AS w (id);
    IF v_level = 'all' OR v_level = 'terminal' AND v_status = 'cancelled' THEN
        INSERT INTO task_events (task_id, to_status, attempts, actor, reason)
        VALUES (v_id, v_status, 0, task_actor(), coalesce(v_error, task_reason()));
    END IF;
    IF v_status = 'queued' THEN
        PERFORM queue_notify(task_lane(p_type));
    END IF;
    RETURN QUERY SELECT v_id, true, v_status, p_run_after, v_error;
END
$$;
COMMENT ON FUNCTION task_submit(TEXT, TEXT, JSONB, TEXT, DOUBLE PRECISION, INTEGER, TIMESTAMPTZ, TIMESTAMPTZ,
    TIMESTAMPTZ, INTEGER, TEXT, UUID[], BOOLEAN, UUID, TEXT, INTEGER, TEXT, INTEGER) IS
    'stores one task, queued, held or waiting; a known id or key returns its task with created = false; error says why a new one was cancelled at once';

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
                            AND task_holds_key(k.status, k.unique_while))
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
