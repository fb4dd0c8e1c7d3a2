-- Run last: the indexes of a filled table are built after everything else.
COMMENT ON INDEX idx_graph_embeddings_128_label IS 'vectors of one label';
COMMENT ON INDEX idx_graph_embeddings_1024_label IS 'vectors of one label';
COMMENT ON INDEX idx_graph_embeddings_128_encoder IS 'vectors of one encoder; deleting one';
COMMENT ON INDEX idx_graph_embeddings_1024_encoder IS 'vectors of one encoder; deleting one';
COMMENT ON INDEX idx_graph_embeddings_128_emb IS 'nearest neighbours by cosine';
COMMENT ON INDEX idx_graph_embeddings_1024_task_emb IS 'nearest tasks: the tier knowledge_base';
COMMENT ON INDEX idx_graph_embeddings_1024_world_emb IS 'nearest entities: the tier world_memory';
