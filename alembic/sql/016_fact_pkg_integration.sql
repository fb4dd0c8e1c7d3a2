-- Facts point at the policy snapshot under which they hold, and begin to hold when they were written.

-- A hand-made key may let go of its facts when a snapshot is deleted. Snapshots in use are retired.
DO $$
DECLARE
    v_name text;
BEGIN
    FOR v_name IN
        SELECT c.conname FROM pg_constraint AS c
        JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND c.conkey = ARRAY[a.attnum]
        WHERE c.conrelid = 'facts'::regclass AND c.contype = 'f' AND a.attname = 'snapshot_id'
          AND (c.conname <> 'fk_facts_snapshot_id' OR c.confdeltype <> 'r')
    LOOP
        EXECUTE format('ALTER TABLE facts DROP CONSTRAINT %I', v_name);
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_constraint
                   WHERE conrelid = 'facts'::regclass AND conname = 'fk_facts_snapshot_id') THEN
        ALTER TABLE facts ADD CONSTRAINT fk_facts_snapshot_id
            FOREIGN KEY (snapshot_id) REFERENCES pkg_snapshots (id) ON DELETE RESTRICT NOT VALID;
    END IF;
END
$$;
