-- What every engine function shares: lanes, notification, audit rows and their partitions.

CREATE OR REPLACE FUNCTION task_lane(p_type TEXT) RETURNS TEXT
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN p_type = 'graph' THEN 'graph' ELSE 'queue' END
$$;
COMMENT ON FUNCTION task_lane(TEXT) IS 'the lane that claims tasks of this type: graph or queue';

CREATE OR REPLACE FUNCTION task_actor() RETURNS TEXT
LANGUAGE sql STABLE
SET search_path = public, pg_temp AS $$
    SELECT coalesce(nullif(current_setting('seedcore.actor', true), ''), current_user::text)
$$;
COMMENT ON FUNCTION task_actor() IS 'who is recorded in audit rows: seedcore.actor of this transaction, else the database user';

CREATE OR REPLACE FUNCTION task_reason() RETURNS TEXT
LANGUAGE sql STABLE
SET search_path = public, pg_temp AS $$
    SELECT nullif(current_setting('seedcore.reason', true), '')
$$;
COMMENT ON FUNCTION task_reason() IS 'why, as recorded in audit rows: seedcore.reason of this transaction, or null';

-- A worker that waits has a row in queue_waiters. Without one nobody listens, and a NOTIFY would only
-- cost every committer the lock of the notification queue.
CREATE OR REPLACE FUNCTION queue_notify(p_lane TEXT) RETURNS VOID
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM queue_waiters w WHERE w.lane = p_lane)
       AND seedcore_setting('notify_enabled', 'on') = 'on' THEN
        PERFORM pg_notify(seedcore_setting('notify_channel', 'tasks_new'), p_lane);
    END IF;
END
$$;
COMMENT ON FUNCTION queue_notify(TEXT) IS 'wakes the waiting workers of a lane, if there are any';

CREATE OR REPLACE FUNCTION task_events_ensure(p_days INTEGER DEFAULT 7) RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_made INTEGER := 0;
    v_day  DATE;
    v_name TEXT;
    v_from TIMESTAMPTZ;
    v_to   TIMESTAMPTZ;
BEGIN
    -- Two workers at once: the second finds the days made.
    PERFORM pg_advisory_xact_lock(hashtextextended('seedcore.task_events_ensure', 0));
    FOR v_day IN
        SELECT (now() AT TIME ZONE 'UTC')::date + n FROM generate_series(0, p_days) AS n
    LOOP
        v_name := 'task_events_p' || to_char(v_day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass('public.' || v_name) IS NOT NULL;
        v_from := v_day::timestamp AT TIME ZONE 'UTC';
        v_to := (v_day + 1)::timestamp AT TIME ZONE 'UTC';
        -- Rows that waited in the default partition would forbid the new one.
        EXECUTE format('CREATE TABLE public.%I (LIKE public.task_events INCLUDING DEFAULTS)', v_name);
        EXECUTE format(
            'WITH moved AS (DELETE FROM public.task_events_default '
            'WHERE at >= %L AND at < %L RETURNING *) INSERT INTO public.%I SELECT * FROM moved',
            v_from, v_to, v_name);
        EXECUTE format(
            'ALTER TABLE public.task_events ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
            v_name, v_from, v_to);
        v_made := v_made + 1;
    END LOOP;
    RETURN v_made;
END
$$;
COMMENT ON FUNCTION task_events_ensure(INTEGER) IS 'makes the partitions of today and the coming days; returns how many were missing';
