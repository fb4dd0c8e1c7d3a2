-- Changing what an environment serves. Whoever does holds the environment's advisory lock to the end of the
-- transaction, so the others follow and see what they did.

CREATE OR REPLACE FUNCTION pkg_promote_snapshot(
    p_snapshot_id      INTEGER,
    p_env              pkg_env,
    p_actor            TEXT,
    p_reason           TEXT    DEFAULT NULL,
    p_force            BOOLEAN DEFAULT false,
    p_metrics          JSONB   DEFAULT NULL,
    p_expected_version TEXT    DEFAULT NULL
) RETURNS BIGINT
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_new       pkg_snapshots;
    v_old       pkg_snapshots;
    v_status    record;
    v_faults    TEXT;
    v_promotion BIGINT;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('seedcore.pkg_promote.' || p_env, 0));
    SELECT s.* INTO v_new FROM pkg_snapshots AS s WHERE s.id = p_snapshot_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no snapshot %', coalesce(p_snapshot_id::text, 'null')
            USING ERRCODE = 'SC404', DETAIL = 'pkg.snapshot_not_found';
    END IF;
    IF v_new.env IS DISTINCT FROM p_env THEN
        RAISE EXCEPTION 'snapshot % is of %, not of %', v_new.version, v_new.env, coalesce(p_env::text, 'null')
            USING ERRCODE = 'SC409', DETAIL = 'pkg.env_mismatch',
                  HINT = format('seedcore pkg snapshot copy %s --to-env %s', v_new.version, p_env);
    END IF;
    SELECT s.* INTO v_old FROM pkg_snapshots AS s WHERE s.env = p_env AND s.is_active FOR NO KEY UPDATE;
    -- An empty expectation says that nothing is active yet.
    IF p_expected_version <> coalesce(v_old.version, '') THEN
        RAISE EXCEPTION '% serves %, not %', p_env, coalesce(v_old.version, 'nothing'),
                        coalesce(nullif(p_expected_version, ''), 'nothing')
            USING ERRCODE = 'SC409', DETAIL = 'pkg.active_changed',
                  HINT = format('seedcore pkg history --env %s', p_env);
    END IF;
    IF v_old.id = v_new.id THEN
        SELECT max(p.id) INTO v_promotion FROM pkg_promotions AS p
        WHERE p.snapshot_id = v_new.id AND p.env = p_env AND p.success;
        IF v_promotion IS NOT NULL THEN
            RETURN v_promotion;
        END IF;
        -- Made active by hand: there is nothing to swap, but to record.
        v_old := NULL;
    END IF;
    SELECT string_agg(i.msg, '; ') INTO v_faults FROM pkg_check_integrity(v_new.id) AS i WHERE NOT i.ok;
    IF v_faults IS NOT NULL THEN
        RAISE EXCEPTION 'snapshot % can''t be promoted: %', v_new.version, v_faults
            USING ERRCODE = 'SC409', DETAIL = 'pkg.integrity', HINT = 'seedcore pkg check';
    END IF;
    v_status := pkg_validation_status(v_new.id);
    IF NOT v_status.ok AND p_force IS NOT TRUE THEN
        RAISE EXCEPTION 'snapshot % can''t be promoted: %', v_new.version, v_status.msg
            USING ERRCODE = 'SC409', DETAIL = 'pkg.not_validated',
                  HINT = format('seedcore pkg validate %s', v_new.version);
    END IF;
    IF NOT v_status.ok AND coalesce(trim(p_reason), '') = '' THEN
        RAISE EXCEPTION 'to promote snapshot % without a green validation run takes a reason', v_new.version
            USING ERRCODE = 'SC422', DETAIL = 'pkg.reason_required', HINT = 'say why with --reason';
    END IF;
    UPDATE pkg_snapshots AS s SET is_active = false WHERE s.id = v_old.id;
    UPDATE pkg_snapshots AS s SET is_active = true WHERE s.id = v_new.id AND NOT s.is_active;
    INSERT INTO pkg_promotions (snapshot_id, env, from_snapshot_id, from_version, to_version, actor, action,
                                reason, forced, validation_run_id, metrics, created_at)
    VALUES (v_new.id, p_env, v_old.id, v_old.version, v_new.version,
            coalesce(nullif(p_actor, ''), nullif(current_setting('seedcore.actor', true), ''), current_user::text),
            'promote', coalesce(p_reason, nullif(current_setting('seedcore.reason', true), '')),
            NOT v_status.ok, v_status.run_id, p_metrics, clock_timestamp())
    RETURNING id INTO v_promotion;
    RETURN v_promotion;
