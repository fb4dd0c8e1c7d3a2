-- Run last: the indexes of a filled table are built after everything else.
COMMENT ON INDEX ix_tasks_claim_queue IS 'the claim of the queue lane: one ordered range per priority';
COMMENT ON INDEX ix_tasks_claim_graph IS 'the claim of the graph lane';
COMMENT ON INDEX ix_tasks_expires IS 'sweep of tasks that expired before they began';
COMMENT ON INDEX ix_tasks_key_ended IS 'ended tasks by their key, newest first';
COMMENT ON INDEX ux_tasks_idempotency_key IS 'says once: at most one live or completed task per key; after a failure the key is free again';
COMMENT ON INDEX ix_task_events_at IS 'events of a stretch of time';
COMMENT ON INDEX ix_task_schedules_due IS 'schedules that are due';
COMMENT ON INDEX ix_task_schedules_last_task IS 'purging the last task of a schedule';
