-- relations --
-- Tables, views, indexes and composite types: what they are, and whose.
SELECT c.relname, c.relkind::text, c.relpersistence::text,
       pg_get_userbyid(c.relowner), pg_has_role(c.relowner, 'USAGE'),
       obj_description(c.oid, 'pg_class') IS NOT NULL,
       i.indrelid::regclass::text,
       CASE WHEN i.indexrelid IS NOT NULL THEN pg_get_indexdef(c.oid) END,
       EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x'))
FROM pg_class AS c
LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY (%(names)s) AND NOT c.relispartition
ORDER BY 1

-- columns --
-- Columns of tables and of composite types.
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       pg_get_expr(d.adbin, d.adrelid), concat(a.attidentity, a.attgenerated)
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'c') AND c.relname = ANY (%(names)s)
ORDER BY c.relname, a.attnum

-- rules --
-- Keys and checks of tables; nullability is a matter of columns.
SELECT c.relname, k.conname, k.contype::text, replace(pg_get_constraintdef(k.oid), ' NOT VALID', ''),
       ARRAY(SELECT a.attname::text FROM pg_attribute AS a
             WHERE a.attrelid = c.oid AND a.attnum = ANY (k.conkey) ORDER BY array_position(k.conkey, a.attnum))
FROM pg_class AS c
JOIN pg_constraint AS k ON k.conrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname = ANY (%(names)s)
  AND k.contype IN ('p', 'u', 'x', 'c', 'f')
ORDER BY 1, 2

-- triggers --
-- Triggers of tables, each with the function that it calls.
SELECT c.relname, t.tgname, p.proname, t.tgconstraint <> 0
FROM pg_class AS c
JOIN pg_trigger AS t ON t.tgrelid = c.oid AND NOT t.tgisinternal
JOIN pg_proc AS p ON p.oid = t.tgfoid
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY (%(names)s)
ORDER BY 1, 2

-- routines --
-- Functions and procedures. Ours have a comment, each of them.
SELECT p.oid::regprocedure::text, p.proname, p.prokind::text, coalesce(pg_get_function_result(p.oid), ''),
       (coalesce(p.proargnames, '{}'))[1 : p.pronargs],
       pg_get_userbyid(p.proowner), pg_has_role(p.proowner, 'USAGE'),
       p.proconfig IS NOT NULL, obj_description(p.oid, 'pg_proc') IS NOT NULL, p.prosrc
FROM pg_proc AS p
WHERE p.pronamespace = 'public'::regnamespace AND p.proname = ANY (%(names)s)
ORDER BY 1

-- types --
-- Types under these names that are no table's row type, with the labels of enums.
SELECT t.typname, t.typtype::text,
       ARRAY(SELECT e.enumlabel::text FROM pg_enum AS e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder),
       pg_get_userbyid(t.typowner), pg_has_role(t.typowner, 'USAGE')
FROM pg_type AS t
WHERE t.typnamespace = 'public'::regnamespace AND t.typname = ANY (%(names)s) AND t.typrelid = 0
ORDER BY 1

-- oddities --
-- What makes a table behave otherwise than its columns tell.
SELECT c.relname, what.word, what.name
FROM pg_class AS c
CROSS JOIN LATERAL (
    SELECT 'security' AS word, '' AS name WHERE c.relrowsecurity OR c.relforcerowsecurity
    UNION ALL SELECT 'policy', p.polname FROM pg_policy AS p WHERE p.polrelid = c.oid
    UNION ALL SELECT 'rule', r.rulename FROM pg_rewrite AS r
              WHERE r.ev_class = c.oid AND c.relkind IN ('r', 'p')
    UNION ALL SELECT 'child', i.inhparent::regclass::text FROM pg_inherits AS i WHERE i.inhrelid = c.oid
    UNION ALL SELECT 'parent', i.inhrelid::regclass::text FROM pg_inherits AS i
              WHERE i.inhparent = c.oid AND c.relkind = 'r'
) AS what
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname = ANY (%(names)s)
ORDER BY 1, 2, 3

-- rights --
-- Whether this role may make things here, and where "here" is.
SELECT current_user::text, current_database()::text, has_schema_privilege('public', 'CREATE'),
       has_database_privilege(current_database(), 'TEMPORARY')

-- dependents --
-- What else hangs on views, functions and tables that are made anew; it would keep them from going.
SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid), t.name
FROM (SELECT 'pg_class'::regclass AS class, c.oid, c.relname::text AS name FROM pg_class AS c
      WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY (%(relations)s)
      UNION ALL
      SELECT 'pg_type'::regclass, c.reltype, c.relname FROM pg_class AS c
      WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY (%(relations)s)
      UNION ALL
      SELECT 'pg_proc'::regclass, p.oid, p.oid::regprocedure::text FROM pg_proc AS p
      WHERE p.pronamespace = 'public'::regnamespace AND p.oid::regprocedure::text = ANY (%(routines)s)) AS t
JOIN pg_depend AS d ON d.refclassid = t.class AND d.refobjid = t.oid AND d.deptype = 'n'
LEFT JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
LEFT JOIN pg_class AS reader ON reader.oid = r.ev_class
LEFT JOIN pg_proc AS caller ON d.classid = 'pg_proc'::regclass AND caller.oid = d.objid
WHERE (reader.oid IS NULL AND (caller.oid IS NULL OR NOT (caller.oid::regprocedure::text = ANY (%(routines)s))))
   OR (d.refclassid = 'pg_proc'::regclass AND reader.relname <> ALL (%(ours)s))
ORDER BY 1

-- column_users --
-- What hangs on the type of a column: views are put back by the revisions, these are not.
SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid), a.attname
FROM pg_attribute AS a
JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum
LEFT JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
LEFT JOIN pg_class AS reader ON reader.oid = r.ev_class
LEFT JOIN pg_attrdef AS e ON d.classid = 'pg_attrdef'::regclass AND e.oid = d.objid
WHERE a.attrelid = to_regclass('public.' || %(table)s::text) AND a.attname = ANY (%(columns)s)
  AND (d.classid IN ('pg_trigger'::regclass, 'pg_policy'::regclass, 'pg_proc'::regclass, 'pg_publication_rel'::regclass)
       OR reader.relkind = 'm' OR (e.oid IS NOT NULL AND e.adnum <> a.attnum))
ORDER BY 1
