-- Dependencies: what happens to the tasks that wait for others.

-- The caller holds the rows' locks, taken by an earlier statement, so the snapshot of this one sees
-- every dependency that ended before. Of two transactions that end the last two dependencies of a task,
-- the later one waits for the lock and then sees both.
CREATE OR REPLACE FUNCTION tasks_settle_waiting(p_ids UUID[], p_audit BOOLEAN DEFAULT false)
RETURNS SETOF UUID
LANGUAGE plpgsql
SET search_path = public, pg_temp, seedcore_engine
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_nestloop = on
SET jit = off AS $$
DECLARE
    v_now   TIMESTAMPTZ := clock_timestamp();
    v_level TEXT := seedcore_setting('task_event_level', 'terminal');
    v_lane  TEXT;
BEGIN
    RETURN QUERY
    WITH doomed AS (
        SELECT DISTINCT ON (e.src_task_id) e.src_task_id AS id, e.dst_task_id AS culprit, d.status
        FROM task_depends_on_task e
        JOIN tasks d ON d.id = e.dst_task_id
        WHERE e.src_task_id = ANY (p_ids) AND e.required AND d.status IN ('failed', 'cancelled')
        ORDER BY e.src_task_id, d.finished_at, e.dst_task_id
    ), cancelled AS (
        UPDATE tasks t
        SET status = 'cancelled', auto_release = false, finished_at = v_now, updated_at = v_now,
            error = format('dependency_failed: task %s is %s', x.culprit, x.status)
        FROM doomed x
        WHERE t.id = x.id
        RETURNING t.id, t.attempts, t.error
    ), audited AS (
        INSERT INTO task_events (task_id, from_status, to_status, attempts, actor, reason)
        SELECT c.id, 'created', 'cancelled', c.attempts, task_actor(), c.error
        FROM cancelled c
        WHERE p_audit OR v_level <> 'none'
    )
    SELECT c.id FROM cancelled c;

    FOR v_lane IN
        WITH ready AS (
            SELECT t.id
            FROM tasks t
            WHERE t.id = ANY (p_ids) AND t.status = 'created' AND t.auto_release
              AND NOT EXISTS (
                  SELECT FROM task_depends_on_task e
                  JOIN tasks d ON d.id = e.dst_task_id
                  WHERE e.src_task_id = t.id
                    AND CASE WHEN e.required THEN d.status <> 'completed'
                             ELSE d.status NOT IN ('completed', 'failed', 'cancelled') END)
        ), queued AS (
            UPDATE tasks t
            SET status = 'queued', auto_release = false, updated_at = v_now
            FROM ready r
            WHERE t.id = r.id
            RETURNING t.id, t.type, t.attempts
        ), audited AS (
            INSERT INTO task_events (task_id, from_status, to_status, attempts, actor, reason)
            SELECT q.id, 'created', 'queued', q.attempts, task_actor(),
                   CASE WHEN p_audit THEN task_reason() ELSE 'dependencies ended' END
            FROM queued q
            WHERE p_audit OR v_level = 'all'
        )
        SELECT DISTINCT task_lane(q.type) FROM queued q
    LOOP
        PERFORM queue_notify(v_lane);
    END LOOP;
END
$$;
COMMENT ON FUNCTION tasks_settle_waiting(UUID[], BOOLEAN) IS
    'internal: queues or cancels locked waiting tasks as their dependencies say; returns the cancelled ones';

CREATE OR REPLACE FUNCTION tasks_release_dependants(p_ended UUID[]) RETURNS VOID
LANGUAGE plpgsql
SET search_path = public, pg_temp, seedcore_engine
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_nestloop = on
SET jit = off AS $$
DECLARE
    v_ended   UUID[] := p_ended;
    v_waiting UUID[];
BEGIN
    -- One turn per generation: what is cancelled has dependants of its own.
    WHILE cardinality(v_ended) > 0 LOOP
        v_waiting := ARRAY(
            SELECT t.id
            FROM tasks t
            WHERE t.id = ANY (ARRAY(
                      SELECT e.src_task_id FROM task_depends_on_task e
                      WHERE e.dst_task_id = ANY (v_ended)))
              AND t.status = 'created' AND t.auto_release
            ORDER BY t.id
            FOR NO KEY UPDATE);
        EXIT WHEN cardinality(v_waiting) = 0;
        v_ended := ARRAY(SELECT tasks_settle_waiting(v_waiting));
    END LOOP;
