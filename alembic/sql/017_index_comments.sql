-- Run last: the indexes of a filled table are built after everything else.
COMMENT ON INDEX idx_tasks_snapshot_id IS 'tasks without a snapshot, which the next index leaves out';
COMMENT ON INDEX idx_tasks_snapshot_status IS 'tasks of a snapshot by status; deleting one';
COMMENT ON INDEX idx_graph_node_map_snapshot_id IS 'nodes of a snapshot; deleting one';
COMMENT ON INDEX idx_graph_embeddings_128_snapshot_id IS 'vectors of a snapshot; deleting one';
COMMENT ON INDEX idx_graph_embeddings_1024_snapshot_id IS 'vectors of a snapshot; deleting one';
