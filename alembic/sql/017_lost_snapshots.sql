-- Numbers of snapshots that are not there, in columns that had no key: such a row names none from here on, as
-- the key of the earlier files (ON DELETE SET NULL) would have had it. Run outside a transaction, a few
-- hundred pages at a time. A valid key proves that there are none; 016 does the same for facts.
DO $$
DECLARE
    v_table text;
    v_lost  integer[];
    v_page  bigint;
    v_rows  bigint;
    v_done  bigint;
BEGIN
    FOREACH v_table IN ARRAY
        ARRAY['tasks', 'graph_node_map', 'graph_embeddings_128', 'graph_embeddings_1024']
    LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_constraint
                              WHERE conrelid = v_table::regclass AND convalidated
                                AND conname = format('fk_%s_snapshot_id', v_table));
        EXECUTE format('SELECT array_agg(DISTINCT t.snapshot_id) FROM %I AS t
                        WHERE NOT EXISTS (SELECT FROM pkg_snapshots AS s WHERE s.id = t.snapshot_id)
                          AND t.snapshot_id IS NOT NULL', v_table) INTO v_lost;
        CONTINUE WHEN v_lost IS NULL;
        v_page := 0;
        v_done := 0;
        WHILE v_page * current_setting('block_size')::bigint < pg_relation_size(v_table::regclass) LOOP
            EXECUTE format('UPDATE %I SET snapshot_id = NULL, updated_at = updated_at + interval ''1 microsecond'''
                           ' WHERE ctid >= $2 AND ctid < $3 AND snapshot_id = ANY ($1)', v_table)
            USING v_lost, format('(%s,0)', v_page)::tid, format('(%s,0)', v_page + 200)::tid;
            GET DIAGNOSTICS v_rows = ROW_COUNT;
            v_done := v_done + v_rows;
            v_page := v_page + 200;
            COMMIT;
        END LOOP;
        RAISE WARNING '%: % rows named snapshots that are not there (%), and name none now',
            v_table, v_done, array_to_string(v_lost[1:20], ', ');
    END LOOP;
END
$$;
