-- How a rollout does, and what follows from it. What is measured is in pkg_evaluations.

CREATE OR REPLACE FUNCTION pkg_rollout_measure(p_plan_id BIGINT)
RETURNS TABLE (gate TEXT, operator TEXT, threshold DOUBLE PRECISION, value DOUBLE PRECISION, passed BOOLEAN,
               samples BIGINT)
LANGUAGE sql STABLE
SET search_path = public, pg_temp AS $$
    WITH plan AS (
        SELECT p.id, p.target, p.region, p.snapshot_id, p.started_at, p.min_samples, s.entered_at, s.gates,
               -- Whoever is not reached yet is served by one of these.
               ARRAY(SELECT DISTINCT x.id
                     FROM (VALUES (p.from_snapshot_id), (pkg_active_snapshot_id(n.env)),
                                  ((SELECT d.snapshot_id FROM pkg_deployments AS d
                                    WHERE d.target = p.target AND d.region = 'global' AND d.is_active))) AS x (id)
                     WHERE x.id <> p.snapshot_id) AS stable
        FROM pkg_rollout_plans AS p
        JOIN pkg_rollout_steps AS s ON s.plan_id = p.id AND s.step_no = p.current_step
        JOIN pkg_snapshots AS n ON n.id = p.snapshot_id
        WHERE p.id = p_plan_id
    ), new AS (
        SELECT count(*) AS n, count(*) FILTER (WHERE e.outcome = 'error') AS errors,
               count(*) FILTER (WHERE e.denied) AS denied,
               percentile_cont(0.95) WITHIN GROUP (ORDER BY e.duration_ms) AS p95
        FROM plan AS p
        CROSS JOIN LATERAL (
            SELECT e.outcome, e.denied, e.duration_ms FROM pkg_evaluations AS e
            WHERE e.snapshot_id = p.snapshot_id AND e.target = p.target AND e.created_at >= p.entered_at
              AND (p.region = 'global' OR e.region = p.region) AND e.outcome <> 'skipped'
            ORDER BY e.created_at DESC LIMIT 100000) AS e
    ), old AS (
        -- Since the step if that is enough, else with the day before the rollout.
        SELECT x.n, x.errors, x.denied, x.p95
        FROM (
            SELECT w.choice, count(e.outcome) AS n, count(*) FILTER (WHERE e.outcome = 'error') AS errors,
                   count(*) FILTER (WHERE e.denied) AS denied,
                   percentile_cont(0.95) WITHIN GROUP (ORDER BY e.duration_ms) AS p95
            FROM plan AS p
            CROSS JOIN LATERAL (VALUES (1, p.entered_at),
                                       (2, least(p.entered_at, p.started_at - interval '1 day'))) AS w (choice, since)
            LEFT JOIN LATERAL (
                SELECT e.outcome, e.denied, e.duration_ms
                FROM unnest(p.stable) AS s (id)
                CROSS JOIN LATERAL (
                    SELECT e.outcome, e.denied, e.duration_ms FROM pkg_evaluations AS e
                    WHERE e.snapshot_id = s.id AND e.target = p.target AND e.created_at >= w.since
                      AND (p.region = 'global' OR e.region = p.region) AND e.outcome <> 'skipped'
                    ORDER BY e.created_at DESC LIMIT 100000) AS e) AS e ON true
            GROUP BY w.choice
        ) AS x
        CROSS JOIN plan AS p
        ORDER BY x.n < p.min_samples, x.choice
        LIMIT 1
    ), measured AS (
        SELECT g.name, g.op, g.threshold, n.n, p.min_samples,
               CASE
                   WHEN g.name = 'samples' THEN n.n
                   WHEN g.name = 'errors' THEN n.errors
                   WHEN g.name = 'error_rate' THEN n.errors::float8 / nullif(n.n, 0)
                   WHEN g.name = 'deny_rate' THEN n.denied::float8 / nullif(n.n, 0)
                   WHEN g.name = 'p95_ms' THEN n.p95
                   -- Beside nothing at all, the whole is the difference; beside too little, there is none.
                   WHEN cardinality(p.stable) > 0 AND o.n < p.min_samples THEN NULL
                   WHEN g.name = 'error_rate_delta'
                       THEN n.errors::float8 / nullif(n.n, 0) - coalesce(o.errors::float8 / nullif(o.n, 0), 0)
                   WHEN g.name = 'deny_rate_delta'
                       THEN n.denied::float8 / nullif(n.n, 0) - coalesce(o.denied::float8 / nullif(o.n, 0), 0)
                   WHEN g.name = 'p95_ms_delta' THEN n.p95 - coalesce(o.p95, 0)
               END::float8 AS value
        FROM plan AS p
        CROSS JOIN new AS n
        CROSS JOIN old AS o
        CROSS JOIN LATERAL (
            SELECT e.item ->> 'name' AS name, e.item ->> 'operator' AS op,
                   (e.item ->> 'threshold')::float8 AS threshold, e.place
            FROM jsonb_array_elements(p.gates) WITH ORDINALITY AS e (item, place)) AS g
    ), judged AS (
        SELECT m.*,
               CASE m.op
                   WHEN '<' THEN m.value < m.threshold
                   WHEN '<=' THEN m.value <= m.threshold
                   WHEN '>' THEN m.value > m.threshold
                   WHEN '>=' THEN m.value >= m.threshold
                   WHEN '=' THEN m.value = m.threshold
                   WHEN '!=' THEN m.value <> m.threshold
               END AS holds
        FROM measured AS m
    )
    -- One error too many is one however few were asked; all else takes its samples.
    SELECT j.name, j.op, j.threshold, j.value,
           CASE WHEN j.n >= j.min_samples OR (j.name = 'errors' AND NOT j.holds AND j.op IN ('<', '<=', '='))
                THEN j.holds END,
           j.n
    FROM judged AS j
