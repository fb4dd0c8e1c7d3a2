-- Run last: the indexes of a filled table are built after everything else.
COMMENT ON INDEX idx_task_reads_fact_rev IS 'the edge read backwards; deleting what it leads to';
COMMENT ON INDEX idx_task_produces_fact_rev IS 'the edge read backwards; deleting what it leads to';
