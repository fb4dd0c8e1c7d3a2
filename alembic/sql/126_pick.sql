-- Claiming from a lane that is restricted: limits are kept, domains take turns.

-- Never over the rows of a domain that has none to give: inside a priority the walk goes from domain to
-- domain, one descent of ix_tasks_claim_domain each, beginning after the one that had the last turn. Without
-- that index, which the commands build, each step sorts the priority's rows: right as well, but slow.
CREATE OR REPLACE FUNCTION tasks_pick_in_turns(
    p_lane    TEXT,
    p_limit   INTEGER,
    p_types   TEXT[],
    p_domains TEXT[],
    p_picked  UUID[]
) RETURNS UUID[]
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_sort = off
SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_now        TIMESTAMPTZ := clock_timestamp();
    v_controlled TEXT[] := ARRAY(SELECT c.domain FROM queue_controls c WHERE c.lane = p_lane AND c.domain <> '');
    v_turn       TEXT := (SELECT t.last_taken FROM queue_turns t WHERE t.lane = p_lane AND t.kind = 'domain');
    v_steps      INTEGER;
    -- The nearest domain at which a priority's walk was broken off.
    v_stop       TEXT;
    v_left       INTEGER := p_limit;
    v_ids        UUID[] := '{}';
    -- Domains of the priority at hand, how many each may give yet, and what each gave last.
    v_domains    TEXT[];
    v_room       INTEGER[];
    v_last_due   TIMESTAMPTZ[];
    v_last_id    UUID[];
    v_at         TEXT;
    v_again      BOOLEAN;
    v_ended      BOOLEAN;
    v_domain     TEXT;
    v_due        TIMESTAMPTZ;
    v_allowed    INTEGER;
    v_open       INTEGER;
    v_share      INTEGER;
    v_next       TEXT;
    v_got        UUID[];