$$;
COMMENT ON FUNCTION pkg_rollout_measure(BIGINT) IS
    'how the gates of a rollout''s step stand now, measured over the evaluations since the step and beside those of what the lane''s others are served; passed is null where there are too few';

CREATE OR REPLACE FUNCTION pkg_rollout_record(p_plan_id BIGINT)
RETURNS TABLE (gate TEXT, operator TEXT, threshold DOUBLE PRECISION, value DOUBLE PRECISION, passed BOOLEAN,
               samples BIGINT)
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_plan pkg_rollout_plans;
    v_row  record;
BEGIN
    SELECT p.* INTO v_plan FROM pkg_rollout_plans AS p WHERE p.id = p_plan_id FOR UPDATE;
    FOR v_row IN SELECT m.* FROM pkg_rollout_measure(p_plan_id) AS m LOOP
        -- What has not changed is not written again.
        INSERT INTO pkg_rollout_gate_results (plan_id, step_no, gate, value, threshold, passed, measured_at)
        SELECT v_plan.id, v_plan.current_step, v_row.gate, v_row.value, v_row.threshold, v_row.passed,
               clock_timestamp()
        WHERE v_row.passed IS NOT NULL
          AND (SELECT (r.value, r.passed) IS NOT DISTINCT FROM (v_row.value, v_row.passed)
               FROM pkg_rollout_gate_results AS r
               WHERE r.plan_id = v_plan.id AND r.step_no = v_plan.current_step AND r.gate = v_row.gate
               ORDER BY r.measured_at DESC, r.id DESC LIMIT 1) IS NOT TRUE;
        gate := v_row.gate;
        operator := v_row.operator;
        threshold := v_row.threshold;
        value := v_row.value;
        passed := v_row.passed;
        samples := v_row.samples;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION pkg_rollout_record(BIGINT) IS
    'measures the gates of a rollout''s step and keeps the results, which pkg_rollout_advance reads';

CREATE OR REPLACE FUNCTION pkg_rollout_pause(p_plan_id BIGINT, p_actor TEXT, p_reason TEXT DEFAULT NULL)
RETURNS VOID
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_state TEXT;
BEGIN
    SELECT p.state INTO v_state FROM pkg_rollout_plans AS p WHERE p.id = p_plan_id FOR UPDATE;
    IF v_state IS DISTINCT FROM 'running' THEN
        RAISE EXCEPTION 'rollout plan % is %', coalesce(p_plan_id::text, 'null'), coalesce(v_state, 'unknown')
            USING ERRCODE = 'SC409', DETAIL = 'pkg.plan_not_running';
    END IF;
    UPDATE pkg_rollout_plans AS p SET state = 'paused', message = nullif(p_reason, '') WHERE p.id = p_plan_id;
    PERFORM pkg_rollout_event(p_plan_id, 'pause', p_actor, p_reason);
END
$$;
COMMENT ON FUNCTION pkg_rollout_pause(BIGINT, TEXT, TEXT) IS
    'holds a running rollout where it is: nobody but a forced advance takes it on';

