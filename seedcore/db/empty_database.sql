-- Remove every object that a restore brings back; extensions and what belongs to them stay.
SET lock_timeout = '5s';
SET client_min_messages = 'warning';
DO $$
DECLARE
    v_statements TEXT[];
    v_statement TEXT;
BEGIN
    -- The list is made before the first object goes, because most go with another one (CASCADE).
    SELECT array_agg(statement ORDER BY position, statement) INTO v_statements
    FROM (
        SELECT 1 AS position, format('DROP SCHEMA IF EXISTS %I CASCADE', n.nspname) AS statement
        FROM pg_namespace n
        WHERE n.nspname <> 'public' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_namespace'::regclass
                          AND d.objid = n.oid AND d.deptype = 'e')
        UNION ALL
        SELECT 2, format('DROP %s IF EXISTS %I.%I CASCADE',
                         CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                                        WHEN 'f' THEN 'FOREIGN TABLE'
                                        ELSE 'TABLE' END,
                         n.nspname, c.relname)
        FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
          AND NOT c.relispartition
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                          AND d.objid = c.oid AND d.deptype = 'e')
        UNION ALL
        -- A sequence of a column goes with its table.
        SELECT 3, format('DROP SEQUENCE IF EXISTS %I.%I CASCADE', n.nspname, c.relname)
        FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'public' AND c.relkind = 'S'
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                          AND d.objid = c.oid AND d.deptype IN ('e', 'i'))
        UNION ALL
        SELECT 4, format('DROP ROUTINE IF EXISTS %s CASCADE', p.oid::regprocedure)
        FROM pg_proc p
        JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = 'public'
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
                          AND d.objid = p.oid AND d.deptype IN ('e', 'i'))
        UNION ALL
        SELECT 5, format('DROP %s IF EXISTS %I.%I CASCADE',
                         CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END,
                         n.nspname, t.typname)
        FROM pg_type t
        JOIN pg_namespace n ON n.oid = t.typnamespace
        LEFT JOIN pg_class c ON c.oid = t.typrelid
        WHERE n.nspname = 'public' AND (t.typtype IN ('d', 'e', 'r') OR c.relkind = 'c')
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass
                          AND d.objid = t.oid AND d.deptype IN ('e', 'i'))
    ) AS objects;
    FOREACH v_statement IN ARRAY coalesce(v_statements, '{}') LOOP
        EXECUTE v_statement;
    END LOOP;
END
$$;
RESET client_min_messages;
