-- One at a time per lane, and during a rollout the rollout alone. Actor and reason go to the trigger, which writes the event, by the settings that audits use everywhere.
CREATE OR REPLACE FUNCTION pkg_set_lane(
    p_target      TEXT,
    p_region      TEXT,
    p_snapshot_id INTEGER,
    p_percent     INTEGER,
    p_actor       TEXT,
    p_reason      TEXT   DEFAULT NULL,
    p_plan_id     BIGINT DEFAULT NULL
) RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_region TEXT := coalesce(p_region, 'global');
    v_actor  TEXT := current_setting('seedcore.actor', true);
    v_reason TEXT := current_setting('seedcore.reason', true);
    v_by     TEXT := coalesce(nullif(p_actor, ''), nullif(v_actor, ''), current_user::text);
BEGIN
    IF NOT EXISTS (SELECT FROM pkg_snapshots AS s WHERE s.id = p_snapshot_id) THEN
        RAISE EXCEPTION 'there is no snapshot %', coalesce(p_snapshot_id::text, 'null')
            USING ERRCODE = 'SC404', DETAIL = 'pkg.snapshot_not_found';
    END IF;
    IF p_percent BETWEEN 0 AND 100 IS NOT TRUE THEN
        RAISE EXCEPTION 'a lane''s percent is 0 to 100, not %', coalesce(p_percent::text, 'null')
            USING ERRCODE = 'SC422', DETAIL = 'pkg.bad_percent';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('seedcore.pkg_lane.' || p_target || '.' || v_region, 0));
    IF EXISTS (SELECT FROM pkg_rollout_plans AS p
               WHERE p.target = p_target AND p.region = v_region AND p.state IN ('running', 'paused')
                 AND p.id IS DISTINCT FROM p_plan_id) THEN
        RAISE EXCEPTION 'a rollout is under way on the lane % in %', p_target, v_region
            USING ERRCODE = 'SC409', DETAIL = 'pkg.lane_busy',
                  HINT = format('seedcore pkg canary status --target %s --region %s', p_target, v_region);
    END IF;
    PERFORM set_config('seedcore.actor', v_by, true),
            set_config('seedcore.reason', coalesce(nullif(p_reason, ''), v_reason, ''), true);
    INSERT INTO pkg_deployments AS d (target, region, snapshot_id, percent, is_active, activated_by)
    VALUES (p_target, v_region, p_snapshot_id, p_percent, p_percent > 0, v_by)
    ON CONFLICT (target, region) DO UPDATE
        SET snapshot_id = excluded.snapshot_id, percent = excluded.percent, is_active = excluded.is_active,
            activated_at = clock_timestamp(), activated_by = excluded.activated_by;
    PERFORM set_config('seedcore.actor', coalesce(v_actor, ''), true),
            set_config('seedcore.reason', coalesce(v_reason, ''), true);
    RETURN p_percent;
END
$$;
COMMENT ON FUNCTION pkg_set_lane(TEXT, TEXT, INTEGER, INTEGER, TEXT, TEXT, BIGINT) IS
    'makes a lane serve a snapshot to a percent of its subjects, 0 = off; refused while a rollout other than the named one is under way there; returns the percent';
