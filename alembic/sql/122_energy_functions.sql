-- Every change of a balance holds its row, so that the entries of a scope follow each other.

CREATE OR REPLACE FUNCTION energy_append(
    p_tx_id     TEXT,
    p_scope     TEXT,
    p_scope_id  TEXT,
    p_delta_e   DOUBLE PRECISION,
    p_cost      DOUBLE PRECISION DEFAULT 0,
    p_step_id   TEXT             DEFAULT NULL,
    p_breakdown JSONB            DEFAULT '{}',
    p_meta      JSONB            DEFAULT '{}'
) RETURNS TABLE (applied BOOLEAN, balance_after DOUBLE PRECISION)
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_scope_id TEXT := coalesce(nullif(p_scope_id, ''), '-');
    v_balance  DOUBLE PRECISION;
BEGIN
    IF coalesce(p_tx_id, '') = '' OR coalesce(p_scope, '') = '' THEN
        RAISE EXCEPTION 'an entry needs an id and a scope'
            USING ERRCODE = 'SC422', DETAIL = 'energy.bad_entry';
    END IF;
    -- NaN sorts above infinity, so it is refused too; null is neither.
    IF NOT coalesce(p_delta_e > '-Infinity' AND p_delta_e < 'Infinity'
                    AND p_cost >= 0 AND p_cost < 'Infinity', false) THEN
        RAISE EXCEPTION 'a change of % at a cost of % can''t be booked',
            coalesce(p_delta_e::text, 'null'), coalesce(p_cost::text, 'null')
            USING ERRCODE = 'SC422', DETAIL = 'energy.bad_entry',
                  HINT = 'both must be finite, and the cost not negative';
    END IF;
    RETURN QUERY SELECT false, t.balance_after FROM energy_tx t WHERE t.tx_id = p_tx_id;
    IF FOUND THEN
        RETURN;
    END IF;
    INSERT INTO energy_balance (scope, scope_id) VALUES (p_scope, v_scope_id) ON CONFLICT DO NOTHING;
    SELECT b.balance INTO v_balance FROM energy_balance b
    WHERE b.scope = p_scope AND b.scope_id = v_scope_id
    FOR NO KEY UPDATE;
    -- In one sum, so that adding the entries up in their order gives the same number to the last bit.
    v_balance := v_balance - (p_delta_e + p_cost);
    INSERT INTO energy_tx (tx_id, ts, scope, scope_id, step_id, delta_e, cost, balance_after,
                           breakdown, meta)
    VALUES (p_tx_id, clock_timestamp(), p_scope, v_scope_id, p_step_id, p_delta_e, p_cost, v_balance,
            coalesce(p_breakdown, '{}'), coalesce(p_meta, '{}'))
    ON CONFLICT (tx_id) DO NOTHING;
    IF NOT FOUND THEN
        RETURN QUERY SELECT false, t.balance_after FROM energy_tx t WHERE t.tx_id = p_tx_id;
        RETURN;
    END IF;
    UPDATE energy_balance b
    SET balance = v_balance, tx_count = b.tx_count + 1, last_tx_id = p_tx_id,
        updated_at = clock_timestamp()
    WHERE b.scope = p_scope AND b.scope_id = v_scope_id;
    RETURN QUERY SELECT true, v_balance;
END
$$;
COMMENT ON FUNCTION energy_append(TEXT, TEXT, TEXT, DOUBLE PRECISION, DOUBLE PRECISION, TEXT, JSONB, JSONB) IS
    'books a change: balance after = before - delta_e - cost; a known id changes nothing and returns the balance after its entry';

CREATE OR REPLACE FUNCTION energy_reset(p_scope TEXT, p_scope_id TEXT, p_tx_id TEXT, p_actor TEXT)
RETURNS DOUBLE PRECISION
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_balance DOUBLE PRECISION;
    v_applied BOOLEAN;
BEGIN
    SELECT b.balance INTO v_balance FROM energy_balance b
    WHERE b.scope = p_scope AND b.scope_id = coalesce(nullif(p_scope_id, ''), '-')
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'nothing was ever booked on % %', p_scope, p_scope_id
            USING ERRCODE = 'SC404', DETAIL = 'energy.scope_not_found';
    END IF;
    SELECT a.applied INTO v_applied
    FROM energy_append(p_tx_id, p_scope, p_scope_id, v_balance,
                       p_meta => jsonb_build_object('kind', 'reset', 'actor', p_actor)) AS a;
    IF NOT v_applied THEN
        v_balance := (SELECT t.delta_e FROM energy_tx t WHERE t.tx_id = p_tx_id);
    END IF;
    RETURN v_balance;
END
$$;
COMMENT ON FUNCTION energy_reset(TEXT, TEXT, TEXT, TEXT) IS
    'books an entry that takes a balance to zero; returns what it took off';

CREATE OR REPLACE FUNCTION energy_rebuild(p_scope TEXT DEFAULT NULL) RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_changed INTEGER;
BEGIN
    -- Bookings wait until it is done; readers do not.
    LOCK TABLE energy_balance IN SHARE ROW EXCLUSIVE MODE;
    WITH summed AS (
        SELECT k.scope, k.scope_id,
               coalesce(-sum(t.delta_e + t.cost ORDER BY t.seq), 0) AS balance,
               count(t.tx_id) AS tx_count,
               (array_agg(t.tx_id ORDER BY t.seq DESC) FILTER (WHERE t.tx_id IS NOT NULL))[1] AS last_tx_id
        FROM (SELECT b.scope, b.scope_id FROM energy_balance b
              UNION SELECT t.scope, t.scope_id FROM energy_tx t) AS k
        LEFT JOIN energy_tx t ON t.scope = k.scope AND t.scope_id = k.scope_id
        WHERE p_scope IS NULL OR k.scope = p_scope
        GROUP BY k.scope, k.scope_id
    )
    INSERT INTO energy_balance AS b (scope, scope_id, balance, tx_count, last_tx_id)
    SELECT s.scope, s.scope_id, s.balance, s.tx_count, s.last_tx_id FROM summed s
    ON CONFLICT (scope, scope_id) DO UPDATE
        SET balance = excluded.balance, tx_count = excluded.tx_count,
            last_tx_id = excluded.last_tx_id, updated_at = clock_timestamp()
        WHERE (b.balance, b.tx_count, b.last_tx_id)
              IS DISTINCT FROM (excluded.balance, excluded.tx_count, excluded.last_tx_id);
    GET DIAGNOSTICS v_changed = ROW_COUNT;
    RETURN v_changed;
END
$$;
COMMENT ON FUNCTION energy_rebuild(TEXT) IS
    'recomputes the balances of one scope or of all from the ledger; returns how many were wrong';
