-- Views and functions that the earlier SQL files made under names of ours: code, not data. They go before
-- anything else, because a view keeps columns from changing their type and a function keeps its result
-- type; later revisions make them anew. Functions of ours carry a search path of their own, theirs do not.
DO $$
DECLARE
    v_views  text;
    v_object record;
    v_count  integer := 0;
BEGIN
    SELECT string_agg(c.oid::regclass::text, ', ') INTO v_views
    FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v'
      AND c.relname IN (
          'graph_tasks', 'graph_embeddings', 'task_embeddings', 'task_embeddings_128', 'task_embeddings_1024',
          'hgnn_edges', 'active_instances', 'active_instance', 'facts_structured', 'facts_text_only',
          'facts_with_capabilities', 'active_temporal_facts', 'facts_current_truth',
          'pkg_active_artifact', 'pkg_rules_expanded', 'pkg_deployment_coverage', 'v_unified_cortex_memory',
          'task_embeddings_primary_128', 'task_embeddings_primary_1024', 'tasks_missing_embeddings_128',
          'tasks_missing_embeddings_1024', 'task_embeddings_stale_128', 'task_embeddings_stale_1024',
          'tasks_missing_any_embedding_1024');
    IF v_views IS NOT NULL THEN
        EXECUTE 'DROP VIEW ' || v_views;
        RAISE INFO 'views of earlier SQL files are made anew: %', v_views;
    END IF;
    FOR v_object IN
        SELECT p.oid::regprocedure::text AS name FROM pg_proc AS p
        WHERE p.pronamespace = 'public'::regnamespace AND p.prokind = 'f' AND p.proconfig IS NULL
          AND p.prorettype <> 'trigger'::regtype
          AND p.proname IN (
              'create_graph_embed_task', 'create_graph_rag_task', 'create_graph_embed_task_v2',
              'create_graph_rag_task_v2', 'cleanup_stale_running_tasks', 'backfill_task_nodes',
              'ensure_task_node', 'ensure_agent_node', 'ensure_organ_node', 'ensure_artifact_node',
              'ensure_capability_node', 'ensure_memory_cell_node', 'ensure_model_node', 'ensure_policy_node',
              'ensure_service_node', 'ensure_skill_node', 'ensure_fact_node', 'ensure_instance_node',
              'set_current_epoch', 'register_instance', 'set_instance_status', 'beat',
              'expire_stale_instances', 'expire_old_epoch_instances',
              'pkg_active_snapshot_id', 'pkg_promote_snapshot', 'pkg_check_integrity',
              'get_facts_by_subject', 'get_facts_at_time', 'cleanup_expired_facts', 'get_fact_statistics',
              'unified_cortex_semantic_search')
        ORDER BY 1
    LOOP
        EXECUTE 'DROP FUNCTION ' || v_object.name;
        v_count := v_count + 1;
    END LOOP;
    IF v_count > 0 THEN
        RAISE INFO '% functions of earlier SQL files are made anew', v_count;
    END IF;
END
$$;

-- The trigger that stamped updated_at, and overwrote what a statement said: ours takes its place on each
-- table. Their function stays while somebody's own table still uses it.
DO $$
DECLARE
    v_found record;
    v_count integer := 0;
BEGIN
    FOR v_found IN
        SELECT t.tgname AS name, t.tgrelid::regclass::text AS place
        FROM pg_trigger AS t
        JOIN pg_class AS c ON c.oid = t.tgrelid AND c.relnamespace = 'public'::regnamespace
        JOIN pg_proc AS p ON p.oid = t.tgfoid AND p.pronamespace = 'public'::regnamespace
        WHERE NOT t.tgisinternal AND p.proname = 'update_updated_at_column'
          AND t.tgname = 'update_' || c.relname || '_updated_at'
          AND c.relname IN ('tasks', 'facts', 'graph_node_map', 'agent_registry', 'organ_registry', 'artifact',
                            'capability', 'memory_cell', 'model', 'policy', 'service', 'skill',
                            'graph_embeddings_128', 'graph_embeddings_1024', 'task_multimodal_embeddings',
                            'task_outbox')
        ORDER BY 2
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', v_found.name, v_found.place);
        v_count := v_count + 1;
    END LOOP;
    IF v_count > 0 THEN
        RAISE INFO '% triggers of earlier SQL files are made anew', v_count;
        BEGIN
            DROP FUNCTION update_updated_at_column();
        EXCEPTION WHEN dependent_objects_still_exist THEN
            NULL;
        END;
    END IF;
END
$$;

-- What later revisions look for under these names: labels in small letters (one with both is 004's work),
-- and constraints where the earlier files made unique indexes.
DO $$
DECLARE
    v_found record;
    v_count integer := 0;
BEGIN
    FOR v_found IN
        SELECT e.enumlabel::text AS label FROM pg_enum AS e
        JOIN pg_type AS t ON t.oid = e.enumtypid
        WHERE t.typname = 'taskstatus' AND t.typnamespace = 'public'::regnamespace
          AND e.enumlabel <> lower(e.enumlabel)
          AND NOT EXISTS (SELECT FROM pg_enum AS twin
                          WHERE twin.enumtypid = e.enumtypid AND twin.enumlabel = lower(e.enumlabel))
    LOOP
        EXECUTE format('ALTER TYPE taskstatus RENAME VALUE %L TO %L', v_found.label, lower(v_found.label));
        v_count := v_count + 1;
    END LOOP;
    IF v_count > 0 THEN
        RAISE INFO 'taskstatus: % labels in capitals are now small', v_count;
    END IF;
    FOR v_found IN
        SELECT i.indrelid::regclass::text AS place, c.relname AS name
        FROM pg_index AS i
        JOIN pg_class AS c ON c.oid = i.indexrelid
        JOIN pg_class AS t ON t.oid = i.indrelid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relname = 'uq_' || t.relname
          AND t.relname ~ '^(task|agent|organ)_' AND i.indisunique AND i.indisvalid
          AND i.indpred IS NULL AND i.indexprs IS NULL
          AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = c.oid)
    LOOP
        EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I UNIQUE USING INDEX %I',
                       v_found.place, v_found.name, v_found.name);
    END LOOP;
END
$$;
