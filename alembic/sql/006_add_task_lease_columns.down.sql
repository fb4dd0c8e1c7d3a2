DROP FUNCTION IF EXISTS cleanup_stale_running_tasks(integer, integer);
DROP FUNCTION IF EXISTS task_retry_delay(integer, double precision);
ALTER TABLE tasks
    DROP COLUMN IF EXISTS owner_id,
    DROP COLUMN IF EXISTS lease_expires_at,
    DROP COLUMN IF EXISTS last_heartbeat;