END
$$;
COMMENT ON FUNCTION tasks_release_dependants(UUID[]) IS 'internal: queues or cancels what waited for these ended tasks, and so on down';

-- Whoever ends a dependency looks for its waiting dependants. A task that is about to become one is not
-- yet seen as such, so the dependency must not end before the change is committed.
CREATE OR REPLACE FUNCTION tasks_hold_dependencies(p_ids UUID[]) RETURNS VOID
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off AS $$
BEGIN
    PERFORM FROM tasks d
    WHERE d.id = ANY (ARRAY(SELECT e.dst_task_id FROM task_depends_on_task e
                            WHERE e.src_task_id = ANY (p_ids) AND e.dst_task_id <> ALL (p_ids)))
    ORDER BY d.id
    FOR SHARE;
END
$$;
COMMENT ON FUNCTION tasks_hold_dependencies(UUID[]) IS 'internal: keeps the dependencies of these tasks from ending until this transaction does';

CREATE OR REPLACE FUNCTION task_add_dependency(p_src UUID, p_dst UUID, p_required BOOLEAN DEFAULT true)
RETURNS BOOLEAN
LANGUAGE plpgsql
SET search_path = public, pg_temp, seedcore_engine AS $$
DECLARE
    v_src tasks;
    v_dst tasks;
BEGIN
    IF p_src = p_dst THEN
        RAISE EXCEPTION 'task % can''t wait for itself', p_src
            USING ERRCODE = 'SC422', DETAIL = 'task.cycle';
    END IF;
    -- Two edges that close a cycle together must not be checked side by side.
    PERFORM pg_advisory_xact_lock(hashtextextended('seedcore.task_dependencies', 0));
    -- The dependency first: whoever ends it locks it first and its dependants after.
    SELECT * INTO v_dst FROM tasks WHERE id = p_dst FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no task %', p_dst USING ERRCODE = 'SC404', DETAIL = 'task.not_found';
    END IF;
    SELECT * INTO v_src FROM tasks WHERE id = p_src FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no task %', p_src USING ERRCODE = 'SC404', DETAIL = 'task.not_found';
    END IF;
    IF v_src.status <> 'created' THEN
        RAISE EXCEPTION 'task % is %, and only a task that is held or waiting can get a dependency',
            p_src, v_src.status USING ERRCODE = 'SC409', DETAIL = 'task.not_waiting';
    END IF;
    IF EXISTS (
        WITH RECURSIVE upstream (id) AS (
            SELECT p_dst
            UNION
            SELECT e.dst_task_id FROM upstream u
            JOIN task_depends_on_task e ON e.src_task_id = u.id
        )
        SELECT FROM upstream WHERE id = p_src
    ) THEN
        RAISE EXCEPTION 'task % already waits for task %, so this would be a cycle', p_dst, p_src
            USING ERRCODE = 'SC409', DETAIL = 'task.cycle';
    END IF;
    INSERT INTO task_depends_on_task (src_task_id, dst_task_id, required)
    VALUES (p_src, p_dst, p_required)
    ON CONFLICT (src_task_id, dst_task_id) DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF v_src.auto_release THEN
        PERFORM tasks_release_dependants(ARRAY(SELECT tasks_settle_waiting(ARRAY[p_src])));
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION task_add_dependency(UUID, UUID, BOOLEAN) IS 'lets src, which must not have started, wait for dst; false when it already does; refuses cycles';

CREATE OR REPLACE FUNCTION task_remove_dependency(p_src UUID, p_dst UUID) RETURNS BOOLEAN
LANGUAGE plpgsql
SET search_path = public, pg_temp, seedcore_engine AS $$
DECLARE
    v_src tasks;
BEGIN
    -- The dependency first, like everybody who locks both.
    PERFORM FROM tasks WHERE id = p_dst FOR SHARE;
    SELECT * INTO v_src FROM tasks WHERE id = p_src FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no task %', p_src USING ERRCODE = 'SC404', DETAIL = 'task.not_found';
    END IF;
    DELETE FROM task_depends_on_task WHERE src_task_id = p_src AND dst_task_id = p_dst;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF v_src.status = 'created' AND v_src.auto_release THEN
        PERFORM tasks_release_dependants(ARRAY(SELECT tasks_settle_waiting(ARRAY[p_src])));
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION task_remove_dependency(UUID, UUID) IS 'lets src wait for dst no longer, and queues it if it waits for nothing else; false when it did not wait';
