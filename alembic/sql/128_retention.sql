-- Retention: what is over for long enough goes by itself, slowly.

-- One position and one pace for all workers of the database: however many there are, together they
-- spend no more than the share of time that one slice after the other leaves.
CREATE TABLE IF NOT EXISTS task_retention (
    name        TEXT PRIMARY KEY,
    position_at TIMESTAMPTZ NOT NULL DEFAULT '-infinity',
    position_id UUID        NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    next_at     TIMESTAMPTZ NOT NULL DEFAULT '-infinity',
    removed     BIGINT      NOT NULL DEFAULT 0,
    swept_at    TIMESTAMPTZ,
    CONSTRAINT ck_task_retention_name CHECK (name IN ('tasks', 'events'))
);
INSERT INTO task_retention (name) VALUES ('tasks'), ('events') ON CONFLICT DO NOTHING;
COMMENT ON TABLE task_retention IS 'how far the purge of old tasks and of old days of events has come';
COMMENT ON COLUMN task_retention.position_at IS 'created_at of the last task that this sweep has looked at';
COMMENT ON COLUMN task_retention.next_at IS 'when the next slice may begin';
COMMENT ON COLUMN task_retention.removed IS 'how much the running sweep has removed so far, or the last one in all';
COMMENT ON COLUMN task_retention.swept_at IS 'when the last sweep reached the end';

CREATE OR REPLACE FUNCTION task_retention_of(p_name TEXT, p_fallback_s DOUBLE PRECISION) RETURNS INTERVAL
LANGUAGE plpgsql STABLE
SET search_path = public, pg_temp AS $$
DECLARE
    v_text TEXT := seedcore_setting(p_name);
    v_kept INTERVAL;
BEGIN
    v_kept := CASE WHEN v_text IS NULL THEN p_fallback_s * interval '1 second'
                   WHEN v_text ~ '^[0-9.]+$' THEN v_text::float8 * interval '1 second'
                   ELSE v_text::interval END;
    IF v_kept < interval '0' THEN
        RAISE EXCEPTION 'the setting % is negative: %', p_name, v_text
            USING ERRCODE = 'SC422', DETAIL = 'config.bad_value';
    END IF;
    RETURN nullif(v_kept, interval '0');
END
$$;
COMMENT ON FUNCTION task_retention_of(TEXT, DOUBLE PRECISION) IS
    'how long something is kept: the database''s setting, else so many seconds; null = for ever';

-- A sweep walks the tasks from the oldest on, a slice at a time, and never looks at the same row twice: what
-- must stay, such as failed tasks that are kept for longer, is passed over once per sweep and not once per slice.
CREATE OR REPLACE FUNCTION tasks_retain(
    p_completed_s DOUBLE PRECISION DEFAULT 0,
    p_failed_s    DOUBLE PRECISION DEFAULT 0,
    p_cancelled_s DOUBLE PRECISION DEFAULT 0,
    p_limit       INTEGER          DEFAULT 1000,
    p_share       DOUBLE PRECISION DEFAULT 0.1,
    p_every_s     DOUBLE PRECISION DEFAULT 600
) RETURNS TABLE (removed INTEGER, seen INTEGER, wait_s DOUBLE PRECISION, swept BIGINT)
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
SET jit = off AS $$
#variable_conflict use_column
DECLARE
    v_began     TIMESTAMPTZ := clock_timestamp();
    v_completed INTERVAL := task_retention_of('task_retention_completed', p_completed_s);
    v_failed    INTERVAL := task_retention_of('task_retention_failed', p_failed_s);
    v_cancelled INTERVAL := task_retention_of('task_retention_cancelled', p_cancelled_s);
    v_least     INTERVAL := least(v_completed, v_failed, v_cancelled);
    v_state     task_retention;
    v_ids       UUID[];
    v_ends      UUID[];
    v_at        TIMESTAMPTZ;
