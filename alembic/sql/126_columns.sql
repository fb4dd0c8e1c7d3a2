-- What a task says about others like it: how many of a key may run, and how long its key is taken.

ALTER TABLE tasks
    ADD COLUMN IF NOT EXISTS concurrency_key   TEXT,
    ADD COLUMN IF NOT EXISTS concurrency_limit SMALLINT,
    ADD COLUMN IF NOT EXISTS aged              SMALLINT NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS unique_while      TEXT;

COMMENT ON COLUMN tasks.concurrency_key IS 'tasks with the same key share a limit on how many of them run at once';
COMMENT ON COLUMN tasks.concurrency_limit IS 'begins only while fewer than so many of its key run; null = 1: one after the other';
COMMENT ON COLUMN tasks.aged IS 'by how many levels waiting has raised the priority';
COMMENT ON COLUMN tasks.unique_while IS 'how long the idempotency key stays taken: waiting, unfinished, ever; null = live, until failed or cancelled';

-- Added without a scan; the revision validates them afterwards.
DO $$
DECLARE
    v_check record;
BEGIN
    FOR v_check IN
        SELECT * FROM (VALUES
            ('ck_tasks_concurrency_limit', 'CHECK (concurrency_limit IS NULL OR concurrency_limit >= 1 AND concurrency_key IS NOT NULL)'),
            ('ck_tasks_concurrency_key', 'CHECK (octet_length(concurrency_key) BETWEEN 1 AND 1024)'),
            ('ck_tasks_aged', 'CHECK (aged BETWEEN 0 AND 9)'),
            ('ck_tasks_unique_while', 'CHECK (unique_while IN (''waiting'', ''unfinished'', ''ever''))')
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
