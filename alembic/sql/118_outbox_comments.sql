COMMENT ON INDEX idx_task_outbox_available IS 'claims of any type, oldest first; holds open events only';
COMMENT ON INDEX idx_task_outbox_event_type IS 'claims of certain types';
COMMENT ON INDEX idx_task_outbox_task_id IS 'events of one task';
COMMENT ON INDEX idx_task_outbox_dead IS 'dead letters';
COMMENT ON INDEX idx_task_outbox_delivered IS 'purge of what was delivered long ago';
