-- Tasks that wait for very many others.
--
-- Whoever ends a member has to learn whether others are left. Counting them anew at every end would be
-- quadratic, and a counter in the waiting task would make every end wait for every other. So one member
-- that has not ended is remembered: while it has not, the waiting task need not be looked at nor locked.
-- Who ends that one looks for another.

CREATE TABLE IF NOT EXISTS task_waits (
    task_id   UUID NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    member_id UUID NOT NULL,
    CONSTRAINT pk_task_waits PRIMARY KEY (task_id)
);
COMMENT ON TABLE task_waits IS 'by task that waits for very many: one of those that has not ended, as far as is known; no more than a hint';
COMMENT ON COLUMN task_waits.member_id IS 'no foreign key: one that is gone counts as ended';

-- For a task that begins to wait: who is ending a member just now does not see it, so the member stays locked
-- until this commits, and when all that are left are being ended, they are waited for.
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
    v_member UUID;
    v_kept   UUID[] := '{}';
BEGIN
    FOREACH v_id IN ARRAY p_ids LOOP
        -- A few are counted faster than remembered.
        CONTINUE WHEN NOT EXISTS (
            SELECT FROM task_depends_on_task e WHERE e.src_task_id = v_id OFFSET 64);
        -- The last one, past those that somebody is ending: members mostly end in the order of their
        -- ids, so that the last one is asked for once.
        SELECT e.dst_task_id INTO v_member
        FROM task_depends_on_task e JOIN tasks d ON d.id = e.dst_task_id
        WHERE e.src_task_id = v_id AND d.status NOT IN ('completed', 'failed', 'cancelled')
        ORDER BY e.dst_task_id DESC
        LIMIT 1
        FOR SHARE OF d SKIP LOCKED;
        IF NOT FOUND THEN
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
    'internal: of locked tasks that begin to wait, those with so many dependencies that one unfinished is remembered, which it is';

-- For a task that waits already, by who ends a member. Nothing is waited for here: the lock on a member only
-- asks whether somebody is ending it, and is given back at once. When all that are left are being ended,
-- none is remembered, and each of those who end them looks at the task.
CREATE OR REPLACE FUNCTION tasks_remember_another(p_id UUID) RETURNS BOOLEAN
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_sort = off
SET jit = off AS $$
DECLARE
    v_from   UUID := (SELECT w.member_id FROM task_waits w WHERE w.task_id = p_id);
    v_member UUID;
