CREATE OR REPLACE FUNCTION ocps_update(p_domain TEXT, p_drift DOUBLE PRECISION, p_task_id UUID DEFAULT NULL)
RETURNS TABLE (s_t DOUBLE PRECISION, h DOUBLE PRECISION, escalated BOOLEAN, reached DOUBLE PRECISION)
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_domain    TEXT := coalesce(nullif(p_domain, ''), 'default');
    v_state     ocps_state;
    v_reached   DOUBLE PRECISION;
    v_escalated BOOLEAN;
BEGIN
    -- NaN sorts above infinity, so it is refused too; null is neither.
    IF NOT coalesce(p_drift > '-Infinity' AND p_drift < 'Infinity', false) THEN
        RAISE EXCEPTION 'a drift of % can''t be added', coalesce(p_drift::text, 'null')
            USING ERRCODE = 'SC422', DETAIL = 'ocps.bad_drift';
    END IF;
    LOOP
        SELECT * INTO v_state FROM ocps_state o WHERE o.domain = v_domain FOR NO KEY UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO ocps_state (domain) VALUES (v_domain) ON CONFLICT DO NOTHING;
    END LOOP;
    v_reached := greatest(0, v_state.s_t + p_drift - v_state.nu);
    v_escalated := v_reached > v_state.h;
    RETURN QUERY
    UPDATE ocps_state o
    SET s_t = CASE WHEN v_escalated THEN o.reset_to * o.h ELSE v_reached END,
        fast_count = o.fast_count + (NOT v_escalated)::integer,
        escalated_count = o.escalated_count + v_escalated::integer,
        last_drift = p_drift, last_task_id = p_task_id, updated_at = clock_timestamp()
    WHERE o.domain = v_domain
    RETURNING o.s_t, o.h, v_escalated, v_reached;
END
$$;
COMMENT ON FUNCTION ocps_update(TEXT, DOUBLE PRECISION, UUID) IS
    'adds a drift to the sum of its domain: s = max(0, s + drift - nu); above h it escalates and leaves reset_to * h; reached is the sum before that';

CREATE OR REPLACE FUNCTION ocps_reset(p_domain TEXT) RETURNS VOID
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE ocps_state o SET s_t = 0, updated_at = clock_timestamp()
    WHERE o.domain = coalesce(nullif(p_domain, ''), 'default');
    IF NOT FOUND THEN
        RAISE EXCEPTION 'domain % has no drift state', coalesce(nullif(p_domain, ''), 'default')
            USING ERRCODE = 'SC404', DETAIL = 'ocps.domain_not_found';
    END IF;
END
$$;
COMMENT ON FUNCTION ocps_reset(TEXT) IS 'sets the drift sum of a domain to zero; its counts stay';
