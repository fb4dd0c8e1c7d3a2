DROP TRIGGER IF EXISTS lexical_updated ON tasks;
DROP TRIGGER IF EXISTS lexical_deleted ON tasks;
DO $$
DECLARE
    v_table text;
    v_name  text;
BEGIN
    FOR v_table, v_name IN
        SELECT g.tgrelid::regclass::text, g.tgname FROM pg_trigger AS g
        WHERE g.tgname IN ('lexical_inserted', 'lexical_updated', 'lexical_deleted')
          AND g.tgfoid = to_regproc('public.lexical_changed')
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', v_name, v_table);
    END LOOP;
END
$$;
DROP FUNCTION IF EXISTS lexical_tasks_deleted();
DROP FUNCTION IF EXISTS lexical_task_changed();
DROP FUNCTION IF EXISTS lexical_changed();
DROP FUNCTION IF EXISTS lexical_search(TEXT, INTEGER, TEXT, INTEGER, TIMESTAMPTZ, JSONB);
DROP FUNCTION IF EXISTS memory_in_scope(TEXT, TEXT, TEXT, INTEGER, TIMESTAMPTZ, JSONB);
DROP FUNCTION IF EXISTS lexical_refresh(INTEGER);
DROP FUNCTION IF EXISTS lexical_index(TEXT, TEXT[]);
DROP FUNCTION IF EXISTS lexical_content(TEXT, TEXT[]);
DROP TABLE IF EXISTS lexical_pending, lexical_statistics, lexical_term, lexical_posting, lexical_document;
DROP FUNCTION IF EXISTS lexemes_query(TEXT);
DROP FUNCTION IF EXISTS unified_cortex_semantic_search(vector, INTEGER, FLOAT, INTEGER, TEXT, INTEGER);
DROP TYPE IF EXISTS cortex_hit;
DROP FUNCTION IF EXISTS embedding_finish(UUID, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT);
DROP FUNCTION IF EXISTS embedding_claim(TEXT, TEXT, INTEGER, DOUBLE PRECISION);
DROP FUNCTION IF EXISTS embedding_enqueue_missing(TEXT, INTEGER);
DROP FUNCTION IF EXISTS embedding_enqueue(UUID, TEXT, TEXT);
DROP VIEW IF EXISTS task_embeddings_primary_128, task_embeddings_primary_1024, tasks_missing_embeddings_128,
    tasks_missing_embeddings_1024, task_embeddings_stale_128, task_embeddings_stale_1024,
    tasks_missing_any_embedding_1024, v_unified_cortex_memory;
DROP INDEX IF EXISTS idx_tasks_multimodal_fast;
DROP TABLE IF EXISTS task_embedding_status;
DROP TABLE IF EXISTS task_multimodal_embeddings;
DROP FUNCTION IF EXISTS embedding_content_sha256(TEXT, TEXT, TEXT, JSONB);
DROP FUNCTION IF EXISTS embedding_content(TEXT, TEXT, TEXT, JSONB);
DROP FUNCTION IF EXISTS task_multimodal_text(JSONB);
DROP FUNCTION IF EXISTS task_content_sha256(TEXT, TEXT, JSONB);
DROP FUNCTION IF EXISTS task_content_text(TEXT, TEXT, JSONB);