BEGIN
    FOR v_priority IN REVERSE 10..0 LOOP
        v_at := v_turn;
        v_again := v_at IS NULL;
        v_ended := false;
        v_steps := 0;
        -- Domains of which nothing could be had, being of other types or locked, make room for the next ones.
        WHILE NOT v_ended AND v_left > 0 LOOP
            v_domains := '{}';
            v_room := '{}';
            LOOP
                v_steps := v_steps + 1;
                IF v_steps > 500 AND v_at IS NOT NULL THEN
                    -- More domains than one claim can ask: the next one goes on where the first of its
                    -- walks ended, so that no priority leaves any out.
                    IF v_stop IS NULL
                       OR (coalesce(v_at <= v_turn, false), v_at) < (coalesce(v_stop <= v_turn, false), v_stop) THEN
                        v_stop := v_at;
                    END IF;
                    v_ended := true;
                    EXIT;
                END IF;
                EXIT WHEN cardinality(v_domains) >= v_left;
                IF v_at IS NULL THEN
                    SELECT coalesce(q.domain, ''), coalesce(q.run_after, q.created_at) INTO v_domain, v_due
                    FROM tasks q
                    WHERE q.status IN ('queued', 'retry') AND q.concurrency_key IS NULL
                      AND task_lane(q.type) = p_lane AND q.priority = v_priority
                    ORDER BY coalesce(q.domain, ''), coalesce(q.run_after, q.created_at), q.id
                    LIMIT 1;
                ELSE
                    SELECT coalesce(q.domain, ''), coalesce(q.run_after, q.created_at) INTO v_domain, v_due
                    FROM tasks q
                    WHERE q.status IN ('queued', 'retry') AND q.concurrency_key IS NULL
                      AND task_lane(q.type) = p_lane AND q.priority = v_priority
                      AND coalesce(q.domain, '') > v_at
                    ORDER BY coalesce(q.domain, ''), coalesce(q.run_after, q.created_at), q.id
                    LIMIT 1;
                END IF;
                IF NOT FOUND THEN
                    v_ended := v_again;
                    EXIT WHEN v_ended;
                    v_again := true;
                    v_at := NULL;
                    CONTINUE;
                END IF;
                v_ended := v_again AND v_turn IS NOT NULL AND v_domain > v_turn;
                EXIT WHEN v_ended;
                v_at := v_domain;
                CONTINUE WHEN v_due > v_now
                    OR p_domains IS NOT NULL AND (v_domain = '' OR v_domain <> ALL (p_domains));
                v_allowed := v_left;
                IF v_domain = ANY (v_controlled) THEN
                    v_allowed := queue_grant(p_lane, v_domain, v_left, p_picked || v_ids);
                END IF;
                CONTINUE WHEN v_allowed = 0;
                v_domains := v_domains || v_domain;
                v_room := v_room || v_allowed;
            END LOOP;

            v_open := cardinality(v_domains);
            CONTINUE WHEN v_open = 0;
            v_last_due := array_fill('-infinity'::timestamptz, ARRAY[v_open]);
            v_last_id := array_fill('00000000-0000-0000-0000-000000000000'::uuid, ARRAY[v_open]);
            -- Who gets the odd one out goes last next time.
            v_next := v_domains[(v_left - 1) % v_open + 1];
            -- Equal shares; what a domain can't give is shared among the others in the next round.
            WHILE v_left > 0 AND v_open > 0 LOOP
                v_open := (SELECT count(*) FROM unnest(v_room) AS r (room) WHERE r.room > 0);
                FOR i IN 1..cardinality(v_domains) LOOP
                    EXIT WHEN v_left = 0;
                    CONTINUE WHEN v_room[i] = 0;
                    v_share := least(v_room[i], ceil(v_left::float8 / v_open)::integer);
                    v_open := v_open - 1;
                    v_got := ARRAY(
                        SELECT q.id FROM tasks q
                        WHERE q.status IN ('queued', 'retry') AND q.concurrency_key IS NULL
                          AND task_lane(q.type) = p_lane AND q.priority = v_priority
                          AND coalesce(q.domain, '') = v_domains[i]
                          AND (coalesce(q.run_after, q.created_at), q.id) > (v_last_due[i], v_last_id[i])
                          AND coalesce(q.run_after, q.created_at) <= v_now
                          AND (q.expires_at IS NULL OR q.expires_at > v_now)
                          AND (p_types IS NULL OR q.type = ANY (p_types))
                        ORDER BY coalesce(q.run_after, q.created_at), q.id
                        LIMIT v_share
                        FOR NO KEY UPDATE SKIP LOCKED);
                    v_ids := v_ids || v_got;
                    v_left := v_left - cardinality(v_got);
                    IF v_domains[i] = ANY (v_controlled) THEN
                        PERFORM queue_spend(p_lane, v_domains[i], cardinality(v_got));
                    END IF;
                    IF cardinality(v_got) < v_share THEN
                        v_room[i] := 0;
                    ELSE
                        v_room[i] := v_room[i] - v_share;
                        v_last_id[i] := v_got[v_share];
                        v_last_due[i] := (SELECT coalesce(q.run_after, q.created_at) FROM tasks q
                                          WHERE q.id = v_got[v_share]);
                    END IF;
                END LOOP;
                v_open := (SELECT count(*) FROM unnest(v_room) AS r (room) WHERE r.room > 0);
            END LOOP;
        END LOOP;
        EXIT WHEN v_left = 0;
        v_next := NULL;
    END LOOP;
    v_next := coalesce(v_stop, v_next);
    PERFORM queue_turn_taken(p_lane, 'domain', v_next) WHERE v_next IS NOT NULL;
    RETURN v_ids;
END
$$;
COMMENT ON FUNCTION tasks_pick_in_turns(TEXT, INTEGER, TEXT[], TEXT[], UUID[]) IS
    'internal: locks due tasks without a concurrency key, the domains of each priority in turns and within their limits';

