-- Rows from before get the active snapshot, if one is active. Run outside a transaction: a few hundred
-- pages at a time, so that no writer waits long, and again until none is left. A microsecond keeps
-- updated_at in its order: nothing was done to the row.
DO $$
DECLARE
    v_snapshot integer := pkg_default_snapshot_id();
    v_table    text;
    v_page     bigint;
    v_left     boolean;
    v_rows     bigint;
    v_done     bigint;
BEGIN
    IF v_snapshot IS NULL THEN
        RETURN;
    END IF;
    FOREACH v_table IN ARRAY
        ARRAY['tasks', 'graph_node_map', 'graph_embeddings_128', 'graph_embeddings_1024', 'facts']
    LOOP
        v_done := 0;
        FOR v_pass IN 1 .. 3 LOOP
            EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE snapshot_id IS NULL)', v_table) INTO v_left;
            EXIT WHEN NOT v_left;
            v_page := 0;
            WHILE v_page * current_setting('block_size')::bigint < pg_relation_size(v_table::regclass) LOOP
                EXECUTE format(
                    'UPDATE %I SET snapshot_id = $1, updated_at = updated_at + interval ''1 microsecond'''
                    ' WHERE ctid >= $2 AND ctid < $3 AND snapshot_id IS NULL%s', v_table,
                    -- Rows that break a check of 010 can't be written at all.
                    CASE WHEN v_table = 'facts' THEN
                        ' AND num_nulls(subject, predicate, object_data) IN (0, 3)'
                        ' AND (pkg_rule_id IS NULL OR subject IS NOT NULL)'
                        ' AND btrim(namespace) <> '''' AND btrim(created_by) <> '''''
                        ' AND coalesce(valid_from <= valid_to, true)'
                         WHEN v_table = 'tasks' THEN ' AND attempts >= 0' END)
                USING v_snapshot, format('(%s,0)', v_page)::tid, format('(%s,0)', v_page + 200)::tid;
                GET DIAGNOSTICS v_rows = ROW_COUNT;
                v_done := v_done + v_rows;
                v_page := v_page + 200;
                COMMIT;
            END LOOP;
        END LOOP;
        IF v_done > 0 THEN
            RAISE INFO '%: % rows got snapshot %', v_table, v_done, v_snapshot;
        END IF;
    END LOOP;
END
$$;
