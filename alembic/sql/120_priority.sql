-- A table that was made by hand may allow rows without a priority. The check that the revision has
-- validated before spares SET NOT NULL its scan under an exclusive lock.
DO $$
BEGIN
    IF NOT (SELECT a.attnotnull FROM pg_attribute AS a
            WHERE a.attrelid = 'tasks'::regclass AND a.attname = 'priority') THEN
        ALTER TABLE tasks ALTER COLUMN priority SET NOT NULL;
        ALTER TABLE tasks DROP CONSTRAINT IF EXISTS ck_tasks_priority_given;
    END IF;
END
$$;

-- Indexes of older releases: those on columns that a heartbeat changes cost the heap-only updates, and
-- the others say again what an index of 007 or 120 says. Nothing here reads them.
DO $$
DECLARE
    v_index record;
BEGIN
    FOR v_index IN
        SELECT c.oid::regclass::text AS name, pg_get_indexdef(c.oid) AS definition
        FROM pg_index AS i
        JOIN pg_class AS c ON c.oid = i.indexrelid
        LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = 'tasks'::regclass AND NOT i.indisunique
          AND c.relname NOT IN ('ix_tasks_status_runafter', 'ix_tasks_created_at_desc', 'ix_tasks_type',
                                'ix_tasks_domain', 'ix_tasks_params_gin')
          AND (pg_get_indexdef(c.oid) ~ '\m(lease_expires_at|last_heartbeat|updated_at|owner_id)\M|''hints'''
               OR c.relname ~ '^(idx|ix)_tasks_'
                  AND (a.attname IN ('status', 'run_after')
                       OR i.indnkeyatts = 1 AND a.attname IN ('created_at', 'type', 'domain', 'params')))
        ORDER BY 1
    LOOP
        EXECUTE format('DROP INDEX %s', v_index.name);
        RAISE INFO 'tasks: dropped an index of an older release: %', v_index.definition;
    END LOOP;
END
$$;
