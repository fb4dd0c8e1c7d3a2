ALTER TABLE tasks
    ADD COLUMN IF NOT EXISTS attempts    integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS locked_by   text,
    ADD COLUMN IF NOT EXISTS locked_at   timestamptz,
    ADD COLUMN IF NOT EXISTS run_after   timestamptz,
    ADD COLUMN IF NOT EXISTS description text,
    ADD COLUMN IF NOT EXISTS domain      text,
    ADD COLUMN IF NOT EXISTS drift_score double precision NOT NULL DEFAULT 0.0,
    ADD COLUMN IF NOT EXISTS params      jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS result      jsonb,
    ADD COLUMN IF NOT EXISTS error       text,
    ADD COLUMN IF NOT EXISTS created_at  timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN IF NOT EXISTS updated_at  timestamptz NOT NULL DEFAULT now();

-- Columns that exist may be nullable, or have no default. Each is fixed only where it is wrong, so that
-- a table that is right is not rewritten and its rows are not read.
DO $$
DECLARE
    v_column record;
BEGIN
    FOR v_column IN
        SELECT w.name, w.fallback, a.attnotnull
        FROM (VALUES ('id', 'gen_random_uuid()'),
                     ('status', '''created'''),
                     ('attempts', '0'),
                     ('drift_score', '0.0'),
                     ('params', '''{}'''),
                     ('created_at', 'now()'),
                     ('updated_at', 'now()')) AS w (name, fallback)
        JOIN pg_attribute AS a ON a.attrelid = 'tasks'::regclass AND a.attname = w.name
        WHERE NOT a.attnotnull OR NOT a.atthasdef
    LOOP
        EXECUTE format('ALTER TABLE tasks ALTER COLUMN %I SET DEFAULT %s',
                       v_column.name, v_column.fallback);
        IF NOT v_column.attnotnull THEN
            EXECUTE format('UPDATE tasks SET %1$I = DEFAULT WHERE %1$I IS NULL', v_column.name);
            EXECUTE format('ALTER TABLE tasks ALTER COLUMN %I SET NOT NULL', v_column.name);
        END IF;
    END LOOP;
END
$$;
