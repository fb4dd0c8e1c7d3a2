-- Claiming tasks that have a concurrency key: a few per key, whatever waits behind them.

CREATE OR REPLACE FUNCTION queue_turn_taken(p_lane TEXT, p_kind TEXT, p_last TEXT) RETURNS VOID
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    -- A hint where to begin: nobody waits to write it.
    PERFORM FROM queue_turns t WHERE t.lane = p_lane AND t.kind = p_kind FOR NO KEY UPDATE SKIP LOCKED;
    IF FOUND THEN
        UPDATE queue_turns t SET last_taken = p_last WHERE t.lane = p_lane AND t.kind = p_kind;
    ELSIF NOT EXISTS (SELECT FROM queue_turns t WHERE t.lane = p_lane AND t.kind = p_kind)
          -- Whoever else inserts the same row would be waited for.
          AND pg_try_advisory_xact_lock(hashtextextended('seedcore.turn:' || p_lane || p_kind, 0)) THEN
        INSERT INTO queue_turns (lane, kind, last_taken) VALUES (p_lane, p_kind, p_last)
        ON CONFLICT DO NOTHING;
    END IF;
END
$$;
COMMENT ON FUNCTION queue_turn_taken(TEXT, TEXT, TEXT) IS 'internal: remembers which domain or key of a lane had the last turn';

-- The walk goes from key to key, one index descent each, never over the rows of one key. A window of keys
-- is looked at, beginning where the last walk ended; of those the most urgent are taken. What a key's
-- first due task needs decides for the key: it is not passed by.
--
-- Only who holds a key's advisory lock may make its tasks run, and holds it until that is committed: so
-- the number of running ones that it counts can only fall until then.
CREATE OR REPLACE FUNCTION tasks_pick_by_key(
    p_lane       TEXT,
    p_limit      INTEGER,
    p_types      TEXT[],
    p_domains    TEXT[],
    p_restricted BOOLEAN,
    p_picked     UUID[]
) RETURNS UUID[]
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_sort = on
SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_now    TIMESTAMPTZ := clock_timestamp();
    v_window INTEGER := greatest(p_limit, 50);
    v_steps  INTEGER := 0;
    v_turn   TEXT := (SELECT t.last_taken FROM queue_turns t WHERE t.lane = p_lane AND t.kind = 'key');
    v_at     TEXT := v_turn;
    -- Whether the walk has gone on from the first key again.
    v_again  BOOLEAN := v_at IS NULL;
    v_heads  UUID[] := '{}';
    v_head   tasks;
    v_next   tasks;
    v_row    record;
    v_ids    UUID[] := '{}';
    v_count  INTEGER;
    v_least  INTEGER;
    v_take   INTEGER;
    v_taken  INTEGER;
