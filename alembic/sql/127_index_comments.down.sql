-- As 120 says it; the indexes that took the names back have none yet.
COMMENT ON INDEX ix_tasks_claim_queue IS 'the claim of the queue lane: one ordered range per priority';
COMMENT ON INDEX ix_tasks_claim_graph IS 'the claim of the graph lane';
