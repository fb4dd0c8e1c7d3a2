-- Run last: the indexes of a filled table are built after everything else.
COMMENT ON INDEX ix_tasks_status_runafter IS 'timers, reaper, lists of failed and held tasks, counts; completed ones, which are the bulk, are never sought by status alone';
COMMENT ON INDEX ix_tasks_created_at_desc IS 'newest tasks; retention';
COMMENT ON INDEX ix_tasks_type IS 'tasks of a rare type';
COMMENT ON INDEX ix_tasks_domain IS 'tasks of a domain';
COMMENT ON INDEX ix_tasks_params_gin IS 'tasks by what their params contain';