BEGIN
    PERFORM queue_require_fresh_reads();
    LOOP
        v_steps := v_steps + 1;
        IF (v_steps > 1000 OR cardinality(v_heads) >= v_window) AND v_at IS NOT NULL THEN
            PERFORM queue_turn_taken(p_lane, 'key', v_at);
            EXIT;
        END IF;
        IF v_at IS NULL THEN
            SELECT q.* INTO v_head FROM tasks q
            WHERE q.status IN ('queued', 'retry') AND q.concurrency_key IS NOT NULL
              AND task_lane(q.type) = p_lane
              AND (q.expires_at IS NULL OR q.expires_at > v_now)
            ORDER BY q.concurrency_key, q.priority DESC, coalesce(q.run_after, q.created_at), q.id
            LIMIT 1;
        ELSE
            SELECT q.* INTO v_head FROM tasks q
            WHERE q.status IN ('queued', 'retry') AND q.concurrency_key IS NOT NULL
              AND task_lane(q.type) = p_lane
              AND q.concurrency_key > v_at
              AND (q.expires_at IS NULL OR q.expires_at > v_now)
            ORDER BY q.concurrency_key, q.priority DESC, coalesce(q.run_after, q.created_at), q.id
            LIMIT 1;
        END IF;
        IF NOT FOUND THEN
            EXIT WHEN v_again;
            v_again := true;
            v_at := NULL;
            CONTINUE;
        END IF;
        EXIT WHEN v_again AND v_head.concurrency_key > v_turn;
        v_at := v_head.concurrency_key;
        WHILE coalesce(v_head.run_after, v_head.created_at) > v_now LOOP
            SELECT q.* INTO v_next FROM tasks q
            WHERE q.status IN ('queued', 'retry') AND q.concurrency_key IS NOT NULL
              AND task_lane(q.type) = p_lane
              AND q.concurrency_key = v_at AND q.priority < v_head.priority
              AND (q.expires_at IS NULL OR q.expires_at > v_now)
            ORDER BY q.priority DESC, coalesce(q.run_after, q.created_at), q.id
            LIMIT 1;
            v_head := v_next;
            EXIT WHEN NOT FOUND;
        END LOOP;
        CONTINUE WHEN v_head.id IS NULL
            OR p_types IS NOT NULL AND v_head.type <> ALL (p_types)
            OR p_domains IS NOT NULL AND coalesce(v_head.domain <> ALL (p_domains), true);
        SELECT u.running, u.least_limit INTO v_count, v_least FROM task_key_use(v_at) AS u;
        IF v_count < least(v_least, coalesce(v_head.concurrency_limit, 1)) THEN
            v_heads := v_heads || v_head.id;
        END IF;
    END LOOP;

    FOR v_head IN
        SELECT q.* FROM tasks q WHERE q.id = ANY (v_heads)
        ORDER BY q.priority DESC, coalesce(q.run_after, q.created_at), q.id
    LOOP
        -- Each key costs an entry in the server's lock table.
        EXIT WHEN cardinality(v_ids) >= least(p_limit, 1000);
        CONTINUE WHEN NOT pg_try_advisory_xact_lock(
            hashtextextended('seedcore.key:' || v_head.concurrency_key, 0));
        SELECT u.running, u.least_limit INTO v_count, v_least FROM task_key_use(v_head.concurrency_key) AS u;
        v_least := least(v_least, coalesce(v_head.concurrency_limit, 1));
        v_take := least(v_least - v_count, p_limit - cardinality(v_ids));
        IF p_restricted AND v_take > 0 AND v_head.domain <> '' THEN
            v_take := queue_grant(p_lane, v_head.domain, v_take, p_picked || v_ids);
        END IF;
        CONTINUE WHEN v_take <= 0;
        v_taken := 0;
        FOR v_row IN
            SELECT r.id, r.type, r.domain, r.at_once
            FROM generate_series(v_head.priority, 0, -1) AS p (priority)
            CROSS JOIN LATERAL (
                SELECT q.id, q.type, q.domain, coalesce(q.concurrency_limit, 1) AS at_once FROM tasks q
                WHERE q.status IN ('queued', 'retry') AND q.concurrency_key IS NOT NULL
                  AND task_lane(q.type) = p_lane
                  AND q.concurrency_key = v_head.concurrency_key AND q.priority = p.priority
                  AND coalesce(q.run_after, q.created_at) <= v_now
                  AND (q.expires_at IS NULL OR q.expires_at > v_now)
                ORDER BY coalesce(q.run_after, q.created_at), q.id
                LIMIT v_take
                FOR NO KEY UPDATE SKIP LOCKED) AS r
            LIMIT v_take
        LOOP
            v_least := least(v_least, v_row.at_once);
            EXIT WHEN v_count + v_taken >= v_least
                OR p_types IS NOT NULL AND v_row.type <> ALL (p_types)
                -- The grant is for the first one's domain.
                OR (p_restricted OR p_domains IS NOT NULL) AND v_row.domain IS DISTINCT FROM v_head.domain;
            v_ids := v_ids || v_row.id;
            v_taken := v_taken + 1;
        END LOOP;
        IF p_restricted AND v_head.domain <> '' THEN
            PERFORM queue_spend(p_lane, v_head.domain, v_taken);
        END IF;
    END LOOP;
    RETURN v_ids;
END
$$;
COMMENT ON FUNCTION tasks_pick_by_key(TEXT, INTEGER, TEXT[], TEXT[], BOOLEAN, UUID[]) IS
    'internal: locks due tasks that have a concurrency key, never more of one key than may run beside those that do';

CREATE OR REPLACE FUNCTION tasks_pick_keyed(
    p_lane    TEXT,
    p_limit   INTEGER,
    p_types   TEXT[] DEFAULT NULL,
    p_domains TEXT[] DEFAULT NULL,
    p_unkeyed UUID[] DEFAULT '{}'
) RETURNS UUID[]
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = on
SET jit = off AS $$
DECLARE
    v_ids UUID[] := p_unkeyed || tasks_pick_by_key(p_lane, p_limit, p_types, p_domains, false, '{}');
BEGIN
    IF cardinality(v_ids) <= p_limit THEN
        RETURN v_ids;
    END IF;
    -- The locks of those that are left out end with this transaction.
    RETURN ARRAY(SELECT q.id FROM tasks q WHERE q.id = ANY (v_ids)
                 ORDER BY q.priority DESC, coalesce(q.run_after, q.created_at), q.id
                 LIMIT p_limit);
END
$$;
COMMENT ON FUNCTION tasks_pick_keyed(TEXT, INTEGER, TEXT[], TEXT[], UUID[]) IS
    'internal, once per claim: locks due tasks with a concurrency key and returns the p_limit most urgent of them and p_unkeyed';
