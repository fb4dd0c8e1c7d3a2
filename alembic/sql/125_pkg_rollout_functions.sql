-- Each one locks its plan first, so two callers follow each other: the second sees what the first did.

-- What changes a lane is written down by the lane's trigger; this is for what does not.
CREATE OR REPLACE FUNCTION pkg_rollout_event(p_plan_id BIGINT, p_action TEXT, p_actor TEXT, p_reason TEXT)
RETURNS BIGINT
LANGUAGE sql
SET search_path = public, pg_temp AS $$
    INSERT INTO pkg_rollout_events (target, region, snapshot_id, from_percent, to_percent, action, actor, plan_id,
                                    reason, created_at)
    SELECT p.target, p.region, p.snapshot_id, s.percent, s.percent, p_action,
           coalesce(nullif(p_actor, ''), nullif(current_setting('seedcore.actor', true), ''), current_user::text),
           p.id, coalesce(nullif(p_reason, ''), nullif(current_setting('seedcore.reason', true), '')),
           clock_timestamp()
    FROM pkg_rollout_plans AS p
    JOIN pkg_rollout_steps AS s ON s.plan_id = p.id AND s.step_no = p.current_step
    WHERE p.id = p_plan_id
    RETURNING id
$$;
COMMENT ON FUNCTION pkg_rollout_event(BIGINT, TEXT, TEXT, TEXT) IS
    'writes down what happened to a rollout that left its lane as it was; returns the event''s id, null when the plan has not begun';

CREATE OR REPLACE FUNCTION pkg_rollout_start(p_plan_id BIGINT, p_actor TEXT, p_force BOOLEAN DEFAULT false)
RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_plan   pkg_rollout_plans;
    v_lane   pkg_deployments;
    v_new    pkg_snapshots;
    v_status record;
    v_faults TEXT;
    v_steps  INTEGER[];
    v_first  pkg_rollout_steps;
    v_now    TIMESTAMPTZ;
BEGIN
    SELECT p.* INTO v_plan FROM pkg_rollout_plans AS p WHERE p.id = p_plan_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no rollout plan %', coalesce(p_plan_id::text, 'null')
            USING ERRCODE = 'SC404', DETAIL = 'pkg.plan_not_found';
    END IF;
    IF v_plan.state <> 'planned' THEN
        RAISE EXCEPTION 'rollout plan % is %, it was started before', v_plan.id, v_plan.state
            USING ERRCODE = 'SC409', DETAIL = 'pkg.plan_started';
    END IF;
    v_steps := ARRAY(SELECT s.percent FROM pkg_rollout_steps AS s
                     WHERE s.plan_id = v_plan.id AND s.state = 'pending' ORDER BY s.step_no);
    IF v_steps[cardinality(v_steps)] IS DISTINCT FROM 100
       OR v_steps <> ARRAY(SELECT u FROM unnest(v_steps) AS u ORDER BY u) THEN
        RAISE EXCEPTION 'the steps of a rollout rise to 100 %%, those of plan % are: %', v_plan.id,
                        coalesce(nullif(array_to_string(v_steps, ', '), ''), 'none')
            USING ERRCODE = 'SC422', DETAIL = 'pkg.bad_steps';
    END IF;
    -- Held to the end, so that the lane stays what it is found to be.
    PERFORM pg_advisory_xact_lock(
        hashtextextended('seedcore.pkg_lane.' || v_plan.target || '.' || v_plan.region, 0));
    SELECT s.* INTO v_new FROM pkg_snapshots AS s WHERE s.id = v_plan.snapshot_id FOR NO KEY UPDATE;
    SELECT d.* INTO v_lane FROM pkg_deployments AS d
    WHERE d.target = v_plan.target AND d.region = v_plan.region AND d.is_active AND d.percent > 0;
    IF v_lane.snapshot_id = v_new.id AND v_lane.percent = 100 THEN
        RAISE EXCEPTION 'the lane % in % serves % to everybody already', v_plan.target, v_plan.region, v_new.version
            USING ERRCODE = 'SC409', DETAIL = 'pkg.already_served';
    END IF;
    IF EXISTS (SELECT FROM pkg_snapshots AS s WHERE s.id = v_lane.snapshot_id AND s.env <> v_new.env) THEN
        RAISE EXCEPTION 'snapshot % is of %, and the lane % in % serves another environment',
                        v_new.version, v_new.env, v_plan.target, v_plan.region
            USING ERRCODE = 'SC409', DETAIL = 'pkg.env_mismatch';
    END IF;
    SELECT string_agg(i.msg, '; ') INTO v_faults FROM pkg_check_integrity(v_new.id) AS i WHERE NOT i.ok;
    IF v_faults IS NOT NULL THEN
        RAISE EXCEPTION 'snapshot % can''t be rolled out: %', v_new.version, v_faults
            USING ERRCODE = 'SC409', DETAIL = 'pkg.integrity', HINT = 'seedcore pkg check';
    END IF;
    v_status := pkg_validation_status(v_new.id);
    IF NOT v_status.ok AND p_force IS NOT TRUE THEN
        RAISE EXCEPTION 'snapshot % can''t be rolled out: %', v_new.version, v_status.msg
            USING ERRCODE = 'SC409', DETAIL = 'pkg.not_validated',
                  HINT = format('seedcore pkg validate %s', v_new.version);
    END IF;
    IF NOT v_status.ok AND coalesce(trim(v_plan.reason), '') = '' THEN
        RAISE EXCEPTION 'to roll out snapshot % without a green validation run takes a reason', v_new.version
            USING ERRCODE = 'SC422', DETAIL = 'pkg.reason_required', HINT = 'give the plan one';
    END IF;
    v_now := clock_timestamp();
    UPDATE pkg_rollout_steps AS s SET state = 'active', entered_at = v_now
    WHERE s.plan_id = v_plan.id
      AND s.step_no = (SELECT min(m.step_no) FROM pkg_rollout_steps AS m
                       WHERE m.plan_id = v_plan.id AND m.state = 'pending')
    RETURNING s.* INTO v_first;
    UPDATE pkg_rollout_plans AS p
    SET state = 'running', current_step = v_first.step_no, started_at = v_now,
        from_snapshot_id = v_lane.snapshot_id, from_percent = v_lane.percent
    WHERE p.id = v_plan.id;
    RETURN pkg_set_lane(v_plan.target, v_plan.region, v_new.id, v_first.percent, p_actor, v_plan.reason, v_plan.id);
