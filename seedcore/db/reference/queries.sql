-- relations --
-- Tables and views of ours; partitions come and go and take everything from their parent.
SELECT c.relname AS name, c.relkind::text AS kind, c.relpersistence = 'u' AS unlogged,
       coalesce(obj_description(c.oid, 'pg_class'), '') AS comment
FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v')
  AND NOT c.relispartition
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e')
ORDER BY c.relname COLLATE "C"

-- columns --
-- In their order, without those that were dropped.
SELECT c.relname AS relation, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
       a.attnotnull AS required,
       CASE WHEN a.attidentity <> '' THEN 'identity'
            WHEN a.attgenerated <> '' THEN 'generated: ' || pg_get_expr(d.adbin, d.adrelid)
            ELSE coalesce(pg_get_expr(d.adbin, d.adrelid), '') END AS fallback,
       coalesce(col_description(c.oid, a.attnum), '') AS comment
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v')
ORDER BY c.relname COLLATE "C", a.attnum

-- constraints --
-- Keys and checks; that a column is required is said with the column.
SELECT c.relname AS relation, k.conname AS name, k.contype::text AS kind,
       pg_get_constraintdef(k.oid, true) AS definition,
       coalesce(f.relname, '') AS target,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u (attnum, nth)
             JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.attnum
             ORDER BY u.nth) AS columns
FROM pg_constraint AS k
JOIN pg_class AS c ON c.oid = k.conrelid
LEFT JOIN pg_class AS f ON f.oid = k.confrelid
WHERE c.relnamespace = 'public'::regnamespace AND k.contype IN ('p', 'u', 'f', 'c', 'x')
ORDER BY c.relname COLLATE "C", array_position('{p,u,x,f,c}', k.contype::text), k.conname COLLATE "C"

-- indexes --
-- Those that are no constraint's; a comment says what each is for.
SELECT c.relname AS relation, i.relname AS name, x.indisunique AS is_unique,
       regexp_replace(pg_get_indexdef(x.indexrelid), '^.* USING ', '') AS definition,
       coalesce(obj_description(i.oid, 'pg_class'), '') AS comment
FROM pg_index AS x
JOIN pg_class AS c ON c.oid = x.indrelid
JOIN pg_class AS i ON i.oid = x.indexrelid
WHERE c.relnamespace = 'public'::regnamespace
  AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u', 'x'))
ORDER BY c.relname COLLATE "C", i.relname COLLATE "C"

-- triggers --
-- What runs by itself, and when.
SELECT c.relname AS relation, t.tgname AS name, p.proname AS function,
       regexp_replace(
           regexp_replace(pg_get_triggerdef(t.oid, true), '^CREATE TRIGGER \S+ ', ''),
           ' EXECUTE FUNCTION .*$', '') AS definition
FROM pg_trigger AS t
JOIN pg_class AS c ON c.oid = t.tgrelid
JOIN pg_proc AS p ON p.oid = t.tgfoid
WHERE c.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal
ORDER BY c.relname COLLATE "C", t.tgname COLLATE "C"

-- enums --
-- Their labels in order.
SELECT t.typname AS name, coalesce(obj_description(t.oid, 'pg_type'), '') AS comment,
       ARRAY(SELECT e.enumlabel::text FROM pg_enum AS e WHERE e.enumtypid = t.oid
             ORDER BY e.enumsortorder) AS labels
FROM pg_type AS t
WHERE t.typnamespace = 'public'::regnamespace AND t.typtype = 'e'
ORDER BY t.typname COLLATE "C"

-- functions --
-- Ours, not those of an extension.
SELECT p.proname AS name, pg_get_function_arguments(p.oid) AS arguments,
       pg_get_function_result(p.oid) AS result,
       p.provolatile::text AS volatility, p.prosrc AS source,
       coalesce(obj_description(p.oid, 'pg_proc'), '') AS comment
FROM pg_proc AS p
WHERE p.pronamespace = 'public'::regnamespace AND p.prokind = 'f'
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')
ORDER BY p.proname COLLATE "C", pg_get_function_identity_arguments(p.oid) COLLATE "C"
