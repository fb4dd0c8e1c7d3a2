-- create_records --
-- What was applied, when, by whom, and what became of it. Made by the runner, not by a revision: it is
-- needed before the first one and after the last.
CREATE TABLE IF NOT EXISTS seedcore_migrations (
    revision    text PRIMARY KEY,
    description text NOT NULL,
    file_hash   text NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    applied_by  text NOT NULL
);
COMMENT ON TABLE seedcore_migrations IS
    'Revisions of the schema that were applied, written in the same transaction as each of them.';
CREATE TABLE IF NOT EXISTS seedcore_objects (
    kind text NOT NULL,
    name text NOT NULL,
    hash text NOT NULL,
    PRIMARY KEY (kind, name)
);
COMMENT ON TABLE seedcore_objects IS
    'Hashes of the server''s own definitions after the last revision; migrate check compares with them.';

-- create_versions --
-- Alembic's own table, in its own words, for a database that Alembic has not met.
CREATE TABLE IF NOT EXISTS alembic_version (
    version_num varchar(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)

-- drop_records --
-- Taking back the first revision leaves nothing behind.
DROP TABLE IF EXISTS seedcore_objects, seedcore_migrations, alembic_version;

-- record_applied --
-- A revision that is applied again after a stamp replaces its row.
INSERT INTO seedcore_migrations (revision, description, file_hash, started_at, finished_at, applied_by)
VALUES ({revision}, {description}, {file_hash}, {started_at}, clock_timestamp(), {applied_by})
ON CONFLICT (revision) DO UPDATE
SET description = excluded.description, file_hash = excluded.file_hash,
    started_at = excluded.started_at, finished_at = excluded.finished_at,
    applied_by = excluded.applied_by;

-- forget_applied --
-- A revision that was taken back.
DELETE FROM seedcore_migrations WHERE revision = {revision};

-- live_objects --
-- Everything of ours whose definition SQLAlchemy can't describe, as the server itself writes it down.
-- Partitions are left out: they come and go by themselves and take everything from their parent.
SELECT kind, name, encode(sha256(convert_to(definition, 'UTF8')), 'hex') AS hash
FROM (
    SELECT 'function' AS kind,
           p.oid::regprocedure::text AS name,
           pg_get_functiondef(p.oid) AS definition
    FROM pg_proc AS p
    JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.prokind IN ('f', 'p') AND n.nspname || '.' || p.proname = ANY ({names}::text[])
    UNION ALL
    SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'view' ELSE 'table' END,
           c.oid::regclass::text,
           CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid)
                ELSE concat_ws(' ', c.relkind, c.relpersistence, pg_get_partkeydef(c.oid)) END
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
      AND n.nspname || '.' || c.relname = ANY ({names}::text[])
    UNION ALL
    SELECT 'type', t.oid::regtype::text,
           (SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder)
            FROM pg_enum AS e WHERE e.enumtypid = t.oid)
    FROM pg_type AS t
    JOIN pg_namespace AS n ON n.oid = t.typnamespace
    WHERE t.typtype = 'e' AND n.nspname || '.' || t.typname = ANY ({names}::text[])
    UNION ALL
    SELECT part.kind, part.name, part.definition
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (
        SELECT 'trigger' AS kind, c.oid::regclass || '.' || t.tgname AS name,
               pg_get_triggerdef(t.oid) || ' ' || t.tgenabled::text AS definition
        FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal
        UNION ALL
        -- Nullability is Alembic's to compare; only PostgreSQL 18 writes it down as constraints.
        SELECT 'constraint', c.oid::regclass || '.' || k.conname,
               pg_get_constraintdef(k.oid)
        FROM pg_constraint AS k WHERE k.conrelid = c.oid AND k.contype <> 'n'
        UNION ALL
        SELECT 'index', i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
        FROM pg_index AS i WHERE i.indrelid = c.oid AND (i.indisvalid OR c.relkind = 'p')
        UNION ALL
        SELECT 'default', c.oid::regclass || '.' || a.attname,
               concat_ws(' ', pg_get_expr(d.adbin, d.adrelid), nullif(a.attidentity, ''),
                         nullif(a.attgenerated, ''))
        FROM pg_attribute AS a
        LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          AND (d.oid IS NOT NULL OR a.attidentity <> '')
    ) AS part
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND n.nspname || '.' || c.relname = ANY ({names}::text[])
) AS object
UNION ALL
-- Another major version writes definitions in other words.
SELECT 'server', 'major version', (current_setting('server_version_num')::integer / 10000)::text

