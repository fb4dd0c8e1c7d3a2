-- Run last: the indexes of a filled table are built after everything else.
COMMENT ON INDEX ix_tasks_claim_queue IS 'the claim of the queue lane: one ordered range per priority; tasks with a concurrency key have another';
COMMENT ON INDEX ix_tasks_claim_graph IS 'the claim of the graph lane';
