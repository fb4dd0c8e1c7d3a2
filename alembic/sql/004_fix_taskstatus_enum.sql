-- Three shapes are met in the field: labels in capitals, labels in both cases, a text column.

DO $$
DECLARE
    v_wanted  constant text[] :=
        ARRAY['created', 'queued', 'running', 'completed', 'failed', 'cancelled', 'retry'];
    v_label   text;
    v_index   record;
    v_check   record;
    v_labels  text[];
    v_rows    bigint;
BEGIN
    -- A label whose lower-case twin is missing only needs its name.
    FOR v_label IN
        SELECT e.enumlabel FROM pg_enum AS e
        WHERE e.enumtypid = 'taskstatus'::regtype
          AND e.enumlabel <> lower(e.enumlabel)
          AND NOT EXISTS (SELECT FROM pg_enum AS twin
                          WHERE twin.enumtypid = e.enumtypid
                            AND twin.enumlabel = lower(e.enumlabel))
    LOOP
        EXECUTE format('ALTER TYPE taskstatus RENAME VALUE %L TO %L', v_label, lower(v_label));
        v_labels := v_labels || v_label;
    END LOOP;
    IF v_labels IS NOT NULL THEN
        RAISE INFO 'taskstatus: labels % renamed to small letters', array_to_string(v_labels, ', ');
    END IF;

    -- The order of the labels is the order in which tasks sort.
    IF (SELECT a.atttypid = 'taskstatus'::regtype FROM pg_attribute AS a
        WHERE a.attrelid = 'tasks'::regclass AND a.attname = 'status')
       AND enum_range(NULL::taskstatus)::text[] = v_wanted THEN
        RETURN;
    END IF;

    PERFORM pg_temp.seedcore_take_down_views('tasks');
    -- Conditions of indexes and checks hold on to the old type as well; a check in the seeds' manner
    -- says what the type says.
    FOR v_index IN
        SELECT c.oid::regclass::text AS name, pg_get_indexdef(c.oid) AS definition
        FROM pg_index AS i
        JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE i.indrelid = 'tasks'::regclass
          AND coalesce(pg_get_expr(i.indpred, i.indrelid), '') || coalesce(pg_get_expr(i.indexprs, i.indrelid), '')
              ~ '\mstatus\M'
    LOOP
        EXECUTE format('DROP INDEX %s', v_index.name);
        RAISE INFO 'tasks: dropped an index on the old status: %', v_index.definition;
    END LOOP;
    FOR v_check IN
        SELECT k.conname AS name, pg_get_constraintdef(k.oid) AS definition
        FROM pg_constraint AS k
        WHERE k.conrelid = 'tasks'::regclass AND k.contype = 'c'
          AND (SELECT a.attnum FROM pg_attribute AS a
               WHERE a.attrelid = 'tasks'::regclass AND a.attname = 'status') = ANY (k.conkey)
    LOOP
        EXECUTE format('ALTER TABLE tasks DROP CONSTRAINT %I', v_check.name);
        RAISE INFO 'tasks: dropped a check on the old status: %', v_check.definition;
    END LOOP;

    CREATE TYPE taskstatus_clean AS ENUM
        ('created', 'queued', 'running', 'completed', 'failed', 'cancelled', 'retry');
    ALTER TABLE tasks ALTER COLUMN status DROP DEFAULT;
    ALTER TABLE tasks ALTER COLUMN status TYPE taskstatus_clean
        USING lower(status::text)::taskstatus_clean;
    DROP TYPE taskstatus;
    ALTER TYPE taskstatus_clean RENAME TO taskstatus;
    ALTER TABLE tasks ALTER COLUMN status SET DEFAULT 'created';
    SELECT count(*) INTO v_rows FROM tasks;
    RAISE INFO 'tasks.status: % rows converted to a clean taskstatus', v_rows;

    PERFORM pg_temp.seedcore_put_back_views();
END
$$;
COMMENT ON TYPE taskstatus IS 'States of a task; completed, failed and cancelled are final.';
