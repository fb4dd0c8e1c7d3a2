-- The queue's own statements make no nodes for the dependencies that they store: a submit must not wait
-- for another that names the same task. Those nodes come with graph_edges_map().
CREATE OR REPLACE TRIGGER node_map_edge AFTER INSERT ON task_depends_on_task
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT
    WHEN (current_setting('search_path') NOT LIKE '%seedcore_engine%')
    EXECUTE FUNCTION node_map_edge('src_task_id', 'dst_task_id');

DO $$
DECLARE
    v_table text;
BEGIN
    FOREACH v_table IN ARRAY ARRAY[
        'task_produces_artifact', 'task_uses_capability', 'task_reads_memory', 'task_writes_memory',
        'task_executed_by_organ', 'task_owned_by_agent', 'task_reads_fact', 'task_produces_fact']
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER node_map_edge AFTER INSERT ON %I
            REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT
            EXECUTE FUNCTION node_map_edge(''task_id'')', v_table);
    END LOOP;
END
$$;

-- Last, because the writers of `tasks` wait from here until the revision commits.
CREATE OR REPLACE TRIGGER node_map_deleted AFTER DELETE ON tasks
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT
    EXECUTE FUNCTION node_map_delete('task');
