-- What every worker's watchdog does for all workers: silent owners, expired tasks, missed releases.

-- The one rule for a lease that ended without a result: the attempt counts as not made, the task stands
-- where it stood in the queue before, and one that keeps losing its workers ends as failed. Were it due
-- only from now on, it would wait behind the whole backlog. The caller holds the rows' locks.
CREATE OR REPLACE FUNCTION tasks_lapse(
    p_ids         UUID[],
    p_default_max INTEGER DEFAULT 3,
    p_max_lapses  INTEGER DEFAULT 10,
    p_audit       BOOLEAN DEFAULT false
) RETURNS TABLE (id UUID, status taskstatus)
LANGUAGE plpgsql
SET search_path = public, pg_temp, seedcore_engine
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off AS $$
#variable_conflict use_column
DECLARE
    v_now    TIMESTAMPTZ := clock_timestamp();
    v_level  TEXT := seedcore_setting('task_event_level', 'terminal');
    v_ids    UUID[];
    v_states taskstatus[];
    v_failed UUID[];
    v_lanes  TEXT[];
BEGIN
    WITH moved AS (
        UPDATE tasks t
        SET status = CASE WHEN t.lapses >= p_max_lapses THEN 'failed' ELSE 'retry' END::taskstatus,
            finished_at = CASE WHEN t.lapses >= p_max_lapses THEN v_now END,
            lapses = t.lapses + 1,
            max_attempts = least(coalesce(t.max_attempts, p_default_max) + 1, 32767),
            error = format('lease_expired: %s was last seen at %s', t.owner_id, t.last_heartbeat),
            updated_at = v_now,
            owner_id = NULL, locked_by = NULL, locked_at = NULL,
            lease_expires_at = NULL, last_heartbeat = NULL
        WHERE t.id = ANY (p_ids) AND t.owner_id IS NOT NULL
        RETURNING t.id, t.status, t.type, t.attempts, t.error
    ), audited AS (
        INSERT INTO task_events (task_id, from_status, to_status, attempts, actor, reason)
        SELECT m.id, 'running', m.status, m.attempts, task_actor(), concat_ws('; ', m.error, task_reason())
        FROM moved m
        WHERE p_audit OR v_level = 'all' OR v_level = 'terminal' AND m.status = 'failed'
    )
    SELECT array_agg(m.id), array_agg(m.status),
           array_agg(m.id) FILTER (WHERE m.status = 'failed'),
           array_agg(DISTINCT task_lane(m.type)) FILTER (WHERE m.status = 'retry')
    INTO v_ids, v_states, v_failed, v_lanes
    FROM moved m;
    PERFORM tasks_release_dependants(v_failed) WHERE v_failed IS NOT NULL;
    PERFORM queue_notify(l.lane) FROM unnest(v_lanes) AS l (lane);
    RETURN QUERY SELECT * FROM unnest(v_ids, v_states);
END
$$;
COMMENT ON FUNCTION tasks_lapse(UUID[], INTEGER, INTEGER, BOOLEAN) IS
    'internal: takes locked running tasks from their owners; due at once and where they stood before, or failed after too many lapses';

-- SKIP LOCKED passes over rows that their owner is writing right now; a row that is locked has had the
-- condition checked on its newest version, and nobody else can change it before it is taken.
CREATE OR REPLACE FUNCTION tasks_reap_expired(
    p_grace_s     DOUBLE PRECISION DEFAULT 90,
    p_limit       INTEGER          DEFAULT 200,
    p_default_max INTEGER          DEFAULT 3,
    p_max_lapses  INTEGER          DEFAULT 10
) RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
SET jit = off AS $$
DECLARE
    v_now TIMESTAMPTZ := clock_timestamp();
    v_ids UUID[];
BEGIN
    v_ids := ARRAY(
        SELECT t.id FROM tasks t
        WHERE t.status = 'running'
          AND (t.lease_expires_at IS NULL OR t.lease_expires_at < v_now
               OR t.last_heartbeat < v_now - p_grace_s * interval '1 second')
        LIMIT p_limit
        FOR NO KEY UPDATE SKIP LOCKED);
    IF cardinality(v_ids) = 0 THEN
        RETURN 0;
    END IF;
    RETURN (SELECT count(*) FROM tasks_lapse(v_ids, p_default_max, p_max_lapses));
END
$$;
COMMENT ON FUNCTION tasks_reap_expired(DOUBLE PRECISION, INTEGER, INTEGER, INTEGER) IS
    'takes tasks from owners whose lease is past or whose heartbeat is older than the grace; returns how many';

CREATE OR REPLACE FUNCTION cleanup_stale_running_tasks(
    stale_minutes INTEGER DEFAULT 15,
    max_attempts  INTEGER DEFAULT 3
) RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
SET jit = off AS $$
DECLARE
    v_now TIMESTAMPTZ := clock_timestamp();
    v_ids UUID[];
BEGIN
    v_ids := ARRAY(
        SELECT t.id FROM tasks t
        WHERE t.status = 'running'
          AND (t.lease_expires_at IS NULL OR t.lease_expires_at < v_now)
          AND coalesce(t.last_heartbeat, t.locked_at, t.updated_at)
              < v_now - stale_minutes * interval '1 minute'
        FOR NO KEY UPDATE SKIP LOCKED);
    RETURN (SELECT count(*) FROM tasks_lapse(v_ids, max_attempts));
END
$$;
COMMENT ON FUNCTION cleanup_stale_running_tasks(INTEGER, INTEGER) IS
    'takes running tasks without a valid lease and without a sign of life for so many minutes; returns how many';

CREATE OR REPLACE FUNCTION tasks_expire_due(p_limit INTEGER DEFAULT 500) RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp, seedcore_engine
SET enable_seqscan = off
SET jit = off AS $$
DECLARE
    v_now   TIMESTAMPTZ := clock_timestamp();
    v_level TEXT := seedcore_setting('task_event_level', 'terminal');
    v_ids   UUID[];
    v_old   taskstatus[];
BEGIN
    SELECT array_agg(x.id), array_agg(x.status) INTO v_ids, v_old
    FROM (SELECT t.id, t.status FROM tasks t
          WHERE t.expires_at <= v_now AND t.status IN ('created', 'queued', 'retry')
          ORDER BY t.expires_at
          LIMIT p_limit
          FOR NO KEY UPDATE SKIP LOCKED) AS x;
    IF v_ids IS NULL THEN
        RETURN 0;
    END IF;
    WITH moved AS (
        UPDATE tasks t
        SET status = 'cancelled', finished_at = v_now, updated_at = v_now, auto_release = false,
            error = format('expired: not started before %s', t.expires_at)
        FROM unnest(v_ids, v_old) AS u (id, old)
        WHERE t.id = u.id
        RETURNING t.id, u.old, t.attempts, t.error
    )
    INSERT INTO task_events (task_id, from_status, to_status, attempts, actor, reason)
    SELECT m.id, m.old, 'cancelled', m.attempts, task_actor(), m.error FROM moved m
    WHERE v_level <> 'none';
    PERFORM tasks_release_dependants(v_ids);
    RETURN cardinality(v_ids);
END
$$;
COMMENT ON FUNCTION tasks_expire_due(INTEGER) IS 'cancels tasks that were not started before they expired; returns how many';

-- A repair: a release happens in the statement that ends the dependency. Rows get here only when somebody
-- wrote to tasks with its triggers disabled, or restored half a database.
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
