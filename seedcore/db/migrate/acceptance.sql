-- missing --
-- Which of the wanted objects are not there. A function counts whatever its parameters, because how it
-- looks is a matter of drift.
SELECT w.kind, w.name
FROM unnest(%(kinds)s::text[], %(names)s::text[]) AS w (kind, name)
WHERE NOT CASE w.kind
    WHEN 'extension' THEN EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = w.name)
    WHEN 'function' THEN EXISTS (
        SELECT FROM pg_proc AS p
        WHERE p.pronamespace = 'public'::regnamespace AND p.prokind = 'f' AND p.proname = w.name)
    WHEN 'enum' THEN EXISTS (
        SELECT FROM pg_type AS t
        WHERE t.typnamespace = 'public'::regnamespace AND t.typtype = 'e' AND t.typname = w.name)
    WHEN 'composite' THEN EXISTS (
        SELECT FROM pg_class AS c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'c' AND c.relname = w.name)
    WHEN 'trigger' THEN EXISTS (
        SELECT FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
        WHERE c.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal
          AND c.relname || '.' || t.tgname = w.name)
    ELSE EXISTS (
        SELECT FROM pg_class AS c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relname = w.name
          AND c.relkind = ANY (CASE w.kind WHEN 'table' THEN '{r,p}'::"char"[]
                                           WHEN 'view' THEN '{v}'::"char"[]
                                           WHEN 'index' THEN '{i,I}'::"char"[] END))
    END
ORDER BY 1, 2
