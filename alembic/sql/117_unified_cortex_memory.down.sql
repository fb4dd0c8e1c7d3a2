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