END
$$;
COMMENT ON FUNCTION pkg_rollout_start(BIGINT, TEXT, BOOLEAN) IS
    'starts a planned rollout with its first step if the snapshot is sound and validated (or forced, and the plan has a reason); remembers what the lane served; returns the percent';

CREATE OR REPLACE FUNCTION pkg_rollout_advance(
    p_plan_id          BIGINT,
    p_actor            TEXT,
    p_force            BOOLEAN DEFAULT false,
    p_reason           TEXT    DEFAULT NULL,
    p_expected_percent INTEGER DEFAULT NULL
) RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_plan  pkg_rollout_plans;
    v_step  pkg_rollout_steps;
    v_next  pkg_rollout_steps;
    v_now   TIMESTAMPTZ;
    v_fault TEXT;
BEGIN
    SELECT p.* INTO v_plan FROM pkg_rollout_plans AS p WHERE p.id = p_plan_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no rollout plan %', coalesce(p_plan_id::text, 'null')
            USING ERRCODE = 'SC404', DETAIL = 'pkg.plan_not_found';
    END IF;
    IF v_plan.state NOT IN ('running', 'paused') THEN
        RAISE EXCEPTION 'rollout plan % is %', v_plan.id, v_plan.state
            USING ERRCODE = 'SC409', DETAIL = 'pkg.plan_not_running';
    END IF;
    SELECT s.* INTO v_step FROM pkg_rollout_steps AS s
    WHERE s.plan_id = v_plan.id AND s.step_no = v_plan.current_step;
    IF p_expected_percent <> v_step.percent THEN
        RAISE EXCEPTION 'rollout plan % is at % %%, not at % %%', v_plan.id, v_step.percent, p_expected_percent
            USING ERRCODE = 'SC409', DETAIL = 'pkg.percent_changed';
    END IF;
    v_now := clock_timestamp();
    IF p_force IS TRUE THEN
        IF coalesce(trim(p_reason), '') = '' THEN
            RAISE EXCEPTION 'to pass the gates of a rollout takes a reason'
                USING ERRCODE = 'SC422', DETAIL = 'pkg.reason_required', HINT = 'say why with --reason';
        END IF;
    ELSE
        SELECT string_agg(f.fault, '; ') INTO v_fault
        FROM (
            SELECT 'it is paused' AS fault WHERE v_plan.state = 'paused'
            UNION ALL
            SELECT format('it stays at %s %% until %s', v_step.percent, v_step.entered_at + v_step.min_duration)
            WHERE v_now < v_step.entered_at + v_step.min_duration
            UNION ALL
            SELECT CASE WHEN r.passed IS NULL THEN format('gate %s was not measured', g.name)
                        ELSE format('gate %s is at %s', g.name, r.value) END
            FROM (SELECT DISTINCT e ->> 'name' AS name FROM jsonb_array_elements(v_step.gates) AS e) AS g
            LEFT JOIN LATERAL (
                SELECT m.passed, m.value FROM pkg_rollout_gate_results AS m
                WHERE m.plan_id = v_step.plan_id AND m.step_no = v_step.step_no AND m.gate = g.name
                ORDER BY m.measured_at DESC, m.id DESC LIMIT 1) AS r ON true
            WHERE r.passed IS NOT TRUE
        ) AS f;
        IF v_fault IS NOT NULL THEN
            RAISE EXCEPTION 'rollout plan % can''t go on: %', v_plan.id, v_fault
                USING ERRCODE = 'SC409', DETAIL = 'pkg.gate_not_passed',
                      HINT = 'wait, or force it with a reason';
        END IF;
    END IF;
    UPDATE pkg_rollout_steps AS s SET state = 'passed', left_at = v_now
    WHERE s.plan_id = v_step.plan_id AND s.step_no = v_step.step_no;
    UPDATE pkg_rollout_steps AS s SET state = 'active', entered_at = v_now
    WHERE s.plan_id = v_step.plan_id
      AND s.step_no = (SELECT min(m.step_no) FROM pkg_rollout_steps AS m
                       WHERE m.plan_id = v_step.plan_id AND m.step_no > v_step.step_no AND m.state = 'pending')
    RETURNING s.* INTO v_next;
    IF NOT FOUND THEN
        UPDATE pkg_rollout_plans AS p
        SET state = 'completed', finished_at = v_now, fails = 0, message = NULL
        WHERE p.id = v_plan.id;
        PERFORM pkg_rollout_event(v_plan.id, 'complete', p_actor, p_reason);
        RETURN v_step.percent;
    END IF;
    UPDATE pkg_rollout_plans AS p
    SET state = 'running', current_step = v_next.step_no, fails = 0, checked_samples = 0, message = NULL
    WHERE p.id = v_plan.id;
    RETURN pkg_set_lane(v_plan.target, v_plan.region, v_plan.snapshot_id, v_next.percent, p_actor,
                        p_reason, v_plan.id);
