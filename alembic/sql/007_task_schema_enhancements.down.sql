ALTER TABLE tasks DROP CONSTRAINT IF EXISTS ck_tasks_attempts_nonneg;
