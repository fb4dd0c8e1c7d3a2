-- How many tasks of a lane or a domain may be claimed now. Whoever asks holds the control's row until the
-- transaction ends, so that what is counted and what is spent can't change in between.

-- Counting needs to see what others have committed while this transaction waited.
CREATE OR REPLACE FUNCTION queue_require_fresh_reads() RETURNS VOID
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'limits are counted at isolation level read committed, not %',
            current_setting('transaction_isolation')
            USING ERRCODE = 'SC422', DETAIL = 'queue.isolation',
                  HINT = 'reset default_transaction_isolation for the workers'' role';
    END IF;
END
$$;
COMMENT ON FUNCTION queue_require_fresh_reads() IS 'internal: refuses a transaction whose snapshot is older than its statements';

CREATE OR REPLACE FUNCTION queue_tokens(p_control queue_controls, p_now TIMESTAMPTZ) RETURNS DOUBLE PRECISION
LANGUAGE sql IMMUTABLE AS $$
    SELECT least(p_control.burst,
                 p_control.tokens + p_control.rate_per_s
                     * greatest(date_part('epoch', p_now - p_control.filled_at), 0))
$$;
COMMENT ON FUNCTION queue_tokens(queue_controls, TIMESTAMPTZ) IS 'tokens in a control''s bucket at a time; null without a rate';

CREATE OR REPLACE FUNCTION queue_grant(
    p_lane   TEXT,
    p_domain TEXT,
    p_limit  INTEGER,
    p_picked UUID[] DEFAULT '{}'
) RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
SET jit = off AS $$
DECLARE
    v_control queue_controls;
    v_allowed INTEGER := p_limit;
    v_running INTEGER;
BEGIN
    -- Claims queue up for the lane's row. A domain's row that is taken means that somebody else is
    -- claiming from that domain: others do not wait, so no two can wait for each other.
    IF p_domain = '' THEN
        SELECT * INTO v_control FROM queue_controls c
        WHERE c.lane = p_lane AND c.domain = '' FOR NO KEY UPDATE;
    ELSE
        SELECT * INTO v_control FROM queue_controls c
        WHERE c.lane = p_lane AND c.domain = p_domain FOR NO KEY UPDATE SKIP LOCKED;
    END IF;
    IF NOT FOUND THEN
        RETURN CASE WHEN p_domain <> '' AND EXISTS (SELECT FROM queue_controls c
                                                    WHERE c.lane = p_lane AND c.domain = p_domain)
                    THEN 0 ELSE p_limit END;
    END IF;
    IF v_control.paused THEN
        RETURN 0;
    END IF;
    IF v_control.rate_per_s IS NOT NULL THEN
        v_allowed := least(v_allowed, floor(queue_tokens(v_control, clock_timestamp()))::integer);
    END IF;
    IF v_control.concurrency IS NOT NULL AND v_allowed > 0 THEN
        IF p_domain = '' THEN
            SELECT count(*) INTO v_running
            FROM (SELECT FROM tasks t
                  WHERE t.status = 'running' AND task_lane(t.type) = p_lane
                  LIMIT v_control.concurrency) AS r;
        ELSE
            SELECT count(*) INTO v_running
            FROM (SELECT FROM tasks t
                  WHERE t.status = 'running' AND task_lane(t.type) = p_lane AND t.domain = p_domain
                  LIMIT v_control.concurrency) AS r;
            IF cardinality(p_picked) > 0 THEN
                v_running := v_running + (SELECT count(*) FROM tasks t
                                          WHERE t.id = ANY (p_picked) AND t.domain = p_domain);
            END IF;
        END IF;
        v_allowed := least(v_allowed, v_control.concurrency - v_running);
    END IF;
    RETURN greatest(v_allowed, 0);
END
$$;
COMMENT ON FUNCTION queue_grant(TEXT, TEXT, INTEGER, UUID[]) IS
    'internal: locks a control and returns how many of p_limit tasks may be claimed; picked ones count as running';

CREATE OR REPLACE FUNCTION queue_spend(p_lane TEXT, p_domain TEXT, p_tasks INTEGER) RETURNS VOID
LANGUAGE sql
SET search_path = public, pg_temp AS $$
    UPDATE queue_controls c
    SET tokens = greatest(queue_tokens(c, n.now) - p_tasks, 0), filled_at = n.now
    FROM (SELECT clock_timestamp() AS now) AS n
    WHERE c.lane = p_lane AND c.domain = p_domain AND c.rate_per_s IS NOT NULL AND p_tasks > 0
$$;
COMMENT ON FUNCTION queue_spend(TEXT, TEXT, INTEGER) IS 'internal: takes tokens for tasks that are being claimed, after queue_grant';

CREATE OR REPLACE FUNCTION queue_next_token_s(p_lane TEXT) RETURNS DOUBLE PRECISION
LANGUAGE sql STABLE
SET search_path = public, pg_temp AS $$
    SELECT min((1 - queue_tokens(c, clock_timestamp())) / c.rate_per_s)
    FROM queue_controls c
    WHERE c.lane = p_lane AND c.rate_per_s IS NOT NULL AND NOT c.paused
      AND queue_tokens(c, clock_timestamp()) < 1
      AND EXISTS (SELECT FROM queue_lanes l WHERE l.lane = p_lane AND l.restricted AND NOT l.paused)
$$;
COMMENT ON FUNCTION queue_next_token_s(TEXT) IS
    'seconds until an empty bucket of the lane gives a task again; null when none is empty';
