-- Keys of attempts that were ended over their owner's head.
--
-- A cancelled or requeued task is no longer running, but its tool is, until the owner learns of it and the
-- tool obeys. For so long its key stays taken: by a row here, which the owner deletes when the tool has
-- really stopped, or which lapses with the lease that the owner had.

CREATE TABLE IF NOT EXISTS task_key_holds (
    task_id           UUID        NOT NULL,
    attempts          INTEGER     NOT NULL,
    concurrency_key   TEXT        NOT NULL,
    concurrency_limit SMALLINT,
    lane              TEXT        NOT NULL,
    owner_id          TEXT        NOT NULL,
    held_until        TIMESTAMPTZ NOT NULL,
    CONSTRAINT pk_task_key_holds PRIMARY KEY (task_id, attempts)
);
CREATE INDEX IF NOT EXISTS ix_task_key_holds_key ON task_key_holds (concurrency_key, held_until);
COMMENT ON TABLE task_key_holds IS
    'ended attempts whose tool may still run: their concurrency key counts as taken until held_until';
COMMENT ON COLUMN task_key_holds.task_id IS 'no foreign key: a key stays taken although its task is purged';
COMMENT ON COLUMN task_key_holds.attempts IS 'which attempt of the task';
COMMENT ON COLUMN task_key_holds.concurrency_limit IS 'what the task says, which counts beside those that run; null = 1';
COMMENT ON COLUMN task_key_holds.lane IS 'whose workers are woken when the key is free';
COMMENT ON COLUMN task_key_holds.owner_id IS 'the worker in which the tool runs';
COMMENT ON COLUMN task_key_holds.held_until IS 'when the lease ends that the attempt had, unless its owner prolongs it';
COMMENT ON INDEX ix_task_key_holds_key IS 'how many ended attempts of a key may still run';

CREATE OR REPLACE FUNCTION tasks_leave_keys(p_ids UUID[]) RETURNS VOID
LANGUAGE sql
SET search_path = public, pg_temp
SET enable_seqscan = off AS $$
    INSERT INTO task_key_holds AS h
           (task_id, attempts, concurrency_key, concurrency_limit, lane, owner_id, held_until)
    SELECT t.id, t.attempts, t.concurrency_key, t.concurrency_limit, task_lane(t.type), t.owner_id,
           t.lease_expires_at
    FROM tasks t
    WHERE t.id = ANY (p_ids) AND t.owner_id IS NOT NULL AND t.concurrency_key IS NOT NULL
      AND t.lease_expires_at > clock_timestamp()
    ORDER BY t.id
    FOR NO KEY UPDATE OF t
    ON CONFLICT (task_id, attempts) DO UPDATE SET held_until = greatest(h.held_until, excluded.held_until)
$$;
COMMENT ON FUNCTION tasks_leave_keys(UUID[]) IS
    'internal: keeps the concurrency keys of running tasks taken until their tools have stopped, at the longest for what is left of their leases';

-- A thread can't be stopped from outside: its owner says for how long it goes on.
CREATE OR REPLACE FUNCTION tasks_hold_keys(
    p_owner    TEXT,
    p_ids      UUID[],
    p_attempts INTEGER[],
    p_lease_s  DOUBLE PRECISION
) RETURNS SETOF UUID
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
SET jit = off AS $$
DECLARE
    v_until TIMESTAMPTZ := clock_timestamp() + p_lease_s * interval '1 second';
BEGIN
    RETURN QUERY
    UPDATE task_key_holds h SET held_until = greatest(h.held_until, v_until)
    FROM unnest(p_ids, p_attempts) AS u (id, attempts)
    WHERE h.task_id = u.id AND h.attempts = u.attempts AND h.owner_id = p_owner
    RETURNING h.task_id;
    RETURN QUERY
    INSERT INTO task_key_holds AS h
           (task_id, attempts, concurrency_key, concurrency_limit, lane, owner_id, held_until)
    SELECT t.id, t.attempts, t.concurrency_key, t.concurrency_limit, task_lane(t.type), p_owner, v_until
    FROM unnest(p_ids, p_attempts) AS u (id, attempts)
    JOIN tasks t ON t.id = u.id AND t.attempts = u.attempts
    WHERE t.concurrency_key IS NOT NULL AND t.owner_id = p_owner
    ORDER BY t.id
    ON CONFLICT DO NOTHING
    RETURNING h.task_id;
END
$$;
COMMENT ON FUNCTION tasks_hold_keys(TEXT, UUID[], INTEGER[], DOUBLE PRECISION) IS
    'keeps the concurrency keys of attempts taken whose tools go on although the attempt ends or has ended; returns those that have a key';