BEGIN
    BEGIN
        SELECT e.dst_task_id INTO v_member
        FROM task_depends_on_task e JOIN tasks d ON d.id = e.dst_task_id
        WHERE e.src_task_id = p_id
          AND e.dst_task_id < coalesce(v_from, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
          AND d.status NOT IN ('completed', 'failed', 'cancelled')
        ORDER BY e.dst_task_id DESC
        LIMIT 1
        FOR SHARE OF d SKIP LOCKED;
        IF NOT FOUND AND v_from IS NOT NULL THEN
            -- Once at the end, and for those that were passed by or have been requeued.
            SELECT e.dst_task_id INTO v_member
            FROM task_depends_on_task e JOIN tasks d ON d.id = e.dst_task_id
            WHERE e.src_task_id = p_id AND d.status NOT IN ('completed', 'failed', 'cancelled')
            ORDER BY e.dst_task_id DESC
            LIMIT 1
            FOR SHARE OF d SKIP LOCKED;
        END IF;
        RAISE EXCEPTION USING ERRCODE = 'SC000';
    EXCEPTION WHEN SQLSTATE 'SC000' THEN
        NULL;
    END;
    IF v_member IS NOT NULL THEN
        INSERT INTO task_waits (task_id, member_id) VALUES (p_id, v_member)
        ON CONFLICT (task_id) DO UPDATE SET member_id = excluded.member_id;
        RETURN true;
    END IF;
    DELETE FROM task_waits w WHERE w.task_id = p_id;
    RETURN EXISTS (
        SELECT FROM task_depends_on_task e JOIN tasks d ON d.id = e.dst_task_id
        WHERE e.src_task_id = p_id AND d.status NOT IN ('completed', 'failed', 'cancelled'));
END
$$;
COMMENT ON FUNCTION tasks_remember_another(UUID) IS
    'internal: remembers an unfinished dependency of a locked waiting task that nobody is ending; whether any is left';

-- What is locked, and in which order, so that no two who end tasks wait for each other. First the waiting
-- tasks, by id, and with those that are cancelled all that is cancelled because of them. Then, for tasks that
-- wait for very many, a lock by bucket of their ids: shared by those who pass a task by, alone for who
-- changes what is remembered of it. So nobody passes by on the word of a member that has just ended: who
-- changes the word waits for all who read the old one, and who reads it afterwards reads the new one.
-- Members are never waited for, whoever ends one may be waiting for a lock that is held here.
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
    v_many    UUID[];
    -- Of tasks that wait for very many: those that a remembered member keeps, and those that need another.
    v_passed  UUID[] := '{}';
    v_open    UUID[] := '{}';
    v_lock    record;
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
              AND t.status = 'created' AND t.auto_release);
        EXIT WHEN cardinality(v_waiting) = 0;
        v_passed := v_passed || ARRAY(
            SELECT w.task_id
            FROM task_waits w JOIN tasks d ON d.id = w.member_id
            WHERE w.task_id = ANY (v_waiting) AND w.task_id <> ALL (v_doomed)
              AND d.status NOT IN ('completed', 'failed', 'cancelled'));
        IF cardinality(v_doomed) > 0 THEN
            PERFORM FROM tasks t
            WHERE t.id = ANY (ARRAY(
                      WITH RECURSIVE below (id) AS (
                          SELECT d.id FROM unnest(v_doomed) AS d (id)
                          UNION
                          SELECT e.src_task_id
                          FROM below b
                          JOIN tasks c ON c.id = b.id AND c.status = 'created' AND c.auto_release
                          JOIN task_depends_on_task e ON e.dst_task_id = b.id
                          WHERE e.required
                      )
                      SELECT b.id FROM below b
                      UNION
                      SELECT w.id FROM unnest(v_waiting) AS w (id) WHERE w.id <> ALL (v_passed)))
              AND t.status = 'created' AND t.auto_release
            ORDER BY t.id
            FOR NO KEY UPDATE;
        END IF;
        v_waiting := ARRAY(
            SELECT t.id FROM tasks t
            WHERE t.id = ANY (v_waiting) AND t.id <> ALL (v_passed)
              AND t.status = 'created' AND t.auto_release
            ORDER BY t.id
            FOR NO KEY UPDATE);
        v_many := ARRAY(
            SELECT w.id FROM unnest(v_waiting) AS w (id)
            WHERE w.id <> ALL (v_doomed)
              -- A few are counted faster than remembered.
              AND EXISTS (SELECT FROM task_depends_on_task e WHERE e.src_task_id = w.id OFFSET 64));
        v_open := v_open || v_many;
        v_ended := ARRAY(SELECT tasks_settle_waiting(
            ARRAY(SELECT w.id FROM unnest(v_waiting) AS w (id) WHERE w.id <> ALL (v_many))));
    END LOOP;
    IF cardinality(v_passed) + cardinality(v_open) = 0 THEN
        RETURN;
    END IF;

    -- Buckets, because each lock has an entry in the server's table of locks.
    FOR v_lock IN
        SELECT task_waits_bucket(w.id) AS bucket, bool_or(w.is_open) AS alone
        FROM (SELECT p.id, false AS is_open FROM unnest(v_passed) AS p (id)
              UNION ALL
              SELECT o.id, true FROM unnest(v_open) AS o (id)) AS w
        GROUP BY 1 ORDER BY 1
    LOOP
        IF v_lock.alone THEN
            PERFORM pg_advisory_xact_lock(v_lock.bucket);
        ELSE
            PERFORM pg_advisory_xact_lock_shared(v_lock.bucket);
        END IF;
    END LOOP;
    v_passed := ARRAY(
        SELECT p.id FROM unnest(v_passed) AS p (id)
        WHERE NOT EXISTS (
            SELECT FROM task_waits w JOIN tasks d ON d.id = w.member_id
            WHERE w.task_id = p.id AND d.status NOT IN ('completed', 'failed', 'cancelled')));
    IF cardinality(v_passed) > 0 THEN
        -- Another member was remembered meanwhile, and it is one of those that end here.
        v_passed := ARRAY(
            SELECT t.id FROM tasks t
            WHERE t.id = ANY (v_passed) AND t.status = 'created' AND t.auto_release
            ORDER BY t.id
            FOR NO KEY UPDATE);
        PERFORM pg_advisory_xact_lock(b.bucket)
        FROM (SELECT DISTINCT task_waits_bucket(p.id) AS bucket FROM unnest(v_passed) AS p (id) ORDER BY 1) AS b;
        v_open := v_open || v_passed;
    END IF;
    v_waiting := '{}';
    FOR v_lock IN SELECT o.id FROM unnest(v_open) AS o (id) ORDER BY 1 LOOP
        IF NOT tasks_remember_another(v_lock.id) THEN
            v_waiting := v_waiting || v_lock.id::uuid;
        END IF;
    END LOOP;
    IF cardinality(v_waiting) > 0 THEN
        PERFORM tasks_release_dependants(ARRAY(SELECT tasks_settle_waiting(v_waiting)));
    END IF;
END
$$;
COMMENT ON FUNCTION tasks_release_dependants(UUID[]) IS 'internal: queues or cancels what waited for these ended tasks, and so on down';

CREATE OR REPLACE FUNCTION task_waits_bucket(p_id UUID) RETURNS BIGINT
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT hashtextextended('seedcore.task_waits', 0) + (uuid_hash(p_id) & 255)
$$;
COMMENT ON FUNCTION task_waits_bucket(UUID) IS
    'internal: the advisory lock, one of 256, that guards which dependency is remembered of a waiting task';

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
