CREATE OR REPLACE FUNCTION task_held_back_by(p_id UUID) RETURNS TEXT
LANGUAGE plpgsql STABLE
SET search_path = public, pg_temp
SET enable_seqscan = off
SET jit = off AS $$
DECLARE
    v_now     TIMESTAMPTZ := clock_timestamp();
    v_task    tasks;
    v_lane    queue_lanes;
    v_control queue_controls;
    v_what    TEXT;
    v_count   INTEGER;
    v_least   INTEGER;
BEGIN
    SELECT * INTO v_task FROM tasks t WHERE t.id = p_id;
    IF NOT FOUND OR v_task.status NOT IN ('queued', 'retry')
       OR coalesce(v_task.run_after, v_task.created_at) > v_now THEN
        RETURN NULL;
    END IF;
    SELECT * INTO v_lane FROM queue_lanes l WHERE l.lane = task_lane(v_task.type);
    IF v_lane.paused THEN
        RETURN concat_ws(': ', format('lane %s is paused', v_lane.lane), v_lane.reason);
    END IF;
    FOR v_control IN
        SELECT * FROM queue_controls c
        WHERE c.lane = v_lane.lane AND c.domain IN ('', v_task.domain)
        ORDER BY c.domain DESC
    LOOP
        v_what := CASE v_control.domain WHEN '' THEN 'lane ' || v_lane.lane ELSE 'domain ' || v_control.domain END;
        IF v_control.paused THEN
            RETURN concat_ws(': ', v_what || ' is paused', v_control.reason);
        ELSIF queue_tokens(v_control, v_now) < 1 THEN
            RETURN format('%s is limited to %s/s', v_what, v_control.rate_per_s);
        ELSIF v_control.concurrency IS NOT NULL THEN
            SELECT count(*) INTO v_count FROM tasks t
            WHERE t.status = 'running' AND task_lane(t.type) = v_lane.lane
              AND v_control.domain IN ('', t.domain);
            IF v_count >= v_control.concurrency THEN
                RETURN format('%s is limited to %s at once', v_what, v_control.concurrency);
            END IF;
        END IF;
    END LOOP;
    IF v_task.concurrency_key IS NOT NULL THEN
        SELECT u.running, u.least_limit INTO v_count, v_least FROM task_key_use(v_task.concurrency_key) AS u;
        IF v_count >= least(v_least, coalesce(v_task.concurrency_limit, 1)) THEN
            IF NOT EXISTS (SELECT FROM tasks t
                           WHERE t.status = 'running' AND t.concurrency_key = v_task.concurrency_key) THEN
                RETURN format('the tool of an ended task of concurrency key %s may still run',
                              v_task.concurrency_key);
            END IF;
            RETURN format('%s of concurrency key %s %s running', v_count, v_task.concurrency_key,
                          CASE v_count WHEN 1 THEN 'is' ELSE 'are' END);
        END IF;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION task_held_back_by(UUID) IS
    'why a due task does not run although workers are free: a pause, a limit, a busy key; null when nothing holds it back';
