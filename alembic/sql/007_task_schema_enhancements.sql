-- json can't be indexed or compared. Rewrites the table, so only where the type is wrong, and once for
-- both columns.
DO $$
DECLARE
    v_column  text;
    v_changes text[] := '{}';
    v_rows    bigint;
BEGIN
    FOR v_column IN
        SELECT a.attname FROM pg_attribute AS a
        WHERE a.attrelid = 'tasks'::regclass
          AND a.attname IN ('params', 'result')
          AND a.atttypid <> 'jsonb'::regtype
    LOOP
        EXECUTE format('ALTER TABLE tasks ALTER COLUMN %I DROP DEFAULT', v_column);
        -- A text column may hold empty strings.
        v_changes := v_changes || format(
            CASE v_column
                WHEN 'params' THEN 'ALTER COLUMN %1$I TYPE jsonb USING coalesce(nullif(%1$I::text, ''''), ''{}'')::jsonb'
                ELSE 'ALTER COLUMN %1$I TYPE jsonb USING nullif(%1$I::text, '''')::jsonb'
            END, v_column);
    END LOOP;
    IF cardinality(v_changes) > 0 THEN
        PERFORM pg_temp.seedcore_take_down_views('tasks');
        EXECUTE 'ALTER TABLE tasks ' || array_to_string(v_changes, ', ');
        PERFORM pg_temp.seedcore_put_back_views();
        SELECT count(*) INTO v_rows FROM tasks;
        RAISE INFO 'tasks: params and result of % rows converted to jsonb', v_rows;
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_attrdef AS d
        JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
        WHERE d.adrelid = 'tasks'::regclass AND a.attname = 'params'
          AND pg_get_expr(d.adbin, d.adrelid) = '''{}''::jsonb'
    ) THEN
        ALTER TABLE tasks ALTER COLUMN params SET DEFAULT '{}';
    END IF;
END
$$;

-- A count below zero means nothing, and a claim would be refused for the whole batch it is in.
DO $$
DECLARE
    v_rows bigint;
BEGIN
    IF EXISTS (SELECT FROM pg_constraint
               WHERE conrelid = 'tasks'::regclass AND conname = 'ck_tasks_attempts_nonneg') THEN
        RETURN;
    END IF;
    UPDATE tasks SET attempts = 0 WHERE attempts < 0;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    IF v_rows > 0 THEN
        RAISE INFO 'tasks: % rows with negative attempts now have none', v_rows;
    END IF;
    ALTER TABLE tasks ADD CONSTRAINT ck_tasks_attempts_nonneg CHECK (attempts >= 0) NOT VALID;
END
$$;
