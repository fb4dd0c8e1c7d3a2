-- json can't be indexed or compared. Rewrites the table, so only where the type is wrong.
DO $$
DECLARE
    v_column text;
BEGIN
    FOR v_column IN
        SELECT a.attname FROM pg_attribute AS a
        WHERE a.attrelid = 'tasks'::regclass
          AND a.attname IN ('params', 'result')
          AND a.atttypid <> 'jsonb'::regtype
    LOOP
        EXECUTE format('ALTER TABLE tasks ALTER COLUMN %I DROP DEFAULT', v_column);
        EXECUTE format('ALTER TABLE tasks ALTER COLUMN %1$I TYPE jsonb USING %1$I::jsonb', v_column);
    END LOOP;
    ALTER TABLE tasks ALTER COLUMN params SET DEFAULT '{}';
END
$$;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint
                   WHERE conrelid = 'tasks'::regclass AND conname = 'ck_tasks_attempts_nonneg') THEN
        ALTER TABLE tasks
            ADD CONSTRAINT ck_tasks_attempts_nonneg CHECK (attempts >= 0) NOT VALID;
    END IF;
    -- In a block of its own: rows that break the rule undo the validation, not the constraint.
    BEGIN
        ALTER TABLE tasks VALIDATE CONSTRAINT ck_tasks_attempts_nonneg;
    EXCEPTION WHEN check_violation THEN
        RAISE WARNING 'some tasks have negative attempts; ck_tasks_attempts_nonneg holds for new rows only';
    END;
END
$$;
