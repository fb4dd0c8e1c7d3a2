-- Run last: the indexes of a filled table are built after everything else.
COMMENT ON INDEX ix_task_embedding_status_due IS 'embeddings that are due';
COMMENT ON INDEX idx_task_multimodal_modality_model IS 'vectors of one modality and model';
COMMENT ON INDEX idx_tasks_multimodal_fast IS 'tasks by what their multimodal envelope contains';
COMMENT ON INDEX idx_task_multimodal_emb_hnsw IS 'nearest events: the tier event_working';
COMMENT ON INDEX idx_lexical_posting_doc_id IS 'the stems of a document that changes or goes';
