-- Firing schedules. Which times a cron line means is the program's to say; here is decided who fires
-- them, and that each is fired once.

-- The key keeps the time fired once also in a database whose history of fires was lost or is older.
CREATE OR REPLACE FUNCTION task_schedule_submit(
    p_schedule task_schedules,
    p_fire_at  TIMESTAMPTZ,
    p_key      TEXT
) RETURNS UUID
LANGUAGE sql
SET search_path = public, pg_temp AS $$
    SELECT s.id
    FROM task_submit(
        (p_schedule).type, (p_schedule).description, (p_schedule).params, (p_schedule).domain,
        p_priority => (p_schedule).priority::integer,
        p_expires_at => clock_timestamp() + (p_schedule).ttl_seconds * interval '1 second',
        p_max_attempts => (p_schedule).max_attempts::integer,
        p_idempotency_key => p_key,
        p_unique => 'ever') AS s
$$;
COMMENT ON FUNCTION task_schedule_submit(task_schedules, TIMESTAMPTZ, TEXT) IS
    'internal: submits the task of a schedule for one time, once per key';

CREATE OR REPLACE FUNCTION task_schedule_key(p_schedule_id UUID, p_fire_at TIMESTAMPTZ) RETURNS TEXT
LANGUAGE sql IMMUTABLE
SET search_path = public, pg_temp AS $$
    SELECT format('schedule:%s:%s', p_schedule_id, to_char(p_fire_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
$$;
COMMENT ON FUNCTION task_schedule_key(UUID, TIMESTAMPTZ) IS 'internal: the idempotency key of the task of one time';

-- The caller holds the schedule's row. Whatever is wrong with this one schedule is written down; what is
-- wrong with the server or with locks is raised, and the same time is fired by a later attempt.
CREATE OR REPLACE FUNCTION task_schedule_fire_one(
    p_schedule task_schedules,
    p_fire_at  TIMESTAMPTZ,
    p_outcome  TEXT,
    p_error    TEXT DEFAULT NULL
) RETURNS task_schedule_fires
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_fire  task_schedule_fires;
    v_last  UUID;
    v_state TEXT;
BEGIN
    SELECT * INTO v_fire FROM task_schedule_fires f
    WHERE f.schedule_id = p_schedule.schedule_id AND f.fire_at = p_fire_at;
    IF FOUND THEN
        RETURN v_fire;
    END IF;
    v_fire.schedule_id := p_schedule.schedule_id;
    v_fire.fire_at := p_fire_at;
    v_fire.fired_at := clock_timestamp();
    v_fire.outcome := p_outcome;
    v_fire.error := p_error;
    v_fire.actor := task_actor();
    IF p_outcome = 'submitted' THEN
        -- Not from p_schedule: an earlier time of the same call may have changed it.
        SELECT t.id INTO v_last
        FROM task_schedules s JOIN tasks t ON t.id = s.last_task_id
        WHERE s.schedule_id = p_schedule.schedule_id AND s.overlap = 'skip'
          AND t.status NOT IN ('completed', 'failed', 'cancelled');
        IF FOUND THEN
            v_fire.outcome := 'skipped';
            v_fire.task_id := v_last;
        ELSE
            BEGIN
                v_fire.task_id := task_schedule_submit(
                    p_schedule, p_fire_at, task_schedule_key(p_schedule.schedule_id, p_fire_at));
            EXCEPTION WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS v_state = RETURNED_SQLSTATE;
                IF left(v_state, 2) IN ('40', '53', '55', '57', '58', 'XX') THEN
                    RAISE;
                END IF;
                v_fire.outcome := 'failed';
                v_fire.error := SQLERRM;
            END;
        END IF;
    END IF;
    INSERT INTO task_schedule_fires SELECT v_fire.*;
    IF v_fire.outcome = 'submitted' THEN
        UPDATE task_schedules
        SET last_run_at = p_fire_at, last_task_id = v_fire.task_id, last_error = NULL, failures = 0
        WHERE schedule_id = p_schedule.schedule_id;
    ELSIF v_fire.outcome = 'failed' THEN
        UPDATE task_schedules SET last_error = v_fire.error, failures = failures + 1
        WHERE schedule_id = p_schedule.schedule_id;
    END IF;
    RETURN v_fire;
END
$$;
COMMENT ON FUNCTION task_schedule_fire_one(task_schedules, TIMESTAMPTZ, TEXT, TEXT) IS
    'internal: fires one time of a locked schedule, or writes down what else became of it; a time that was fired is returned as it is';

-- What was read may have been fired or changed by others since, so next_run_at must still be what it was.
CREATE OR REPLACE FUNCTION task_schedules_fire(
    p_ids      UUID[],
    p_expected TIMESTAMPTZ[],
    p_next     TIMESTAMPTZ[],
    p_fire_ids UUID[],
    p_fire_at  TIMESTAMPTZ[],
    p_outcomes TEXT[],
    p_errors   TEXT[]
) RETURNS TABLE (schedule_id UUID, name TEXT, fire_at TIMESTAMPTZ, outcome TEXT, task_id UUID, error TEXT)
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_schedule task_schedules;
    v_next     TIMESTAMPTZ;
    v_fire     task_schedule_fires;
    v_actor    TEXT := current_setting('seedcore.actor', true);
    v_at       TIMESTAMPTZ;
    v_outcome  TEXT;
    v_error    TEXT;
    v_done     UUID[] := '{}';
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('seedcore.watchdog.schedules', 0)) THEN
        RETURN;
    END IF;
    FOR v_schedule IN
        SELECT s.*
        FROM unnest(p_ids, p_expected) AS u (id, expected)
        JOIN task_schedules s ON s.schedule_id = u.id
        WHERE s.enabled AND s.next_run_at = u.expected
        ORDER BY s.schedule_id
        FOR NO KEY UPDATE OF s SKIP LOCKED
    LOOP
        PERFORM set_config('seedcore.actor', 'schedule ' || v_schedule.name, true);
        FOR v_at, v_outcome, v_error IN
            SELECT u.at, u.outcome, u.error
            FROM unnest(p_fire_ids, p_fire_at, p_outcomes, p_errors) AS u (id, at, outcome, error)
            WHERE u.id = v_schedule.schedule_id
            ORDER BY u.at
        LOOP
            v_fire := task_schedule_fire_one(v_schedule, v_at, v_outcome, v_error);
            RETURN QUERY SELECT v_schedule.schedule_id, v_schedule.name, v_at, v_fire.outcome,
                                v_fire.task_id, v_fire.error;
        END LOOP;
        v_done := v_done || v_schedule.schedule_id;
    END LOOP;
    PERFORM set_config('seedcore.actor', coalesce(v_actor, ''), true);
    UPDATE task_schedules s
    SET next_run_at = u.next
    FROM unnest(p_ids, p_next) AS u (id, next)
    WHERE s.schedule_id = u.id AND s.schedule_id = ANY (v_done);
    -- The oldest that stays is looked for once per schedule, not once per row.
    DELETE FROM task_schedule_fires f
    USING unnest(v_done) AS d (id)
    CROSS JOIN LATERAL (
        SELECT o.fire_at FROM task_schedule_fires o WHERE o.schedule_id = d.id
        ORDER BY o.fire_at DESC OFFSET 999 LIMIT 1) AS kept
    WHERE f.schedule_id = d.id AND f.fire_at < kept.fire_at;
END
$$;
COMMENT ON FUNCTION task_schedules_fire(UUID[], TIMESTAMPTZ[], TIMESTAMPTZ[], UUID[], TIMESTAMPTZ[], TEXT[], TEXT[]) IS
    'fires the given times of schedules that still stand where they were read, and moves each on; returns what became of each time, nothing while another worker is at it';

-- Rivals that fire the same time get the same task.
CREATE OR REPLACE FUNCTION task_schedule_fire(
    p_schedule_id UUID,
    p_fire_at     TIMESTAMPTZ,
    p_next_run_at TIMESTAMPTZ
) RETURNS UUID
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_schedule task_schedules;
    v_fire     task_schedule_fires;
BEGIN
    SELECT * INTO v_schedule FROM task_schedules WHERE schedule_id = p_schedule_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no schedule %', p_schedule_id
            USING ERRCODE = 'SC404', DETAIL = 'schedule.not_found';
    END IF;
    v_fire := task_schedule_fire_one(v_schedule, p_fire_at, 'submitted');
    -- A rival that looked earlier must not turn the clock back.
    UPDATE task_schedules SET next_run_at = p_next_run_at
    WHERE schedule_id = p_schedule_id AND (next_run_at IS NULL OR p_next_run_at IS NULL OR next_run_at < p_next_run_at);
    RETURN CASE WHEN v_fire.outcome = 'submitted' THEN v_fire.task_id END;
END
$$;
COMMENT ON FUNCTION task_schedule_fire(UUID, TIMESTAMPTZ, TIMESTAMPTZ) IS
    'submits the task of a schedule for one time and stores the next; null when the one before still runs and overlap is skip, or when the task was refused (last_error)';

CREATE OR REPLACE FUNCTION task_schedule_run(p_name TEXT) RETURNS UUID
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_schedule task_schedules;
    v_last     UUID;
    v_now      TIMESTAMPTZ;
    v_task     UUID;
BEGIN
    SELECT * INTO v_schedule FROM task_schedules WHERE name = p_name FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no schedule "%"', p_name
            USING ERRCODE = 'SC404', DETAIL = 'schedule.not_found', HINT = 'seedcore task schedule list';
    END IF;
    SELECT t.id INTO v_last FROM tasks t
    WHERE t.id = v_schedule.last_task_id AND v_schedule.overlap = 'skip'
      AND t.status NOT IN ('completed', 'failed', 'cancelled');
    IF FOUND THEN
        RAISE EXCEPTION 'the last task of the schedule "%" has not ended: %', p_name, v_last
            USING ERRCODE = 'SC409', DETAIL = 'schedule.overlap',
                  HINT = format('seedcore task wait %s', v_last);
    END IF;
    v_now := clock_timestamp();  -- after the lock, so that two runs have two times
    v_task := task_schedule_submit(
        v_schedule, v_now, format('schedule:%s:by-hand:%s', v_schedule.schedule_id,
                                  to_char(v_now AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')));
    INSERT INTO task_schedule_fires (schedule_id, fire_at, outcome, task_id, actor)
    VALUES (v_schedule.schedule_id, v_now, 'by_hand', v_task, task_actor());
    UPDATE task_schedules SET last_run_at = v_now, last_task_id = v_task
    WHERE schedule_id = v_schedule.schedule_id;
    RETURN v_task;
END
$$;
COMMENT ON FUNCTION task_schedule_run(TEXT) IS
    'submits the task of a schedule now, paused or not; refused while its last task runs and overlap is skip';
