-- Which vectors of tasks are due, and who works at them.

CREATE OR REPLACE FUNCTION embedding_enqueue(
    p_task_id UUID,
    p_space   TEXT DEFAULT '1024',
    p_label   TEXT DEFAULT 'task.primary'
) RETURNS BOOLEAN
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_sha256 TEXT;
BEGIN
    IF coalesce(p_space, '') NOT IN ('128', '1024', 'multimodal') THEN
        RAISE EXCEPTION 'there is no space "%": 128, 1024 or multimodal', p_space
            USING ERRCODE = 'SC422', DETAIL = 'embed.bad_space';
    END IF;
    SELECT embedding_content_sha256(p_space, t.description, t.type, t.params) INTO v_sha256
    FROM tasks AS t WHERE t.id = p_task_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no task %', p_task_id USING ERRCODE = 'SC404', DETAIL = 'task.not_found';
    END IF;
    -- A row that someone works at stays with him; one that waits for its next try is tried at once.
    INSERT INTO task_embedding_status AS s (task_id, space, label)
    VALUES (p_task_id, p_space, p_label)
    ON CONFLICT (task_id, space, label) DO UPDATE
    SET state = 'pending', attempts = 0, locked_by = NULL, last_error = NULL, next_try_at = now()
    WHERE s.state <> 'running'
      AND NOT (s.state IN ('done', 'skipped') AND s.content_sha256 IS NOT DISTINCT FROM v_sha256);
    RETURN EXISTS (SELECT FROM task_embedding_status AS s
                   WHERE s.task_id = p_task_id AND s.space = p_space AND s.label = p_label
                     AND s.state IN ('pending', 'running'));
END
$$;
COMMENT ON FUNCTION embedding_enqueue(UUID, TEXT, TEXT) IS
    'makes the vector of a task due unless the one of its present text is done; tells whether it is due now';

CREATE OR REPLACE FUNCTION embedding_enqueue_missing(p_space TEXT, p_limit INTEGER DEFAULT 250) RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    v_missing UUID[];
    v_stale   UUID[] := '{}';
    v_left    INTEGER;
    v_done    INTEGER;
BEGIN
    IF coalesce(p_space, '') NOT IN ('128', '1024', 'multimodal') THEN
        RAISE EXCEPTION 'there is no space "%": 128, 1024 or multimodal', p_space
            USING ERRCODE = 'SC422', DETAIL = 'embed.bad_space';
    END IF;
    -- Due, under way or given up: not again by itself.
    v_missing := ARRAY(
        SELECT m.task_id FROM (
            SELECT g.task_id FROM tasks_missing_embeddings_128 AS g WHERE p_space = '128'
            UNION ALL
            SELECT g.task_id FROM tasks_missing_embeddings_1024 AS g WHERE p_space = '1024'
            UNION ALL
            SELECT t.id FROM tasks AS t
            WHERE p_space = 'multimodal' AND t.params ? 'multimodal'
              AND task_multimodal_text(t.params) IS NOT NULL
              AND NOT EXISTS (SELECT FROM task_multimodal_embeddings AS e WHERE e.task_id = t.id)) AS m
        WHERE NOT EXISTS (
            SELECT FROM task_embedding_status AS s
            WHERE s.task_id = m.task_id AND s.space = p_space AND s.label = 'task.primary'
              AND s.state IN ('pending', 'running', 'failed', 'skipped'))
        LIMIT p_limit);
    v_left := p_limit - cardinality(v_missing);
    IF v_left > 0 THEN
        v_stale := ARRAY(
            SELECT m.task_id FROM (
                SELECT g.task_id, g.current_sha256 FROM task_embeddings_stale_128 AS g WHERE p_space = '128'
                UNION ALL
                SELECT g.task_id, g.current_sha256 FROM task_embeddings_stale_1024 AS g WHERE p_space = '1024'
                UNION ALL
                -- Given up, or nothing to embed, and another text now; and what no table keeps the hash of.
                SELECT s.task_id, h.sha256 FROM task_embedding_status AS s
                JOIN tasks AS t ON t.id = s.task_id
                CROSS JOIN LATERAL (SELECT embedding_content_sha256(
                    p_space, t.description, t.type, t.params) AS sha256) AS h
                WHERE s.space = p_space AND s.label = 'task.primary'
                  AND (s.state IN ('failed', 'skipped') OR s.state = 'done' AND p_space = 'multimodal')
                  AND s.content_sha256 IS DISTINCT FROM h.sha256
                  AND (p_space <> 'multimodal' OR task_multimodal_text(t.params) IS NOT NULL)) AS m
            WHERE NOT EXISTS (
                SELECT FROM task_embedding_status AS s
                WHERE s.task_id = m.task_id AND s.space = p_space AND s.label = 'task.primary'
                  AND (s.state IN ('pending', 'running')
                       OR s.state IN ('failed', 'skipped') AND s.content_sha256 = m.current_sha256))
            LIMIT v_left);
    END IF;
    INSERT INTO task_embedding_status AS s (task_id, space)
    SELECT DISTINCT w.id, p_space FROM unnest(v_missing || v_stale) AS w (id) ORDER BY w.id
    ON CONFLICT (task_id, space, label) DO UPDATE
    SET state = 'pending', attempts = 0, locked_by = NULL, last_error = NULL, next_try_at = now()
    WHERE s.state NOT IN ('pending', 'running');
    GET DIAGNOSTICS v_done = ROW_COUNT;
    RETURN v_done;
