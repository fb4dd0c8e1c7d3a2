-- Columns, checks and storage of tasks that the queue engine needs.

ALTER TABLE tasks
    ADD COLUMN IF NOT EXISTS priority        SMALLINT    NOT NULL DEFAULT 5,
    ADD COLUMN IF NOT EXISTS deadline_at     TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS expires_at      TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS max_attempts    SMALLINT,
    ADD COLUMN IF NOT EXISTS idempotency_key TEXT,
    ADD COLUMN IF NOT EXISTS auto_release    BOOLEAN     NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS started_at      TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS finished_at     TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS lapses          INTEGER     NOT NULL DEFAULT 0;

COMMENT ON COLUMN tasks.priority IS '0..10, 10 is claimed first';
COMMENT ON COLUMN tasks.deadline_at IS 'advisory: when the result stops being useful';
COMMENT ON COLUMN tasks.expires_at IS 'never started after this time';
COMMENT ON COLUMN tasks.max_attempts IS 'attempts before the task counts as failed; null = the caller''s default';
COMMENT ON COLUMN tasks.idempotency_key IS 'says "once": a second submit with the key of a live or completed task returns that task';
COMMENT ON COLUMN tasks.auto_release IS 'a created task leaves that status by itself once its dependencies allow';
COMMENT ON COLUMN tasks.started_at IS 'when the latest claim was made';
COMMENT ON COLUMN tasks.finished_at IS 'when the task became completed, failed or cancelled';
COMMENT ON COLUMN tasks.lapses IS 'leases that ran out; they do not use up attempts';

-- A hand-made priority may be a wider integer, or lack a value; 120_repair.sql fills it, and
-- the check lets the revision demand it without a scan under the exclusive lock.
DO $$
DECLARE
    v_rows bigint;
BEGIN
    IF (SELECT a.atttypid IN ('integer'::regtype, 'bigint'::regtype) FROM pg_attribute AS a
        WHERE a.attrelid = 'tasks'::regclass AND a.attname = 'priority') THEN
        SELECT count(*) INTO v_rows FROM tasks WHERE priority NOT BETWEEN 0 AND 10;
        ALTER TABLE tasks ALTER COLUMN priority DROP DEFAULT;
        PERFORM pg_temp.seedcore_take_down_views('tasks');
        ALTER TABLE tasks ALTER COLUMN priority TYPE smallint
            USING CASE WHEN priority IS NOT NULL THEN least(greatest(priority, 0), 10) END;
        PERFORM pg_temp.seedcore_put_back_views();
        RAISE INFO 'tasks.priority: converted to smallint; % rows moved into 0..10', v_rows;
    END IF;
    ALTER TABLE tasks ALTER COLUMN priority SET DEFAULT 5;
    IF NOT (SELECT a.attnotnull FROM pg_attribute AS a
            WHERE a.attrelid = 'tasks'::regclass AND a.attname = 'priority') THEN
        ALTER TABLE tasks DROP CONSTRAINT IF EXISTS ck_tasks_priority_given;
        ALTER TABLE tasks ADD CONSTRAINT ck_tasks_priority_given CHECK (priority IS NOT NULL) NOT VALID;
    END IF;
END
$$;

-- A running row has an owner and nobody else has one, so the owner alone tells a foreign key of a
-- lease from an ended one. Added without a scan; the revision validates them afterwards.
DO $$
DECLARE
    v_check record;
BEGIN
    FOR v_check IN
        SELECT * FROM (VALUES
            ('ck_tasks_priority', 'CHECK (priority BETWEEN 0 AND 10)'),
            ('ck_tasks_max_attempts', 'CHECK (max_attempts >= 1)'),
            ('ck_tasks_lapses', 'CHECK (lapses >= 0)'),
            ('ck_tasks_lease', 'CHECK ((status = ''running'') = (owner_id IS NOT NULL))')
        ) AS c (name, definition)
    LOOP
        IF NOT EXISTS (
            SELECT FROM pg_constraint
            WHERE conrelid = 'tasks'::regclass AND conname = v_check.name
        ) THEN
            EXECUTE format('ALTER TABLE tasks ADD CONSTRAINT %I %s NOT VALID',
                           v_check.name, v_check.definition);
        END IF;
    END LOOP;
END
$$;

-- Room on each page keeps heartbeats heap-only; a queue's dead rows must go at once, or claims read
-- them again and again.
ALTER TABLE tasks SET (
    fillfactor = 80,
    vacuum_truncate = off,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_cost_delay = 0
);