-- store_objects --
-- Make the stored hashes equal to what is there now.
WITH live AS (
    {live}
), gone AS (
    DELETE FROM seedcore_objects AS o
    WHERE NOT EXISTS (SELECT FROM live WHERE live.kind = o.kind AND live.name = o.name)
)
INSERT INTO seedcore_objects (kind, name, hash)
SELECT kind, name, hash FROM live
ON CONFLICT (kind, name) DO UPDATE SET hash = excluded.hash
WHERE seedcore_objects.hash <> excluded.hash;

-- stored_objects --
-- The hashes as they were after the last revision.
SELECT kind, name, hash FROM public.seedcore_objects

-- bookkeeping --
-- Which of the runner's tables are there.
SELECT to_regclass('public.alembic_version') IS NOT NULL,
       to_regclass('public.seedcore_migrations') IS NOT NULL,
       to_regclass('public.seedcore_objects') IS NOT NULL

-- applied --
-- What the runner wrote down.
SELECT revision, description, file_hash, started_at, finished_at, applied_by
FROM public.seedcore_migrations ORDER BY revision

-- invalid_indexes --
-- Leftovers of interrupted CONCURRENTLY builds. One that is being built right now is left alone; so are
-- all while a build runs whose index this role may not see.
SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid
  AND c.relkind = 'r'
  AND n.nspname || '.' || c.relname = ANY (%(names)s)
  AND NOT EXISTS (
      SELECT FROM pg_stat_progress_create_index AS p
      WHERE p.datname = current_database()
        AND (p.index_relid IS NULL OR p.index_relid = i.indexrelid OR p.relid = i.indrelid))
ORDER BY 1

-- try_lock --
-- Never waits inside the server: a waiting statement holds a snapshot, and a CONCURRENTLY build waits
-- for snapshots, so the two would wait for each other.
SELECT pg_try_advisory_lock(%(space)s, %(duty)s)

-- unlock --
-- The session ends right after, but a pooler may keep it.
SELECT pg_advisory_unlock(%(space)s, %(duty)s)

-- lock_holder --
-- Who migrates right now.
SELECT a.pid, a.usename, a.application_name, a.client_addr::text, a.backend_start
FROM pg_locks AS l
LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid = %(space)s::bigint::oid AND l.objid = %(duty)s::bigint::oid AND l.objsubid = 2

-- blockers --
-- Sessions with an open transaction on one of our tables, oldest first.
SELECT DISTINCT a.pid, a.usename, a.application_name, a.state, a.xact_start
FROM pg_locks AS l
JOIN pg_class AS c ON c.oid = l.relation
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.granted AND a.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND n.nspname || '.' || c.relname = ANY (%(names)s)
ORDER BY a.xact_start
LIMIT 5

-- sizes --
-- Rows (estimated) and bytes of tables that a plan touches.
SELECT c.relname, greatest(c.reltuples, 0)::bigint, pg_total_relation_size(c.oid)
FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'i', 'I')

-- view_readers --
-- Views of others that read those views or tables of ours: they would keep them from being changed.
SELECT DISTINCT reader.oid::regclass::text, reader.relkind::text, c.relname
FROM pg_class AS c
JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
                   AND d.classid = 'pg_rewrite'::regclass
JOIN pg_rewrite AS r ON r.oid = d.objid
JOIN pg_class AS reader ON reader.oid = r.ev_class AND reader.oid <> c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY (%(names)s)
  AND reader.relname <> ALL (%(ours)s)
ORDER BY 1
