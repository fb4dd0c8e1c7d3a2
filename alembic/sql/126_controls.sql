-- What people do to lanes. Who waits in front of one is woken when it may give more.

CREATE OR REPLACE FUNCTION queue_hold_lane(p_lane TEXT) RETURNS VOID
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM queue_lanes l WHERE l.lane = p_lane FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no lane "%"', p_lane
            USING ERRCODE = 'SC404', DETAIL = 'queue.lane_not_found',
                  HINT = 'the lanes are queue and graph';
    END IF;
END
$$;
COMMENT ON FUNCTION queue_hold_lane(TEXT) IS 'internal: changes of a lane follow each other; refuses a lane that is not there';

-- Rows that hold nothing back any more go.
CREATE OR REPLACE FUNCTION queue_control_tidy(p_lane TEXT) RETURNS VOID
LANGUAGE sql
SET search_path = public, pg_temp AS $$
    DELETE FROM queue_controls c
    WHERE c.lane = p_lane AND NOT c.paused AND c.rate_per_s IS NULL AND c.concurrency IS NULL
$$;
COMMENT ON FUNCTION queue_control_tidy(TEXT) IS 'internal: deletes controls that say nothing';

DROP FUNCTION IF EXISTS queue_pause(TEXT, TEXT, TEXT);
CREATE OR REPLACE FUNCTION queue_pause(
    p_lane   TEXT,
    p_actor  TEXT,
    p_reason TEXT DEFAULT NULL,
    p_domain TEXT DEFAULT ''
) RETURNS VOID
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM queue_hold_lane(p_lane);
    IF p_domain = '' THEN
        UPDATE queue_lanes
        SET paused = true, reason = p_reason, changed_by = p_actor, changed_at = now()
        WHERE lane = p_lane;
    ELSE
        INSERT INTO queue_controls (lane, domain, paused, reason, changed_by)
        VALUES (p_lane, p_domain, true, p_reason, p_actor)
        ON CONFLICT (lane, domain) DO UPDATE
        SET paused = true, reason = p_reason, changed_by = p_actor, changed_at = now();
    END IF;
END
$$;
COMMENT ON FUNCTION queue_pause(TEXT, TEXT, TEXT, TEXT) IS
    'claims of this lane, or of one domain of it, return nothing from now on; what runs goes on';

DROP FUNCTION IF EXISTS queue_resume(TEXT, TEXT);
CREATE OR REPLACE FUNCTION queue_resume(
    p_lane   TEXT,
    p_actor  TEXT,
    p_domain TEXT DEFAULT ''
) RETURNS VOID
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM queue_hold_lane(p_lane);
    IF p_domain = '' THEN
        UPDATE queue_lanes
        SET paused = false, reason = NULL, changed_by = p_actor, changed_at = now()
        WHERE lane = p_lane;
    ELSE
        UPDATE queue_controls
        SET paused = false, reason = NULL, changed_by = p_actor, changed_at = now()
        WHERE lane = p_lane AND domain = p_domain AND paused;
    END IF;
    PERFORM queue_control_tidy(p_lane);
    PERFORM queue_notify(p_lane);
END
$$;
COMMENT ON FUNCTION queue_resume(TEXT, TEXT, TEXT) IS
    'claims of this lane, or of one domain of it, return tasks again; wakes the waiting workers';