CREATE OR REPLACE FUNCTION pkg_rollout_resume(p_plan_id BIGINT, p_actor TEXT, p_reason TEXT DEFAULT NULL)
RETURNS VOID
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_state TEXT;
BEGIN
    SELECT p.state INTO v_state FROM pkg_rollout_plans AS p WHERE p.id = p_plan_id FOR UPDATE;
    IF v_state IS DISTINCT FROM 'paused' THEN
        RAISE EXCEPTION 'rollout plan % is %', coalesce(p_plan_id::text, 'null'), coalesce(v_state, 'unknown')
            USING ERRCODE = 'SC409', DETAIL = 'pkg.plan_not_paused';
    END IF;
    UPDATE pkg_rollout_plans AS p SET state = 'running', fails = 0, message = NULL WHERE p.id = p_plan_id;
    PERFORM pkg_rollout_event(p_plan_id, 'resume', p_actor, p_reason);
END
$$;
COMMENT ON FUNCTION pkg_rollout_resume(BIGINT, TEXT, TEXT) IS 'lets a paused rollout go on, with its misses forgotten';

CREATE OR REPLACE FUNCTION pkg_rollout_jump(
    p_plan_id          BIGINT,
    p_percent          INTEGER,
    p_actor            TEXT,
    p_force            BOOLEAN DEFAULT false,
    p_reason           TEXT    DEFAULT NULL,
    p_expected_percent INTEGER DEFAULT NULL
) RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_plan pkg_rollout_plans;
    v_now  INTEGER;
    v_next pkg_rollout_steps;
    v_last INTEGER;
BEGIN
    SELECT p.* INTO v_plan FROM pkg_rollout_plans AS p WHERE p.id = p_plan_id FOR UPDATE;
    SELECT s.percent INTO v_now FROM pkg_rollout_steps AS s
    WHERE s.plan_id = v_plan.id AND s.step_no = v_plan.current_step;
    IF v_plan.state IN ('running', 'paused') AND (p_percent > v_now AND p_percent <= 100) IS NOT TRUE THEN
        RAISE EXCEPTION 'rollout plan % is at % %%, so it can''t advance to % %%', v_plan.id, v_now,
                        coalesce(p_percent::text, 'null')
            USING ERRCODE = 'SC422', DETAIL = 'pkg.bad_percent',
                  HINT = 'abort it to go back, or start another one';
    END IF;
    UPDATE pkg_rollout_steps AS s SET state = 'skipped'
    WHERE s.plan_id = v_plan.id AND s.state = 'pending' AND s.percent < p_percent;
    SELECT s.* INTO v_next FROM pkg_rollout_steps AS s
    WHERE s.plan_id = v_plan.id AND s.state = 'pending' ORDER BY s.step_no LIMIT 1;
    IF v_next.percent > p_percent THEN
        SELECT max(s.step_no) INTO v_last FROM pkg_rollout_steps AS s
        WHERE s.plan_id = v_plan.id AND s.step_no < v_next.step_no;
        IF v_last + 1 < v_next.step_no THEN
            INSERT INTO pkg_rollout_steps (plan_id, step_no, percent, min_duration, gates, manual)
            VALUES (v_plan.id, v_last + 1, p_percent, v_next.min_duration, v_next.gates, v_next.manual);
        ELSE
            RAISE EXCEPTION 'rollout plan % has no room for another step at % %%', v_plan.id, p_percent
                USING ERRCODE = 'SC409', DETAIL = 'pkg.bad_steps',
                      HINT = format('advance to %s %%', v_next.percent);
        END IF;
    END IF;
    RETURN pkg_rollout_advance(p_plan_id, p_actor, p_force, p_reason, p_expected_percent);
END
$$;
COMMENT ON FUNCTION pkg_rollout_jump(BIGINT, INTEGER, TEXT, BOOLEAN, TEXT, INTEGER) IS
    'as pkg_rollout_advance, but to a higher percent of one''s choice: steps on the way are skipped, and a step is put in where there is none; returns the percent';

CREATE OR REPLACE FUNCTION pkg_rollout_check(p_plan_id BIGINT, p_actor TEXT)
RETURNS TABLE (action TEXT, percent INTEGER, message TEXT)
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_plan    pkg_rollout_plans;
    v_step    pkg_rollout_steps;
    v_missed  TEXT;
    v_open    TEXT;
    v_samples BIGINT;
    v_fails   INTEGER;