END
$$;
COMMENT ON FUNCTION embedding_enqueue_missing(TEXT, INTEGER) IS
    'makes missing vectors of tasks due, then stale ones, so many at most; returns how many';

CREATE OR REPLACE FUNCTION embedding_claim(
    p_space   TEXT,
    p_owner   TEXT,
    p_limit   INTEGER,
    p_lease_s DOUBLE PRECISION DEFAULT 600
) RETURNS TABLE (task_id UUID, label TEXT, content TEXT, content_sha256 TEXT)
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
BEGIN
    IF coalesce(p_owner, '') = '' THEN
        RAISE EXCEPTION 'a claim needs an owner' USING ERRCODE = 'SC422', DETAIL = 'embed.owner_required';
    END IF;
    RETURN QUERY
    WITH due AS (
        SELECT s.task_id, s.label, s.attempts
        FROM task_embedding_status AS s
        WHERE s.space = p_space AND s.state IN ('pending', 'running') AND s.next_try_at <= now()
        ORDER BY s.next_try_at
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    ), given_up AS (
        -- Whoever had it died of it five times.
        UPDATE task_embedding_status AS s
        SET state = 'failed', locked_by = NULL, last_error = coalesce(s.last_error, 'lease_expired')
        FROM due AS d
        WHERE s.task_id = d.task_id AND s.space = p_space AND s.label = d.label AND d.attempts >= 5
    ), taken AS (
        UPDATE task_embedding_status AS s
        SET state = 'running', attempts = s.attempts + 1, locked_by = p_owner,
            next_try_at = now() + p_lease_s * interval '1 second',
            content_sha256 = encode(sha256(convert_to(c.content, 'UTF8')), 'hex')
        FROM due AS d
        JOIN tasks AS t ON t.id = d.task_id
        CROSS JOIN LATERAL (
            SELECT embedding_content(p_space, t.description, t.type, t.params) AS content) AS c
        WHERE s.task_id = d.task_id AND s.space = p_space AND s.label = d.label AND d.attempts < 5
        RETURNING s.task_id, s.label, c.content, s.content_sha256
    )
    SELECT k.task_id, k.label, k.content, k.content_sha256 FROM taken AS k;
END
$$;
COMMENT ON FUNCTION embedding_claim(TEXT, TEXT, INTEGER, DOUBLE PRECISION) IS
    'hands an owner due vectors for the time of a lease, with the text to embed and its hash; no two owners get the same';

CREATE OR REPLACE FUNCTION embedding_finish(
    p_task_id UUID,
    p_space   TEXT,
    p_label   TEXT,
    p_owner   TEXT,
    p_state   TEXT,
    p_sha256  TEXT DEFAULT NULL,
    p_error   TEXT DEFAULT NULL,
    p_model   TEXT DEFAULT NULL
) RETURNS BOOLEAN
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    IF coalesce(p_state, '') NOT IN ('done', 'failed', 'skipped') THEN
        RAISE EXCEPTION 'a vector ends done, failed or skipped, not "%"', p_state
            USING ERRCODE = 'SC422', DETAIL = 'embed.bad_state';
    END IF;
    UPDATE task_embedding_status AS s
    SET state = CASE WHEN p_state = 'failed' AND s.attempts < 5 THEN 'pending' ELSE p_state END,
        next_try_at = CASE WHEN p_state = 'failed' AND s.attempts < 5
                           THEN now() + least(30 * 2 ^ (s.attempts - 1), 3600) * interval '1 second'
                           ELSE s.next_try_at END,
        content_sha256 = coalesce(p_sha256, s.content_sha256),
        model = coalesce(p_model, s.model),
        last_error = CASE WHEN p_state = 'failed' THEN p_error END,
        locked_by = NULL
    WHERE s.task_id = p_task_id AND s.space = p_space AND s.label = p_label
      AND s.state = 'running' AND s.locked_by = p_owner;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION embedding_finish(UUID, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT) IS
    'ends the work at a vector; false when the owner has it no more. Failures are tried again later, five times in all';
