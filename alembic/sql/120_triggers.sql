-- What holds for writers that do not go through the engine's functions: old programs, psql, COPY.
--
-- The engine's statements write their own audit and must pass the statement triggers by. They are known
-- by a schema in the search path that does not exist: a mark that a function's SET clause takes back
-- however the function ends. A setting of our own would say it better, but only a superuser may put one
-- into a SET clause.

CREATE OR REPLACE FUNCTION tasks_guard_transition() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    IF OLD.status = 'running' AND NEW.status IN ('created', 'queued')
       OR OLD.status = 'completed'
       OR OLD.status IN ('failed', 'cancelled') AND NEW.status NOT IN ('queued', 'created') THEN
        RAISE EXCEPTION 'task % is %, which can''t become %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'SC409', DETAIL = 'task.bad_transition';
    END IF;
    IF OLD.status = 'running' THEN
        NEW.owner_id := NULL;
        NEW.locked_by := NULL;
        NEW.locked_at := NULL;
        NEW.lease_expires_at := NULL;
        NEW.last_heartbeat := NULL;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION tasks_guard_transition() IS 'Trigger function: refuses moves out of running and out of a final status that are not in the life cycle; clears the lease.';

CREATE OR REPLACE TRIGGER tasks_guard
    BEFORE UPDATE ON tasks
    FOR EACH ROW
    WHEN (NEW.status <> OLD.status
          AND (OLD.status IN ('completed', 'failed', 'cancelled')
               OR OLD.status = 'running'
                  AND (NEW.status IN ('created', 'queued')
                       OR num_nonnulls(NEW.owner_id, NEW.locked_by, NEW.locked_at,
                                       NEW.lease_expires_at, NEW.last_heartbeat) > 0)))
    EXECUTE FUNCTION tasks_guard_transition();

CREATE OR REPLACE FUNCTION tasks_after_insert() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_level TEXT := seedcore_setting('task_event_level', 'terminal');
    v_lane  TEXT;
BEGIN
    IF v_level <> 'none' THEN
        INSERT INTO task_events (task_id, to_status, attempts, actor, reason)
        SELECT n.id, n.status, n.attempts, coalesce(n.owner_id, task_actor()), coalesce(n.error, task_reason())
        FROM new_rows n
        WHERE v_level = 'all' OR n.status IN ('completed', 'failed', 'cancelled');
    END IF;
    -- From the few who wait, not from the rows: nothing of a million is read when nobody does.
    FOR v_lane IN SELECT DISTINCT w.lane FROM queue_waiters w
    LOOP
        IF EXISTS (
            SELECT FROM new_rows n WHERE n.status IN ('queued', 'retry') AND task_lane(n.type) = v_lane
        ) THEN
            PERFORM queue_notify(v_lane);
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION tasks_after_insert() IS 'Trigger function: audit and notification for rows that others insert.';

CREATE OR REPLACE TRIGGER tasks_inserted
    AFTER INSERT ON tasks
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT
    WHEN (current_setting('search_path') NOT LIKE '%seedcore_engine%')
    EXECUTE FUNCTION tasks_after_insert();

-- Transition tables have no statistics and no index: joined by anything but a hash, a large update is
-- quadratic.
CREATE OR REPLACE FUNCTION tasks_after_update() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_hashjoin = on
SET enable_nestloop = off
SET jit = off AS $$
DECLARE
    v_level TEXT := seedcore_setting('task_event_level', 'terminal');
    v_ended UUID[];
    v_lanes TEXT[];
BEGIN
    WITH moved AS (
        SELECT n.id, n.type, o.status AS old, n.status, n.attempts,
               coalesce(n.owner_id, o.owner_id, task_actor()) AS actor, n.error
        FROM old_rows o JOIN new_rows n ON n.id = o.id
        WHERE n.status <> o.status
    ), audited AS (
        INSERT INTO task_events (task_id, from_status, to_status, attempts, actor, reason)
        SELECT m.id, m.old, m.status, m.attempts, m.actor, coalesce(m.error, task_reason())
        FROM moved m
        WHERE v_level = 'all'
           OR v_level = 'terminal' AND m.status IN ('completed', 'failed', 'cancelled')
    )
    SELECT array_agg(m.id) FILTER (WHERE m.status IN ('completed', 'failed', 'cancelled')),
           array_agg(DISTINCT task_lane(m.type)) FILTER (WHERE m.status IN ('queued', 'retry'))
    INTO v_ended, v_lanes
    FROM moved m;
    IF v_ended IS NOT NULL THEN
        PERFORM tasks_release_dependants(v_ended);
    END IF;
    PERFORM queue_notify(l.lane) FROM unnest(v_lanes) AS l (lane);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION tasks_after_update() IS 'Trigger function: audit, dependants and notification for rows that others update.';

CREATE OR REPLACE TRIGGER tasks_updated
    AFTER UPDATE ON tasks
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT
    WHEN (current_setting('search_path') NOT LIKE '%seedcore_engine%')
    EXECUTE FUNCTION tasks_after_update();