BEGIN
    SELECT p.* INTO v_plan FROM pkg_rollout_plans AS p WHERE p.id = p_plan_id FOR UPDATE;
    SELECT s.* INTO v_step FROM pkg_rollout_steps AS s
    WHERE s.plan_id = v_plan.id AND s.step_no = v_plan.current_step;
    IF v_plan.state IS DISTINCT FROM 'running' THEN
        RETURN QUERY SELECT 'none'::text, v_step.percent, format('it is %s', coalesce(v_plan.state, 'unknown'));
        RETURN;
    END IF;
    SELECT string_agg(format('%s is %s, not %s %s', r.gate, round(r.value::numeric, 4), r.operator, r.threshold), ', ')
               FILTER (WHERE NOT r.passed),
           string_agg(r.gate, ', ') FILTER (WHERE r.passed IS NULL),
           max(r.samples)
    INTO v_missed, v_open, v_samples
    FROM pkg_rollout_record(v_plan.id) AS r;
    percent := v_step.percent;
    IF v_missed IS NOT NULL THEN
        -- The same evaluations are not held against it twice.
        v_fails := v_plan.fails + (v_samples > v_plan.checked_samples)::integer;
        message := format('missed %s of %s: %s', v_fails, v_plan.max_fail, v_missed);
        IF v_plan.automatic AND v_fails >= v_plan.max_fail THEN
            PERFORM pkg_rollout_abort(v_plan.id, p_actor, message);
            action := 'aborted';
            percent := coalesce(v_plan.from_percent, 0);
            RETURN NEXT;
            RETURN;
        END IF;
        action := CASE WHEN v_fails > v_plan.fails THEN 'missed' ELSE 'none' END;
        UPDATE pkg_rollout_plans AS p
        SET fails = v_fails, checked_samples = v_samples, checked_at = clock_timestamp(),
            message = pkg_rollout_check.message
        WHERE p.id = v_plan.id;
        RETURN NEXT;
        RETURN;
    END IF;
    message := CASE
        WHEN v_open IS NOT NULL
            THEN format('%s of %s evaluations for %s', coalesce(v_samples, 0), v_plan.min_samples, v_open)
        WHEN v_step.manual THEN 'waits for somebody to advance it'
        WHEN clock_timestamp() < v_step.entered_at + v_step.min_duration THEN 'every gate passed; the step goes on'
    END;
    UPDATE pkg_rollout_plans AS p
    SET fails = 0, checked_samples = coalesce(v_samples, 0), checked_at = clock_timestamp(),
        message = pkg_rollout_check.message
    WHERE p.id = v_plan.id;
    action := 'none';
    IF v_plan.automatic AND message IS NULL THEN
        percent := pkg_rollout_advance(v_plan.id, p_actor, false, 'every gate passed');
        SELECT CASE WHEN p.state = 'completed' THEN 'completed' ELSE 'advanced' END INTO action
        FROM pkg_rollout_plans AS p WHERE p.id = v_plan.id;
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION pkg_rollout_check(BIGINT, TEXT) IS
    'measures a running rollout and, if it is automatic, takes it on when every gate passed and its step is over, or aborts it after max_fail misses; says what it did: advanced, completed, aborted, missed, none';

CREATE OR REPLACE FUNCTION pkg_rollout_tick()
RETURNS TABLE (plan_id BIGINT, target TEXT, region TEXT, action TEXT, percent INTEGER, message TEXT)
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_plan record;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('seedcore.watchdog.canary', 0)) THEN
        RETURN;
    END IF;
    FOR v_plan IN
        SELECT p.id, p.target, p.region FROM pkg_rollout_plans AS p
        WHERE p.state = 'running' AND p.automatic
        ORDER BY p.id
        FOR UPDATE SKIP LOCKED
    LOOP
        plan_id := v_plan.id;
        target := v_plan.target;
        region := v_plan.region;
        -- One that can't go on holds no other back.
        BEGIN
            SELECT c.action, c.percent, c.message INTO action, percent, message
            FROM pkg_rollout_check(v_plan.id, 'canary') AS c;
        EXCEPTION WHEN OTHERS THEN
            action := 'failed';
            percent := NULL;
            message := SQLERRM;
        END;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION pkg_rollout_tick() IS
    'checks every automatic rollout that runs, as the actor canary; no row when another session is at it';