BEGIN
    IF v_least IS NULL
       OR NOT pg_try_advisory_xact_lock(hashtextextended('seedcore.watchdog.retention', 0)) THEN
        RETURN;
    END IF;
    SELECT * INTO v_state FROM task_retention r WHERE r.name = 'tasks';
    IF v_state.next_at > v_began THEN
        RETURN QUERY SELECT 0, 0, extract(epoch FROM v_state.next_at - v_began)::float8, NULL::bigint;
        RETURN;
    END IF;
    -- No task ends before it is created, so the index on created_at bounds what can be old enough.
    SELECT array_agg(s.id ORDER BY s.created_at, s.id), max(s.created_at),
           array_agg(s.id) FILTER (WHERE s.ended_at < v_began - CASE s.status
                                        WHEN 'completed' THEN v_completed
                                        WHEN 'failed' THEN v_failed
                                        WHEN 'cancelled' THEN v_cancelled END)
    INTO v_ids, v_at, v_ends
    FROM (
        SELECT t.id, t.created_at, t.status, coalesce(t.finished_at, t.updated_at) AS ended_at
        FROM tasks t
        WHERE t.created_at >= v_state.position_at AND t.created_at < v_began - v_least
          AND (t.created_at, t.id) > (v_state.position_at, v_state.position_id)
        ORDER BY t.created_at, t.id
        LIMIT p_limit
    ) AS s;
    -- Checked again on the locked row: an operator may have retried it a moment ago.
    WITH gone AS (
        DELETE FROM tasks t
        WHERE t.id = ANY (ARRAY(
            SELECT o.id FROM tasks o
            WHERE o.id = ANY (v_ends) AND o.status IN ('completed', 'failed', 'cancelled')
              AND NOT EXISTS (
                  SELECT FROM task_depends_on_task e JOIN tasks s ON s.id = e.src_task_id
                  WHERE e.dst_task_id = o.id AND s.status NOT IN ('completed', 'failed', 'cancelled'))
            ORDER BY o.id
            FOR UPDATE OF o SKIP LOCKED))
        RETURNING t.id
    )
    SELECT count(*) INTO removed FROM gone;
    seen := coalesce(cardinality(v_ids), 0);
    IF seen < p_limit THEN
        wait_s := p_every_s;
        swept := v_state.removed + removed;
        UPDATE task_retention r
        SET position_at = DEFAULT, position_id = DEFAULT, removed = swept,
            swept_at = clock_timestamp(), next_at = clock_timestamp() + wait_s * interval '1 second'
        WHERE r.name = 'tasks';
    ELSE
        wait_s := extract(epoch FROM clock_timestamp() - v_began) * (1 / p_share - 1);
        UPDATE task_retention r
        SET position_at = v_at, position_id = v_ids[seen],
            removed = CASE WHEN v_state.position_at = '-infinity' THEN 0 ELSE v_state.removed END + tasks_retain.removed,
            next_at = clock_timestamp() + wait_s * interval '1 second'
        WHERE r.name = 'tasks';
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION tasks_retain(DOUBLE PRECISION, DOUBLE PRECISION, DOUBLE PRECISION, INTEGER, DOUBLE PRECISION, DOUBLE PRECISION) IS
    'removes one slice of tasks that ended longer ago than they are kept, but none that an unfinished task depends on; returns how many, of how many looked at, the pause that keeps to the share, and at a sweep''s end its sum; nothing when all are kept for ever, or another worker is at it';

-- A partition can't be detached CONCURRENTLY from a table that has a default one. So the lock on the
-- table is asked for a tenth of a second at a time: nobody who writes events waits longer for it.
CREATE OR REPLACE FUNCTION task_events_retain(
    p_events_s DOUBLE PRECISION DEFAULT 0,
    p_limit    INTEGER          DEFAULT 1000,
    p_every_s  DOUBLE PRECISION DEFAULT 600
) RETURNS TABLE (day DATE, removed INTEGER, wait_s DOUBLE PRECISION, busy BOOLEAN)
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET lock_timeout = '100ms'
SET jit = off AS $$
#variable_conflict use_column
DECLARE
    v_now  TIMESTAMPTZ := clock_timestamp();
    v_kept INTERVAL := task_retention_of('task_event_retention', p_events_s);
    v_next TIMESTAMPTZ;
    v_name TEXT;
BEGIN
    IF v_kept IS NULL
       OR NOT pg_try_advisory_xact_lock(hashtextextended('seedcore.watchdog.event_retention', 0)) THEN
        RETURN;
    END IF;
    SELECT r.next_at INTO v_next FROM task_retention r WHERE r.name = 'events';
    removed := 0;
    busy := false;
    IF v_next > v_now THEN
        wait_s := extract(epoch FROM v_next - v_now);
        RETURN NEXT;
        RETURN;
    END IF;
    SELECT c.relname INTO v_name
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'public.task_events'::regclass
      AND c.relname ~ '^task_events_p\d{8}$'
      AND (to_date(right(c.relname, 8), 'YYYYMMDD') + 1)::timestamp AT TIME ZONE 'UTC' <= v_now - v_kept
    ORDER BY c.relname
    LIMIT 1;
    IF v_name IS NOT NULL THEN
        BEGIN
            EXECUTE format('DROP TABLE public.%I', v_name);
            day := to_date(right(v_name, 8), 'YYYYMMDD');
            wait_s := 1;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            busy := true;
            wait_s := 10;
        END;
    ELSE
        -- Rows of days that never had a partition.
        DELETE FROM task_events_default e
        WHERE e.ctid = ANY (ARRAY(
            SELECT o.ctid FROM task_events_default o WHERE o.at < v_now - v_kept LIMIT p_limit));
        GET DIAGNOSTICS removed = ROW_COUNT;
        wait_s := CASE WHEN removed = p_limit THEN 1 ELSE p_every_s END;
    END IF;
    UPDATE task_retention r
    SET next_at = clock_timestamp() + wait_s * interval '1 second',
        removed = r.removed + CASE WHEN day IS NULL THEN 0 ELSE 1 END,
        swept_at = CASE WHEN v_name IS NULL AND wait_s = p_every_s THEN clock_timestamp() ELSE r.swept_at END
    WHERE r.name = 'events';
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION task_events_retain(DOUBLE PRECISION, INTEGER, DOUBLE PRECISION) IS
    'drops the oldest day of task_events when all of it is older than events are kept; returns it, or busy when the table was in use, and the pause until the next try; nothing when events are kept for ever, or another worker is at it';