END
$$;
COMMENT ON FUNCTION pkg_promote_snapshot(INTEGER, pkg_env, TEXT, TEXT, BOOLEAN, JSONB, TEXT) IS
    'makes a snapshot the active one of its environment if it is sound and validated (or forced, with a reason) and, when told which version it expects to replace, that one is still active; returns the audit row, the latest one when it was active already';

-- The history is replayed: a promotion puts a snapshot on top, a rollback takes off what stands on its
-- goal. So each rollback goes one further back, even when the same snapshots were promoted in turns.
CREATE OR REPLACE FUNCTION pkg_rollback(
    p_env              pkg_env,
    p_actor            TEXT,
    p_reason           TEXT,
    p_to_snapshot      INTEGER DEFAULT NULL,
    p_expected_version TEXT    DEFAULT NULL
) RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_old   pkg_snapshots;
    v_new   pkg_snapshots;
    v_row   record;
    v_stack INTEGER[] := '{}';
    v_goal  INTEGER := p_to_snapshot;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('seedcore.pkg_promote.' || p_env, 0));
    SELECT s.* INTO v_old FROM pkg_snapshots AS s WHERE s.env = p_env AND s.is_active FOR NO KEY UPDATE;
    IF p_expected_version <> coalesce(v_old.version, '') THEN
        RAISE EXCEPTION '% serves %, not %', p_env, coalesce(v_old.version, 'nothing'),
                        coalesce(nullif(p_expected_version, ''), 'nothing')
            USING ERRCODE = 'SC409', DETAIL = 'pkg.active_changed',
                  HINT = format('seedcore pkg history --env %s', p_env);
    END IF;
    IF v_goal IS NULL THEN
        FOR v_row IN
            SELECT p.action, p.snapshot_id, p.from_snapshot_id FROM pkg_promotions AS p
            WHERE p.env = p_env AND p.success
            ORDER BY p.id
        LOOP
            -- What was active without a promotion was made so by hand.
            IF v_row.from_snapshot_id <> coalesce(v_stack[cardinality(v_stack)], 0) THEN
                v_stack := v_stack || v_row.from_snapshot_id;
            END IF;
            IF v_row.action = 'rollback' AND v_row.snapshot_id = ANY (v_stack) THEN
                WHILE v_stack[cardinality(v_stack)] <> v_row.snapshot_id LOOP
                    v_stack := trim_array(v_stack, 1);
                END LOOP;
            ELSIF v_row.snapshot_id <> coalesce(v_stack[cardinality(v_stack)], 0) THEN
                v_stack := v_stack || v_row.snapshot_id;
            END IF;
        END LOOP;
        IF v_old.id = v_stack[cardinality(v_stack)] THEN
            v_stack := trim_array(v_stack, 1);
        END IF;
        v_goal := v_stack[cardinality(v_stack)];
        IF v_goal IS NULL THEN
            RAISE EXCEPTION '% has no earlier snapshot to go back to', coalesce(p_env::text, 'null')
                USING ERRCODE = 'SC404', DETAIL = 'pkg.nothing_to_roll_back';
        END IF;
    END IF;
    SELECT s.* INTO v_new FROM pkg_snapshots AS s WHERE s.id = v_goal FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no snapshot %', v_goal
            USING ERRCODE = 'SC404', DETAIL = 'pkg.snapshot_not_found';
    END IF;
    IF v_new.env IS DISTINCT FROM p_env THEN
        RAISE EXCEPTION 'snapshot % is of %, not of %', v_new.version, v_new.env, coalesce(p_env::text, 'null')
            USING ERRCODE = 'SC409', DETAIL = 'pkg.env_mismatch';
    END IF;
    IF v_new.id = v_old.id THEN
        RAISE EXCEPTION '% serves % already', p_env, v_new.version
            USING ERRCODE = 'SC409', DETAIL = 'pkg.already_active';
    END IF;
    UPDATE pkg_snapshots AS s SET is_active = false WHERE s.id = v_old.id;
    UPDATE pkg_snapshots AS s SET is_active = true WHERE s.id = v_new.id;
    INSERT INTO pkg_promotions (snapshot_id, env, from_snapshot_id, from_version, to_version, actor, action,
                                reason, created_at)
    VALUES (v_new.id, p_env, v_old.id, v_old.version, v_new.version,
            coalesce(nullif(p_actor, ''), nullif(current_setting('seedcore.actor', true), ''), current_user::text),
            'rollback', coalesce(p_reason, nullif(current_setting('seedcore.reason', true), '')),
            clock_timestamp());
    RETURN v_new.id;
END
$$;
COMMENT ON FUNCTION pkg_rollback(pkg_env, TEXT, TEXT, INTEGER, TEXT) IS
    'makes the given snapshot, or the one that was active before, the active one of its environment again, without a gate; repeated, it goes further back; returns it';