CREATE OR REPLACE FUNCTION tasks_let_keys_go(p_owner TEXT, p_ids UUID[], p_attempts INTEGER[]) RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
SET jit = off AS $$
DECLARE
    v_lanes TEXT[];
BEGIN
    WITH gone AS (
        DELETE FROM task_key_holds h
        USING unnest(p_ids, p_attempts) AS u (id, attempts)
        WHERE h.task_id = u.id AND h.attempts = u.attempts AND h.owner_id = p_owner
        RETURNING h.lane
    )
    SELECT array_agg(g.lane) INTO v_lanes FROM gone g;
    PERFORM queue_notify(l.lane) FROM (SELECT DISTINCT unnest(v_lanes) AS lane) AS l;
    RETURN coalesce(cardinality(v_lanes), 0);
END
$$;
COMMENT ON FUNCTION tasks_let_keys_go(TEXT, UUID[], INTEGER[]) IS
    'the tools of these attempts have stopped: their concurrency keys are free; returns how many were held';

CREATE OR REPLACE FUNCTION tasks_forget_key_holds() RETURNS INTEGER
LANGUAGE sql
SET search_path = public, pg_temp AS $$
    WITH gone AS (DELETE FROM task_key_holds h WHERE h.held_until < clock_timestamp() RETURNING h.task_id)
    SELECT count(*)::integer FROM gone
$$;
COMMENT ON FUNCTION tasks_forget_key_holds() IS 'deletes holds that have lapsed, which count for nothing any more; returns how many';

-- How many of a key run, and the least of what they and the holds say may run at once (null: none runs).
CREATE OR REPLACE FUNCTION task_key_use(p_key TEXT, OUT running INTEGER, OUT least_limit INTEGER)
LANGUAGE plpgsql STABLE
SET search_path = public, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off AS $$
BEGIN
    -- One statement, so one snapshot: what is cancelled just now is counted once, here or there.
    SELECT count(*)::integer, min(coalesce(r.at_once, 1))::integer INTO running, least_limit
    FROM (SELECT t.concurrency_limit AS at_once FROM tasks t
          WHERE t.status = 'running' AND t.concurrency_key = p_key
          UNION ALL
          SELECT h.concurrency_limit FROM task_key_holds h
          WHERE h.concurrency_key = p_key AND h.held_until > clock_timestamp()) AS r;
END
$$;
COMMENT ON FUNCTION task_key_use(TEXT) IS
    'how many attempts of a concurrency key run or may still run, and the least limit that they name';

-- What others do to running rows: an end that is not the worker's own word keeps the key as above.
CREATE OR REPLACE FUNCTION tasks_after_foreign_end() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_hashjoin = on
SET enable_nestloop = off
SET jit = off AS $$
BEGIN
    INSERT INTO task_key_holds
           (task_id, attempts, concurrency_key, concurrency_limit, lane, owner_id, held_until)
    SELECT o.id, o.attempts, o.concurrency_key, o.concurrency_limit, task_lane(o.type), o.owner_id,
           o.lease_expires_at
    FROM old_rows o JOIN new_rows n ON n.id = o.id
    WHERE o.status = 'running' AND o.concurrency_key IS NOT NULL AND n.status NOT IN ('running', 'completed')
      AND o.lease_expires_at > clock_timestamp()
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION tasks_after_foreign_end() IS 'Trigger function: keeps the concurrency keys of running rows taken that others end.';

CREATE OR REPLACE TRIGGER tasks_updated_keys
    AFTER UPDATE ON tasks
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT
    WHEN (current_setting('search_path') NOT LIKE '%seedcore_engine%')
    EXECUTE FUNCTION tasks_after_foreign_end();

CREATE OR REPLACE FUNCTION tasks_after_foreign_delete() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO task_key_holds
           (task_id, attempts, concurrency_key, concurrency_limit, lane, owner_id, held_until)
    VALUES (OLD.id, OLD.attempts, OLD.concurrency_key, OLD.concurrency_limit, task_lane(OLD.type),
            OLD.owner_id, OLD.lease_expires_at)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION tasks_after_foreign_delete() IS 'Trigger function: keeps the concurrency key of a running row taken that is deleted.';

CREATE OR REPLACE TRIGGER tasks_deleted_keys
    AFTER DELETE ON tasks
    FOR EACH ROW
    WHEN (OLD.status = 'running' AND OLD.concurrency_key IS NOT NULL AND OLD.lease_expires_at IS NOT NULL)
    EXECUTE FUNCTION tasks_after_foreign_delete();