CREATE OR REPLACE FUNCTION tasks_pick_in_order(
    p_lane    TEXT,
    p_limit   INTEGER,
    p_types   TEXT[],
    p_domains TEXT[]
) RETURNS UUID[]
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_sort = off
SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_now TIMESTAMPTZ := clock_timestamp();
BEGIN
    -- The lane is a literal, as in the indexes' predicates: a parameter would not match them.
    IF p_lane = 'graph' THEN
        RETURN ARRAY(
            SELECT r.id
            FROM generate_series(10, 0, -1) AS p (priority)
            CROSS JOIN LATERAL (
                SELECT q.id FROM tasks q
                WHERE q.status IN ('queued', 'retry') AND q.type = 'graph'
                  AND q.concurrency_key IS NULL
                  AND q.priority = p.priority
                  AND coalesce(q.run_after, q.created_at) <= v_now
                  AND (q.expires_at IS NULL OR q.expires_at > v_now)
                  AND (p_domains IS NULL OR q.domain = ANY (p_domains))
                ORDER BY coalesce(q.run_after, q.created_at), q.id
                LIMIT p_limit
                FOR NO KEY UPDATE SKIP LOCKED) AS r
            LIMIT p_limit);
    END IF;
    RETURN ARRAY(
        SELECT r.id
        FROM generate_series(10, 0, -1) AS p (priority)
        CROSS JOIN LATERAL (
            SELECT q.id FROM tasks q
            WHERE q.status IN ('queued', 'retry') AND q.type <> 'graph'
              AND q.concurrency_key IS NULL
              AND q.priority = p.priority
              AND coalesce(q.run_after, q.created_at) <= v_now
              AND (q.expires_at IS NULL OR q.expires_at > v_now)
              AND (p_types IS NULL OR q.type = ANY (p_types))
              AND (p_domains IS NULL OR q.domain = ANY (p_domains))
            ORDER BY coalesce(q.run_after, q.created_at), q.id
            LIMIT p_limit
            FOR NO KEY UPDATE SKIP LOCKED) AS r
        LIMIT p_limit);
END
$$;
COMMENT ON FUNCTION tasks_pick_in_order(TEXT, INTEGER, TEXT[], TEXT[]) IS
    'internal: locks due tasks without a concurrency key, most urgent first';

CREATE OR REPLACE FUNCTION tasks_pick_restricted(
    p_lane    TEXT,
    p_limit   INTEGER,
    p_types   TEXT[] DEFAULT NULL,
    p_domains TEXT[] DEFAULT NULL
) RETURNS UUID[]
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
SET jit = off AS $$
DECLARE
    v_limit  INTEGER;
    v_ids    UUID[] := '{}';
    v_keys   BOOLEAN := EXISTS (
        SELECT FROM tasks q
        WHERE q.status IN ('queued', 'retry') AND q.concurrency_key IS NOT NULL
          AND task_lane(q.type) = p_lane);
    -- Those with a key and those without share what the lane grants, so neither may always be first.
    v_keyed_first BOOLEAN := random() < 0.5;
BEGIN
    PERFORM queue_require_fresh_reads();
    v_limit := queue_grant(p_lane, '', p_limit);
    IF v_limit = 0 THEN
        RETURN v_ids;
    END IF;
    IF v_keys AND v_keyed_first THEN
        v_ids := tasks_pick_by_key(p_lane, v_limit, p_types, p_domains, true, '{}');
    END IF;
    IF cardinality(v_ids) = v_limit THEN
        NULL;
    ELSIF EXISTS (SELECT FROM queue_lanes l WHERE l.lane = p_lane AND l.fair)
          OR EXISTS (SELECT FROM queue_controls c WHERE c.lane = p_lane AND c.domain <> '') THEN
        v_ids := v_ids || tasks_pick_in_turns(p_lane, v_limit - cardinality(v_ids), p_types, p_domains, v_ids);
    ELSE
        v_ids := v_ids || tasks_pick_in_order(p_lane, v_limit - cardinality(v_ids), p_types, p_domains);
    END IF;
    IF v_keys AND NOT v_keyed_first AND cardinality(v_ids) < v_limit THEN
        v_ids := v_ids || tasks_pick_by_key(
            p_lane, v_limit - cardinality(v_ids), p_types, p_domains, true, v_ids);
    END IF;
    PERFORM queue_spend(p_lane, '', cardinality(v_ids));
    RETURN v_ids;
END
$$;
COMMENT ON FUNCTION tasks_pick_restricted(TEXT, INTEGER, TEXT[], TEXT[]) IS
    'internal, once per claim of a restricted lane: locks what its controls allow, with and without concurrency keys';
