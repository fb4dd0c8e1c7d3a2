CREATE OR REPLACE FUNCTION tasks_purge(
    p_older_than INTERVAL,
    p_statuses   taskstatus[] DEFAULT '{completed,failed,cancelled}',
    p_limit      INTEGER      DEFAULT 5000
) RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_before TIMESTAMPTZ := now() - p_older_than;
    v_done   INTEGER;
BEGIN
    IF NOT p_statuses <@ '{completed,failed,cancelled}'::taskstatus[] THEN
        RAISE EXCEPTION 'only completed, failed and cancelled tasks can be purged'
            USING ERRCODE = 'SC422', DETAIL = 'task.not_final';
    END IF;
    -- created_at lets the index on it find the old end of the table; no task ends before it is created.
    DELETE FROM tasks t
    WHERE t.id = ANY (ARRAY(
        SELECT o.id FROM tasks o
        WHERE o.created_at < v_before AND coalesce(o.finished_at, o.updated_at) < v_before
          AND o.status = ANY (p_statuses)
          AND NOT EXISTS (
              SELECT FROM task_depends_on_task e JOIN tasks s ON s.id = e.src_task_id
              WHERE e.dst_task_id = o.id AND s.status NOT IN ('completed', 'failed', 'cancelled'))
        ORDER BY o.created_at
        LIMIT p_limit
        FOR UPDATE OF o SKIP LOCKED));
    GET DIAGNOSTICS v_done = ROW_COUNT;
    RETURN v_done;
END
$$;
COMMENT ON FUNCTION tasks_purge(INTERVAL, taskstatus[], INTEGER) IS
    'deletes one batch of tasks that ended that long ago, but none that an unfinished task depends on; returns how many';

CREATE OR REPLACE FUNCTION task_events_purge(p_older_than INTERVAL, p_limit INTEGER DEFAULT 20000) RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_before TIMESTAMPTZ := now() - p_older_than;
    v_name   TEXT;
    v_rows   INTEGER;
    v_done   INTEGER := 0;
BEGIN
    -- One at a time, and not while partitions are made: a day that somebody else has dropped meanwhile
    -- could not be counted.
    PERFORM pg_advisory_xact_lock(hashtextextended('seedcore.task_events_ensure', 0));
    -- Whole days go at once; what remains is the edge and the default partition.
    FOR v_name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.task_events'::regclass
          AND c.relname ~ '^task_events_p\d{8}$'
          AND (to_date(right(c.relname, 8), 'YYYYMMDD') + 1)::timestamp AT TIME ZONE 'UTC' <= v_before
        ORDER BY c.relname
    LOOP
        EXECUTE format('SELECT count(*) FROM public.%I', v_name) INTO v_rows;
        EXECUTE format('DROP TABLE public.%I', v_name);
        v_done := v_done + v_rows;
    END LOOP;
    DELETE FROM task_events e
    WHERE (e.task_id, e.id, e.at) IN (
        SELECT o.task_id, o.id, o.at FROM task_events o WHERE o.at < v_before LIMIT p_limit);
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    RETURN v_done + v_rows;
END
$$;
COMMENT ON FUNCTION task_events_purge(INTERVAL, INTEGER) IS
    'drops the days of task_events that are older, and deletes one batch of other older rows; returns how many';
