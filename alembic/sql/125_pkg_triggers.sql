-- A lane that moves to another target or region ends there and begins here.
CREATE OR REPLACE FUNCTION pkg_deployment_event() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_row   pkg_deployments;
    v_from  INTEGER := CASE WHEN TG_OP <> 'INSERT' THEN CASE WHEN OLD.is_active THEN OLD.percent ELSE 0 END END;
    v_to    INTEGER := CASE WHEN TG_OP <> 'DELETE' THEN CASE WHEN NEW.is_active THEN NEW.percent ELSE 0 END
                            ELSE 0 END;
    v_plan  pkg_rollout_plans;
    v_actor TEXT := nullif(current_setting('seedcore.actor', true), '');
    v_why   TEXT := nullif(current_setting('seedcore.reason', true), '');
BEGIN
    IF TG_OP = 'UPDATE' AND (NEW.target, NEW.region, NEW.snapshot_id, NEW.percent, NEW.is_active)
        IS NOT DISTINCT FROM (OLD.target, OLD.region, OLD.snapshot_id, OLD.percent, OLD.is_active) THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'DELETE' THEN
        v_row := OLD;
    ELSE
        v_row := NEW;
        -- Whom an older change named is not who makes this one.
        IF TG_OP = 'INSERT' OR NEW.activated_by <> OLD.activated_by THEN
            v_actor := coalesce(v_actor, NEW.activated_by);
        END IF;
    END IF;
    v_actor := coalesce(v_actor, current_user::text);
    IF TG_OP = 'UPDATE' AND (NEW.target, NEW.region) IS DISTINCT FROM (OLD.target, OLD.region) THEN
        INSERT INTO pkg_rollout_events (target, region, snapshot_id, from_percent, to_percent, actor, reason,
                                        created_at)
        VALUES (OLD.target, OLD.region, OLD.snapshot_id, v_from, 0, v_actor, v_why, clock_timestamp());
        v_from := NULL;
    END IF;
    SELECT p.* INTO v_plan FROM pkg_rollout_plans AS p
    WHERE p.target = v_row.target AND p.region = v_row.region AND p.state IN ('running', 'paused');
    INSERT INTO pkg_rollout_events (target, region, snapshot_id, from_percent, to_percent, is_rollback, actor,
                                    plan_id, validation_run_id, reason, created_at)
    VALUES (v_row.target, v_row.region, v_row.snapshot_id, v_from, v_to,
            -- Back to what was there before the plan, or less of the same.
            coalesce(v_row.snapshot_id = v_plan.from_snapshot_id
                     AND v_row.snapshot_id <> v_plan.snapshot_id, false)
            OR coalesce(TG_OP <> 'INSERT' AND v_row.snapshot_id = OLD.snapshot_id AND v_to < v_from, false),
            v_actor, v_plan.id,
            (SELECT r.id FROM pkg_validation_runs AS r
             WHERE r.snapshot_id = v_row.snapshot_id AND r.success AND r.finished_at IS NOT NULL
             ORDER BY r.started_at DESC, r.id DESC LIMIT 1),
            v_why, clock_timestamp());
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION pkg_deployment_event() IS
    'Trigger function: records every change of what a lane serves, with the plan it belongs to.';

CREATE OR REPLACE TRIGGER pkg_deployments_event
    AFTER INSERT OR UPDATE OR DELETE ON pkg_deployments
    FOR EACH ROW
    EXECUTE FUNCTION pkg_deployment_event();

CREATE OR REPLACE TRIGGER pkg_promotions_forbid_change
    BEFORE UPDATE OR DELETE OR TRUNCATE ON pkg_promotions
    FOR EACH STATEMENT
    EXECUTE FUNCTION forbid_change();
CREATE OR REPLACE TRIGGER pkg_rollout_events_forbid_change
    BEFORE UPDATE OR DELETE OR TRUNCATE ON pkg_rollout_events
    FOR EACH STATEMENT
    EXECUTE FUNCTION forbid_change();