CREATE OR REPLACE FUNCTION queue_limit(
    p_lane        TEXT,
    p_actor       TEXT,
    p_reason      TEXT             DEFAULT NULL,
    p_domain      TEXT             DEFAULT '',
    p_rate_per_s  DOUBLE PRECISION DEFAULT NULL,
    p_burst       DOUBLE PRECISION DEFAULT NULL,
    p_concurrency INTEGER          DEFAULT NULL
) RETURNS VOID
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_burst DOUBLE PRECISION := coalesce(p_burst, greatest(ceil(p_rate_per_s), 1));
BEGIN
    PERFORM queue_hold_lane(p_lane);
    IF p_rate_per_s IS NULL AND p_concurrency IS NULL THEN
        RAISE EXCEPTION 'a limit needs a rate or a number at once'
            USING ERRCODE = 'SC422', DETAIL = 'queue.bad_limit';
    ELSIF p_rate_per_s <= 0 OR p_rate_per_s IN ('NaN', 'Infinity') THEN
        RAISE EXCEPTION 'a rate of % per second lets nothing through', p_rate_per_s
            USING ERRCODE = 'SC422', DETAIL = 'queue.bad_limit',
                  HINT = 'seedcore queue pause holds everything back';
    ELSIF p_concurrency < 1 THEN
        RAISE EXCEPTION '% at once lets nothing through', p_concurrency
            USING ERRCODE = 'SC422', DETAIL = 'queue.bad_limit',
                  HINT = 'seedcore queue pause holds everything back';
    ELSIF p_burst IS NOT NULL AND (p_rate_per_s IS NULL OR p_burst < 1 OR p_burst IN ('NaN', 'Infinity')) THEN
        RAISE EXCEPTION 'a burst is a number of at least 1 and needs a rate'
            USING ERRCODE = 'SC422', DETAIL = 'queue.bad_limit';
    END IF;
    INSERT INTO queue_controls AS c
           (lane, domain, reason, rate_per_s, burst, tokens, filled_at, concurrency, changed_by)
    VALUES (p_lane, p_domain, p_reason, p_rate_per_s,
            CASE WHEN p_rate_per_s IS NOT NULL THEN v_burst END,
            CASE WHEN p_rate_per_s IS NOT NULL THEN v_burst END,
            CASE WHEN p_rate_per_s IS NOT NULL THEN clock_timestamp() END,
            p_concurrency, p_actor)
    ON CONFLICT (lane, domain) DO UPDATE
    SET rate_per_s = coalesce(excluded.rate_per_s, c.rate_per_s),
        burst = coalesce(excluded.burst, c.burst),
        -- What was spent stays spent.
        tokens = CASE WHEN excluded.rate_per_s IS NULL THEN c.tokens
                      ELSE least(coalesce(queue_tokens(c, excluded.filled_at), excluded.burst), excluded.burst) END,
        filled_at = coalesce(excluded.filled_at, c.filled_at),
        concurrency = coalesce(excluded.concurrency, c.concurrency),
        reason = coalesce(excluded.reason, c.reason), changed_by = p_actor, changed_at = now();
    PERFORM queue_notify(p_lane);
END
$$;
COMMENT ON FUNCTION queue_limit(TEXT, TEXT, TEXT, TEXT, DOUBLE PRECISION, DOUBLE PRECISION, INTEGER) IS
    'limits claims of a lane, or of one domain of it: tasks per second, tasks at once; what is null stays as it is';

CREATE OR REPLACE FUNCTION queue_unlimit(
    p_lane   TEXT,
    p_actor  TEXT,
    p_domain TEXT DEFAULT ''
) RETURNS VOID
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM queue_hold_lane(p_lane);
    UPDATE queue_controls
    SET rate_per_s = NULL, burst = NULL, tokens = NULL, filled_at = NULL, concurrency = NULL,
        changed_by = p_actor, changed_at = now()
    WHERE lane = p_lane AND domain = p_domain AND num_nonnulls(rate_per_s, concurrency) > 0;
    IF NOT FOUND THEN
        RAISE EXCEPTION '% has no limit',
            CASE p_domain WHEN '' THEN format('lane %s', p_lane)
                          ELSE format('domain %s of lane %s', p_domain, p_lane) END
            USING ERRCODE = 'SC409', DETAIL = 'queue.not_limited',
                  HINT = 'seedcore queue status shows what has';
    END IF;
    PERFORM queue_control_tidy(p_lane);
    PERFORM queue_notify(p_lane);
END
$$;
COMMENT ON FUNCTION queue_unlimit(TEXT, TEXT, TEXT) IS 'lifts the limits of a lane, or of one domain of it; wakes the waiting workers';

CREATE OR REPLACE FUNCTION queue_fair(p_lane TEXT, p_fair BOOLEAN, p_actor TEXT) RETURNS VOID
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM queue_hold_lane(p_lane);
    UPDATE queue_lanes SET fair = p_fair, changed_by = p_actor, changed_at = now()
    WHERE lane = p_lane AND fair <> p_fair;
    PERFORM queue_notify(p_lane);
END
$$;
COMMENT ON FUNCTION queue_fair(TEXT, BOOLEAN, TEXT) IS 'lets the domains of a lane take turns inside each priority, or claims go by time alone';
