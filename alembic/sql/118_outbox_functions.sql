-- In, claimed, out. Claims pass locked rows by; whatever changes several rows locks them in id order.

CREATE OR REPLACE FUNCTION outbox_enqueue(
    p_task_id      UUID,
    p_event_type   TEXT,
    p_payload      JSONB,
    p_dedupe_key   TEXT        DEFAULT NULL,
    p_available_at TIMESTAMPTZ DEFAULT now()
) RETURNS BIGINT
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_id BIGINT;
BEGIN
    IF p_task_id IS NULL OR coalesce(p_event_type, '') = '' OR p_payload IS NULL THEN
        RAISE EXCEPTION 'an event needs a task, a type and a payload'
            USING ERRCODE = 'SC422', DETAIL = 'outbox.bad_event';
    END IF;
    LOOP
        INSERT INTO task_outbox AS o (task_id, event_type, payload, dedupe_key, available_at)
        VALUES (p_task_id, p_event_type, p_payload, p_dedupe_key, coalesce(p_available_at, now()))
        ON CONFLICT (dedupe_key) DO NOTHING
        RETURNING o.id INTO v_id;
        EXIT WHEN FOUND;
        SELECT o.id INTO v_id FROM task_outbox o WHERE o.dedupe_key = p_dedupe_key;
        EXIT WHEN FOUND;
        -- It was purged between the two statements: the key is free again.
    END LOOP;
    RETURN v_id;
END
$$;
COMMENT ON FUNCTION outbox_enqueue(UUID, TEXT, JSONB, TEXT, TIMESTAMPTZ) IS
    'stores an event in the caller''s transaction; a known key returns its event''s id';

-- The SET clauses keep to the ordered range of an index whatever the statistics say.
CREATE OR REPLACE FUNCTION outbox_claim(
    p_consumer    TEXT,
    p_limit       INTEGER,
    p_lease_s     DOUBLE PRECISION DEFAULT 60,
    p_event_types TEXT[]           DEFAULT NULL
) RETURNS SETOF task_outbox
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_now   TIMESTAMPTZ := clock_timestamp();
    v_left  INTEGER := p_limit;
    v_ids   BIGINT[];
    v_count INTEGER;
BEGIN
    IF coalesce(p_consumer, '') = '' THEN
        RAISE EXCEPTION 'a claim needs a consumer' USING ERRCODE = 'SC422', DETAIL = 'outbox.no_consumer';
    END IF;
    IF p_lease_s IS NULL OR NOT (p_lease_s > 0 AND p_lease_s < 'Infinity') THEN
        RAISE EXCEPTION 'a lease of % s is none', coalesce(p_lease_s::text, 'null')
            USING ERRCODE = 'SC422', DETAIL = 'outbox.bad_lease';
    END IF;
    -- Again, when some of them had to be given up.
    WHILE v_left > 0 LOOP
        IF p_event_types IS NULL THEN
            v_ids := ARRAY(
                SELECT o.id FROM task_outbox o
                WHERE o.delivered_at IS NULL AND o.dead_at IS NULL AND o.available_at <= v_now
                ORDER BY o.available_at, o.id
                LIMIT v_left
                FOR NO KEY UPDATE SKIP LOCKED);
        ELSE
            v_ids := ARRAY(
                SELECT r.id
                FROM (SELECT DISTINCT e.event_type FROM unnest(p_event_types) AS e (event_type)) AS e
                CROSS JOIN LATERAL (
                    SELECT o.id, o.available_at FROM task_outbox o
                    WHERE o.delivered_at IS NULL AND o.dead_at IS NULL
                      AND o.event_type = e.event_type AND o.available_at <= v_now
                    ORDER BY o.available_at
                    LIMIT v_left
                    FOR NO KEY UPDATE SKIP LOCKED) AS r
                ORDER BY r.available_at, r.id
                LIMIT v_left);
        END IF;
        EXIT WHEN cardinality(v_ids) = 0;
        UPDATE task_outbox o
        SET dead_at = v_now, locked_by = NULL, updated_at = v_now,
            last_error = coalesce(o.last_error, 'no consumer answered within its lease')
        WHERE o.id = ANY (v_ids) AND o.attempts >= o.max_attempts;
        RETURN QUERY
        WITH claimed AS (
            UPDATE task_outbox o
            SET attempts = o.attempts + 1, locked_by = p_consumer, updated_at = v_now,
                available_at = v_now + make_interval(secs => p_lease_s)
            WHERE o.id = ANY (v_ids) AND o.dead_at IS NULL
            RETURNING o.*
        )
        SELECT c.* FROM claimed c ORDER BY array_position(v_ids, c.id);
        GET DIAGNOSTICS v_count = ROW_COUNT;
        v_left := v_left - v_count;
    END LOOP;
END
$$;
COMMENT ON FUNCTION outbox_claim(TEXT, INTEGER, DOUBLE PRECISION, TEXT[]) IS
    'leases due events to a consumer, oldest first; those that it never answers return after the lease, those at max_attempts become dead letters instead';

CREATE OR REPLACE FUNCTION outbox_delivered(p_consumer TEXT, p_ids BIGINT[], p_attempts INTEGER[])
RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_now       TIMESTAMPTZ := clock_timestamp();
    v_ids       BIGINT[];
    v_delivered INTEGER;
