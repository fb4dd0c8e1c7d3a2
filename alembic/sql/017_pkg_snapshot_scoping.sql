-- Tasks, nodes, embeddings and facts say under which policy snapshot they were made. Snapshots in use
-- can't be deleted, so that old runs can be told apart and repeated.

-- A new column with its key is valid at once; one that was there before gets its key below.
ALTER TABLE tasks ADD COLUMN IF NOT EXISTS snapshot_id INTEGER
    CONSTRAINT fk_tasks_snapshot_id REFERENCES pkg_snapshots (id) ON DELETE RESTRICT;
ALTER TABLE graph_node_map ADD COLUMN IF NOT EXISTS snapshot_id INTEGER
    CONSTRAINT fk_graph_node_map_snapshot_id REFERENCES pkg_snapshots (id) ON DELETE RESTRICT;
ALTER TABLE graph_embeddings_128 ADD COLUMN IF NOT EXISTS snapshot_id INTEGER
    CONSTRAINT fk_graph_embeddings_128_snapshot_id REFERENCES pkg_snapshots (id) ON DELETE RESTRICT;
ALTER TABLE graph_embeddings_1024 ADD COLUMN IF NOT EXISTS snapshot_id INTEGER
    CONSTRAINT fk_graph_embeddings_1024_snapshot_id REFERENCES pkg_snapshots (id) ON DELETE RESTRICT;

COMMENT ON COLUMN tasks.snapshot_id IS 'policy snapshot the task was submitted under; null = none was active';
COMMENT ON COLUMN graph_node_map.snapshot_id IS 'policy snapshot the node was made under';
COMMENT ON COLUMN graph_embeddings_128.snapshot_id IS 'policy snapshot the vector was made under';
COMMENT ON COLUMN graph_embeddings_1024.snapshot_id IS 'policy snapshot the vector was made under';

-- Adopted tables: the key refuses to delete a used snapshot instead of forgetting it.
DO $$
DECLARE
    v_table text;
    v_key   text;
    v_name  text;
BEGIN
    FOREACH v_table IN ARRAY
        ARRAY['tasks', 'graph_node_map', 'graph_embeddings_128', 'graph_embeddings_1024']
    LOOP
        v_key := format('fk_%s_snapshot_id', v_table);
        FOR v_name IN
            SELECT c.conname FROM pg_constraint AS c
            JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND c.conkey = ARRAY[a.attnum]
            WHERE c.conrelid = v_table::regclass AND c.contype = 'f' AND a.attname = 'snapshot_id'
              AND (c.conname <> v_key OR c.confdeltype <> 'r')
        LOOP
            EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', v_table, v_name);
        END LOOP;
        IF NOT EXISTS (SELECT FROM pg_constraint
                       WHERE conrelid = v_table::regclass AND conname = v_key) THEN
            EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I FOREIGN KEY (snapshot_id)'
                           ' REFERENCES pkg_snapshots (id) ON DELETE RESTRICT NOT VALID', v_table, v_key);
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_constraint
                   WHERE conrelid = 'facts'::regclass AND conname = 'chk_facts_pkg_rule_requires_snapshot') THEN
        ALTER TABLE facts ADD CONSTRAINT chk_facts_pkg_rule_requires_snapshot
            CHECK (pkg_rule_id IS NULL OR snapshot_id IS NOT NULL) NOT VALID;
    END IF;
END
$$;
