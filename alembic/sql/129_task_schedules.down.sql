DROP FUNCTION IF EXISTS tasks_redrive(UUID[], INTEGER, TIMESTAMPTZ, INTEGER, DOUBLE PRECISION);
DROP FUNCTION IF EXISTS task_error_group(TEXT);
DROP FUNCTION IF EXISTS task_await(UUID);
DROP FUNCTION IF EXISTS tasks_link(UUID[], UUID[], BOOLEAN[]);
DROP FUNCTION IF EXISTS tasks_remember_waiting(UUID[]);
DROP FUNCTION IF EXISTS tasks_remember_another(UUID);
DROP FUNCTION IF EXISTS task_waits_bucket(UUID);
DROP FUNCTION IF EXISTS task_schedule_run(TEXT);
DROP FUNCTION IF EXISTS task_schedules_fire(UUID[], TIMESTAMPTZ[], TIMESTAMPTZ[], UUID[], TIMESTAMPTZ[], TEXT[], TEXT[]);
DROP FUNCTION IF EXISTS task_schedule_fire_one(task_schedules, TIMESTAMPTZ, TEXT, TEXT);
DROP FUNCTION IF EXISTS task_schedule_submit(task_schedules, TIMESTAMPTZ, TEXT);
DROP FUNCTION IF EXISTS task_schedule_key(UUID, TIMESTAMPTZ);
DROP TABLE IF EXISTS task_schedule_fires;
ALTER TABLE task_schedules
    DROP CONSTRAINT IF EXISTS ck_task_schedules_name,
    DROP COLUMN IF EXISTS failures,
    DROP COLUMN IF EXISTS changed_by,
    DROP COLUMN IF EXISTS reason;
COMMENT ON COLUMN task_schedules.next_run_at IS NULL;
COMMENT ON COLUMN task_schedules.last_run_at IS NULL;
COMMENT ON COLUMN task_schedules.last_error IS NULL;
