-- Three shapes are met in the field: labels in capitals, labels in both cases, a text column.

DO $$
DECLARE
    v_wanted  constant text[] :=
        ARRAY['created', 'queued', 'running', 'completed', 'failed', 'cancelled', 'retry'];
    v_label   text;
    v_view    record;
    v_views   text[] := '{}';
    v_names   text[] := '{}';
    v_rebuild boolean;
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
    END LOOP;

    SELECT (SELECT a.atttypid <> 'taskstatus'::regtype FROM pg_attribute AS a
            WHERE a.attrelid = 'tasks'::regclass AND a.attname = 'status')
        OR (SELECT array_agg(e.enumlabel::text ORDER BY e.enumlabel) FROM pg_enum AS e
            WHERE e.enumtypid = 'taskstatus'::regtype)
           IS DISTINCT FROM (SELECT array_agg(w ORDER BY w) FROM unnest(v_wanted) AS w)
    INTO v_rebuild;
    IF NOT v_rebuild THEN
        RETURN;
    END IF;

    -- Views hold on to the column's type: take them down, newest first, and put them back after.
    FOR v_view IN
        SELECT DISTINCT c.oid, c.oid::regclass::text AS name, pg_get_viewdef(c.oid) AS body
        FROM pg_depend AS d
        JOIN pg_rewrite AS r ON r.oid = d.objid
        JOIN pg_class AS c ON c.oid = r.ev_class AND c.relkind = 'v'
        WHERE d.classid = 'pg_rewrite'::regclass
          AND d.refclassid = 'pg_class'::regclass
          AND d.refobjid = 'tasks'::regclass
        ORDER BY c.oid DESC
    LOOP
        v_names := v_view.name || v_names;
        v_views := v_view.body || v_views;
        EXECUTE format('DROP VIEW %s', v_view.name);
    END LOOP;

    CREATE TYPE taskstatus_clean AS ENUM
        ('created', 'queued', 'running', 'completed', 'failed', 'cancelled', 'retry');
    ALTER TABLE tasks ALTER COLUMN status DROP DEFAULT;
    ALTER TABLE tasks ALTER COLUMN status TYPE taskstatus_clean
        USING lower(status::text)::taskstatus_clean;
    DROP TYPE taskstatus;
    ALTER TYPE taskstatus_clean RENAME TO taskstatus;
    ALTER TABLE tasks ALTER COLUMN status SET DEFAULT 'created';

    FOR i IN 1 .. cardinality(v_names) LOOP
        EXECUTE format('CREATE VIEW %s AS %s', v_names[i], v_views[i]);
    END LOOP;
END
$$;
COMMENT ON TYPE taskstatus IS 'States of a task; completed, failed and cancelled are final.';
