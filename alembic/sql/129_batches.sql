-- Tasks that wait for very many others.
--
-- Whoever ends a member has to learn whether others are left. Counting them anew at every end would be
-- quadratic, and a counter in the waiting task would make every end wait for every other. So one member
-- that has not ended is remembered: while it has not, the waiting task need not be looked at nor locked.
-- Who ends that one looks for another. The new one is locked while it is written down, so that nobody can
-- be ending it just then, having looked at what was remembered before.

CREATE TABLE IF NOT EXISTS task_waits (
    task_id   UUID NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    member_id UUID NOT NULL,
    CONSTRAINT pk_task_waits PRIMARY KEY (task_id)
);
COMMENT ON TABLE task_waits IS 'by task that waits for very many: one of those that has not ended, as far as is known; no more than a hint';
COMMENT ON COLUMN task_waits.member_id IS 'no foreign key: one that is gone counts as ended';

CREATE OR REPLACE FUNCTION tasks_remember_waiting(p_ids UUID[]) RETURNS UUID[]
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_sort = off
SET jit = off AS $$
DECLARE
    v_id     UUID;
    v_from   UUID;
    v_member UUID;
    v_kept   UUID[] := '{}';
BEGIN
    FOREACH v_id IN ARRAY p_ids LOOP
        -- A few are counted faster than remembered.
        CONTINUE WHEN NOT EXISTS (
            SELECT FROM task_depends_on_task e WHERE e.src_task_id = v_id OFFSET 64);
        SELECT w.member_id INTO v_from FROM task_waits w WHERE w.task_id = v_id;
        -- Downwards from the last one, and past those that somebody is ending: members mostly end in
        -- the order of their ids, so that the last one is asked for once.
        SELECT e.dst_task_id INTO v_member
        FROM task_depends_on_task e JOIN tasks d ON d.id = e.dst_task_id
        WHERE e.src_task_id = v_id
          AND e.dst_task_id < coalesce(v_from, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
          AND d.status NOT IN ('completed', 'failed', 'cancelled')
        ORDER BY e.dst_task_id DESC
        LIMIT 1
        FOR SHARE OF d SKIP LOCKED;
        IF NOT FOUND THEN
            -- Once at the end, and for those that were passed by or have been requeued.
            SELECT e.dst_task_id INTO v_member
            FROM task_depends_on_task e JOIN tasks d ON d.id = e.dst_task_id
            WHERE e.src_task_id = v_id AND d.status NOT IN ('completed', 'failed', 'cancelled')
            ORDER BY e.dst_task_id DESC
            LIMIT 1
            FOR SHARE OF d;
        END IF;
        IF FOUND THEN
            INSERT INTO task_waits (task_id, member_id) VALUES (v_id, v_member)
            ON CONFLICT (task_id) DO UPDATE SET member_id = excluded.member_id;
            v_kept := v_kept || v_id;
        ELSE
            DELETE FROM task_waits w WHERE w.task_id = v_id;
        END IF;
    END LOOP;
    RETURN v_kept;
END
$$;
COMMENT ON FUNCTION tasks_remember_waiting(UUID[]) IS
    'internal: of locked waiting tasks, those with so many dependencies that one unfinished is remembered, which it is';

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
    v_doomed  UUID[];
    v_waiting UUID[];
    v_kept    UUID[];
BEGIN
    -- One turn per generation: what is cancelled has dependants of its own.
    WHILE cardinality(v_ended) > 0 LOOP
        v_doomed := ARRAY(
            SELECT DISTINCT e.src_task_id
            FROM tasks d JOIN task_depends_on_task e ON e.dst_task_id = d.id
            WHERE d.id = ANY (v_ended) AND d.status IN ('failed', 'cancelled') AND e.required);
        v_waiting := ARRAY(
            SELECT t.id
            FROM tasks t
            WHERE t.id = ANY (ARRAY(
                      SELECT DISTINCT e.src_task_id FROM task_depends_on_task e
                      WHERE e.dst_task_id = ANY (v_ended)))
              AND t.status = 'created' AND t.auto_release
              AND (t.id = ANY (v_doomed)
                   OR NOT EXISTS (
                       SELECT FROM task_waits w JOIN tasks d ON d.id = w.member_id
                       WHERE w.task_id = t.id AND d.status NOT IN ('completed', 'failed', 'cancelled')))
            ORDER BY t.id
            FOR NO KEY UPDATE);
        EXIT WHEN cardinality(v_waiting) = 0;
        v_kept := tasks_remember_waiting(
            ARRAY(SELECT w.id FROM unnest(v_waiting) AS w (id) WHERE w.id <> ALL (v_doomed)));
        v_ended := ARRAY(SELECT tasks_settle_waiting(
            ARRAY(SELECT w.id FROM unnest(v_waiting) AS w (id) WHERE w.id <> ALL (v_kept))));
    END LOOP;
END
$$;
COMMENT ON FUNCTION tasks_release_dependants(UUID[]) IS 'internal: queues or cancels what waited for these ended tasks, and so on down';

CREATE OR REPLACE FUNCTION tasks_release_ready(p_limit INTEGER DEFAULT 500) RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
SET jit = off AS $$
DECLARE
    v_ids UUID[];
BEGIN
    v_ids := ARRAY(
        SELECT t.id FROM tasks t
        WHERE t.status = 'created' AND t.auto_release
          -- Whoever waits for one that is remembered need not be counted at every tick.
          AND NOT EXISTS (
              SELECT FROM task_waits w JOIN tasks d ON d.id = w.member_id
              WHERE w.task_id = t.id AND d.status NOT IN ('completed', 'failed', 'cancelled'))
          AND (NOT EXISTS (
                   SELECT FROM task_depends_on_task e JOIN tasks d ON d.id = e.dst_task_id
                   WHERE e.src_task_id = t.id
                     AND CASE WHEN e.required THEN d.status <> 'completed'
                              ELSE d.status NOT IN ('completed', 'failed', 'cancelled') END)
               OR EXISTS (
                   SELECT FROM task_depends_on_task e JOIN tasks d ON d.id = e.dst_task_id
                   WHERE e.src_task_id = t.id AND e.required AND d.status IN ('failed', 'cancelled')))
        LIMIT p_limit
        FOR NO KEY UPDATE OF t SKIP LOCKED);
    IF cardinality(v_ids) > 0 THEN
        PERFORM tasks_release_dependants(ARRAY(SELECT tasks_settle_waiting(v_ids)));
    END IF;
    RETURN cardinality(v_ids);
END
$$;
COMMENT ON FUNCTION tasks_release_ready(INTEGER) IS 'repair: queues or cancels waiting tasks whose dependencies ended unnoticed; returns how many';

CREATE OR REPLACE FUNCTION tasks_link(p_src UUID[], p_dst UUID[], p_required BOOLEAN[]) RETURNS VOID
LANGUAGE sql
SET search_path = public, pg_temp, seedcore_engine AS $$
    INSERT INTO task_depends_on_task (src_task_id, dst_task_id, required)
    SELECT u.src, u.dst, u.required FROM unnest(p_src, p_dst, p_required) AS u (src, dst, required)
    ON CONFLICT DO NOTHING
$$;
COMMENT ON FUNCTION tasks_link(UUID[], UUID[], BOOLEAN[]) IS
    'writes down that each task of the first list waits for the one beside it in the second: to complete, or only to end';

-- One locked member that has not ended is enough to keep the task waiting until this commits; from then
-- on whoever ends a member sees it. Locking all of them would hold up the workers.
CREATE OR REPLACE FUNCTION task_await(p_id UUID) RETURNS taskstatus
LANGUAGE plpgsql
SET search_path = public, pg_temp, seedcore_engine AS $$
DECLARE
    v_many BOOLEAN := EXISTS (
        SELECT FROM task_depends_on_task e WHERE e.src_task_id = p_id OFFSET 64);
    v_now  TIMESTAMPTZ := clock_timestamp();
BEGIN
    IF NOT v_many THEN
        PERFORM tasks_hold_dependencies(ARRAY[p_id]);
    END IF;
    UPDATE tasks SET auto_release = true, updated_at = v_now
    WHERE id = p_id AND status = 'created' AND NOT auto_release;
    IF FOUND AND (
        cardinality(tasks_remember_waiting(ARRAY[p_id])) = 0
        OR EXISTS (SELECT FROM task_depends_on_task e JOIN tasks d ON d.id = e.dst_task_id
                   WHERE e.src_task_id = p_id AND e.required AND d.status IN ('failed', 'cancelled'))
    ) THEN
        PERFORM tasks_release_dependants(ARRAY(SELECT tasks_settle_waiting(ARRAY[p_id])));
    END IF;
    RETURN (SELECT t.status FROM tasks t WHERE t.id = p_id);
END
$$;
COMMENT ON FUNCTION task_await(UUID) IS
    'lets a task that was submitted with a hold wait for its dependencies instead, however many; returns where it stands then';