END
$$;
COMMENT ON FUNCTION pkg_rollout_advance(BIGINT, TEXT, BOOLEAN, TEXT, INTEGER) IS
    'takes a rollout to its next step, or from its last one to completed, when the newest result of every gate passed and the step lasted long enough, or forced with a reason; returns the percent';

CREATE OR REPLACE FUNCTION pkg_rollout_abort(p_plan_id BIGINT, p_actor TEXT, p_reason TEXT) RETURNS VOID
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_plan pkg_rollout_plans;
    v_now  TIMESTAMPTZ;
BEGIN
    SELECT p.* INTO v_plan FROM pkg_rollout_plans AS p WHERE p.id = p_plan_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no rollout plan %', coalesce(p_plan_id::text, 'null')
            USING ERRCODE = 'SC404', DETAIL = 'pkg.plan_not_found';
    END IF;
    IF v_plan.state NOT IN ('planned', 'running', 'paused') THEN
        RAISE EXCEPTION 'rollout plan % is % already', v_plan.id, v_plan.state
            USING ERRCODE = 'SC409', DETAIL = 'pkg.plan_finished';
    END IF;
    v_now := clock_timestamp();
    -- The lane first: its event still belongs to the plan.
    IF v_plan.state <> 'planned' THEN
        PERFORM pkg_set_lane(v_plan.target, v_plan.region,
                             coalesce(v_plan.from_snapshot_id, v_plan.snapshot_id),
                             coalesce(v_plan.from_percent, 0), p_actor, p_reason, v_plan.id);
    END IF;
    UPDATE pkg_rollout_steps AS s
    SET state = CASE s.state WHEN 'active' THEN 'failed' ELSE 'skipped' END,
        left_at = CASE s.state WHEN 'active' THEN v_now END
    WHERE s.plan_id = v_plan.id AND s.state IN ('active', 'pending');
    UPDATE pkg_rollout_plans AS p
    SET state = 'aborted', finished_at = v_now, message = nullif(p_reason, '')
    WHERE p.id = v_plan.id;
END
$$;
COMMENT ON FUNCTION pkg_rollout_abort(BIGINT, TEXT, TEXT) IS
    'ends a rollout: the lane serves what it did before, to the same percent, or is off if it served nothing';
