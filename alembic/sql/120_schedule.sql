-- Rivals that fire the same time get the same task: the key names schedule and time, for ever.
CREATE OR REPLACE FUNCTION task_schedule_fire(
    p_schedule_id UUID,
    p_fire_at     TIMESTAMPTZ,
    p_next_run_at TIMESTAMPTZ
) RETURNS UUID
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_schedule task_schedules;
    v_key      TEXT := format('schedule:%s:%s', p_schedule_id,
                              to_char(p_fire_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'));
    v_task     UUID;
BEGIN
    SELECT * INTO v_schedule FROM task_schedules WHERE schedule_id = p_schedule_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no schedule %', p_schedule_id
            USING ERRCODE = 'SC404', DETAIL = 'schedule.not_found';
    END IF;
    v_task := task_find_key(v_key);
    IF v_task IS NULL AND NOT (
        v_schedule.overlap = 'skip' AND EXISTS (
            SELECT FROM tasks t
            WHERE t.id = v_schedule.last_task_id AND t.status NOT IN ('completed', 'failed', 'cancelled'))
    ) THEN
        SELECT s.id INTO v_task
        FROM task_submit(
            v_schedule.type, v_schedule.description, v_schedule.params, v_schedule.domain,
            p_priority => v_schedule.priority,
            p_expires_at => clock_timestamp() + v_schedule.ttl_seconds * interval '1 second',
            p_max_attempts => v_schedule.max_attempts,
            p_idempotency_key => v_key) AS s;
        UPDATE task_schedules
        SET last_run_at = p_fire_at, last_task_id = v_task, last_error = NULL
        WHERE schedule_id = p_schedule_id;
    END IF;
    -- A rival that looked earlier must not turn the clock back.
    UPDATE task_schedules SET next_run_at = p_next_run_at
    WHERE schedule_id = p_schedule_id AND (next_run_at IS NULL OR p_next_run_at IS NULL OR next_run_at < p_next_run_at);
    RETURN v_task;
END
$$;
COMMENT ON FUNCTION task_schedule_fire(UUID, TIMESTAMPTZ, TIMESTAMPTZ) IS
    'submits the task of a schedule for one time and stores the next; null when the previous one still runs and overlap is skip';