BEGIN
    IF cardinality(p_ids) IS DISTINCT FROM cardinality(p_attempts) THEN
        RAISE EXCEPTION 'each event needs its attempts'
            USING ERRCODE = 'SC422', DETAIL = 'outbox.bad_batch';
    END IF;
    v_ids := ARRAY(
        SELECT o.id FROM task_outbox o
        JOIN unnest(p_ids, p_attempts) AS u (id, attempts) ON u.id = o.id AND u.attempts = o.attempts
        WHERE o.locked_by = p_consumer AND o.delivered_at IS NULL AND o.dead_at IS NULL
        ORDER BY o.id
        FOR NO KEY UPDATE OF o);
    UPDATE task_outbox o
    SET delivered_at = v_now, locked_by = NULL, updated_at = v_now
    WHERE o.id = ANY (v_ids);
    GET DIAGNOSTICS v_delivered = ROW_COUNT;
    RETURN v_delivered;
END
$$;
COMMENT ON FUNCTION outbox_delivered(TEXT, BIGINT[], INTEGER[]) IS
    'marks events that were handed over durably, unless somebody else has claimed them since; returns how many';

CREATE OR REPLACE FUNCTION outbox_failed(
    p_consumer  TEXT,
    p_id        BIGINT,
    p_attempts  INTEGER,
    p_error     TEXT,
    p_permanent BOOLEAN DEFAULT false
) RETURNS TABLE (dead BOOLEAN, available_at TIMESTAMPTZ)
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_now TIMESTAMPTZ := clock_timestamp();
BEGIN
    RETURN QUERY
    UPDATE task_outbox o
    SET dead_at = CASE WHEN p_permanent OR o.attempts >= o.max_attempts THEN v_now END,
        -- The exponent is capped before the power is taken, so that a large count can't overflow.
        available_at = v_now + make_interval(
            secs => least(5 * 2 ^ least(o.attempts - 1, 16), 900) * (1 + random() / 5)),
        last_error = coalesce(p_error, 'unknown'), locked_by = NULL, updated_at = v_now
    WHERE o.id = p_id AND o.locked_by = p_consumer AND o.attempts = p_attempts
      AND o.delivered_at IS NULL AND o.dead_at IS NULL
    RETURNING o.dead_at IS NOT NULL, o.available_at;
END
$$;
COMMENT ON FUNCTION outbox_failed(TEXT, BIGINT, INTEGER, TEXT, BOOLEAN) IS
    'tries an event again after min(5 * 2^(attempts-1), 900) s plus up to a fifth, or gives it up at max_attempts or when it was refused for good; no row when somebody else has claimed it since';

CREATE OR REPLACE FUNCTION outbox_requeue(p_ids BIGINT[]) RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_now     TIMESTAMPTZ := clock_timestamp();
    v_ids     BIGINT[];
    v_revived INTEGER;
BEGIN
    v_ids := ARRAY(
        SELECT o.id FROM task_outbox o
        WHERE o.id = ANY (p_ids) AND o.dead_at IS NOT NULL
        ORDER BY o.id
        FOR NO KEY UPDATE);
    -- attempts is the token of late answers and must never fall, so there are more of them instead.
    UPDATE task_outbox o
    SET dead_at = NULL, available_at = v_now, max_attempts = o.attempts + 10, updated_at = v_now
    WHERE o.id = ANY (v_ids);
    GET DIAGNOSTICS v_revived = ROW_COUNT;
    IF v_revived > 0 THEN
        PERFORM pg_notify('task_outbox', '');
    END IF;
    RETURN v_revived;
END
$$;
COMMENT ON FUNCTION outbox_requeue(BIGINT[]) IS
    'gives dead letters ten more attempts, from now on; returns how many';

CREATE OR REPLACE FUNCTION outbox_purge(p_older_than INTERVAL, p_limit INTEGER DEFAULT 5000) RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET jit = off AS $$
DECLARE
    v_purged INTEGER;
BEGIN
    IF p_older_than IS NULL OR p_older_than < interval '0' THEN
        RAISE EXCEPTION 'events can''t be delivered for %', coalesce(p_older_than::text, 'null')
            USING ERRCODE = 'SC422', DETAIL = 'outbox.bad_age';
    END IF;
    DELETE FROM task_outbox o
    WHERE o.id = ANY (ARRAY(
        SELECT d.id FROM task_outbox d
        WHERE d.delivered_at < clock_timestamp() - p_older_than
        ORDER BY d.delivered_at
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS v_purged = ROW_COUNT;
    RETURN v_purged;
END
$$;
COMMENT ON FUNCTION outbox_purge(INTERVAL, INTEGER) IS
    'deletes events that were delivered longer ago than that, so many at a time; returns how many';

-- As with tasks: without a relay that waits, a NOTIFY would only cost every committer the lock of the
-- notification queue. The table of those who wait comes with 120.
CREATE OR REPLACE FUNCTION task_outbox_notify() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    IF to_regclass('public.queue_waiters') IS NOT NULL THEN
        IF NOT EXISTS (SELECT FROM queue_waiters w WHERE w.lane = 'outbox') THEN
            RETURN NULL;
        END IF;
    END IF;
    IF seedcore_setting('notify_enabled', 'on') = 'on' THEN
        PERFORM pg_notify('task_outbox', '');
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION task_outbox_notify() IS
    'Trigger function: wakes the relays that wait for events (queue_waiters, lane outbox) on channel task_outbox.';

CREATE OR REPLACE TRIGGER task_outbox_notify
    AFTER INSERT ON task_outbox
    FOR EACH STATEMENT
    EXECUTE FUNCTION task_outbox_notify();
