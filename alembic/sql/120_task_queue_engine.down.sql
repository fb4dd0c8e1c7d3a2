DROP VIEW IF EXISTS task_queue_stats;

DROP TRIGGER IF EXISTS tasks_updated ON tasks;
DROP TRIGGER IF EXISTS tasks_inserted ON tasks;
DROP TRIGGER IF EXISTS tasks_guard ON tasks;
DROP FUNCTION IF EXISTS tasks_after_update();
DROP FUNCTION IF EXISTS tasks_after_insert();
DROP FUNCTION IF EXISTS tasks_guard_transition();

DROP FUNCTION IF EXISTS task_events_purge(INTERVAL, INTEGER);
DROP FUNCTION IF EXISTS tasks_purge(INTERVAL, taskstatus[], INTEGER);
DROP FUNCTION IF EXISTS task_schedule_fire(UUID, TIMESTAMPTZ, TIMESTAMPTZ);
DROP FUNCTION IF EXISTS queue_resume(TEXT, TEXT);
DROP FUNCTION IF EXISTS queue_pause(TEXT, TEXT, TEXT);
DROP FUNCTION IF EXISTS tasks_requeue_stale(UUID[], DOUBLE PRECISION, TEXT[], INTEGER, INTEGER, INTEGER);
DROP FUNCTION IF EXISTS tasks_requeue(UUID[], INTEGER, DOUBLE PRECISION);
DROP FUNCTION IF EXISTS tasks_release(UUID[]);
DROP FUNCTION IF EXISTS tasks_cancel(UUID[], TEXT, TEXT);
DROP FUNCTION IF EXISTS tasks_leave_keys(UUID[]);
DROP FUNCTION IF EXISTS tasks_release_ready(INTEGER);
DROP FUNCTION IF EXISTS tasks_expire_due(INTEGER);
DROP FUNCTION IF EXISTS tasks_reap_expired(DOUBLE PRECISION, INTEGER, INTEGER, INTEGER);
DROP FUNCTION IF EXISTS tasks_lapse(UUID[], INTEGER, INTEGER, BOOLEAN);
DROP FUNCTION IF EXISTS tasks_give_back(TEXT, UUID[], INTEGER[], DOUBLE PRECISION, INTEGER);
DROP FUNCTION IF EXISTS tasks_retry_or_fail(UUID[], TEXT[], JSONB[], BOOLEAN[], DOUBLE PRECISION[], TEXT, INTEGER[], INTEGER);
DROP FUNCTION IF EXISTS tasks_complete(TEXT, UUID[], INTEGER[], JSONB[]);
DROP FUNCTION IF EXISTS tasks_renew(TEXT, UUID[], INTEGER[], DOUBLE PRECISION);
DROP FUNCTION IF EXISTS tasks_claim(TEXT, TEXT, INTEGER, DOUBLE PRECISION, TEXT, TEXT[], TEXT[]);
DROP FUNCTION IF EXISTS tasks_link(UUID[], UUID[]);
DROP FUNCTION IF EXISTS task_submit(TEXT, TEXT, JSONB, TEXT, DOUBLE PRECISION, INTEGER, TIMESTAMPTZ, TIMESTAMPTZ,
    TIMESTAMPTZ, INTEGER, TEXT, UUID[], BOOLEAN, UUID, TEXT, INTEGER);
DROP FUNCTION IF EXISTS task_find_key(TEXT);
DROP FUNCTION IF EXISTS task_remove_dependency(UUID, UUID);
DROP FUNCTION IF EXISTS task_add_dependency(UUID, UUID, BOOLEAN);
DROP FUNCTION IF EXISTS tasks_hold_dependencies(UUID[]);
DROP FUNCTION IF EXISTS tasks_release_dependants(UUID[]);
DROP FUNCTION IF EXISTS tasks_settle_waiting(UUID[], BOOLEAN);
DROP FUNCTION IF EXISTS task_hint_ttl(JSONB);
DROP FUNCTION IF EXISTS task_hint_deadline(JSONB);
DROP FUNCTION IF EXISTS task_read_time(TEXT);
DROP FUNCTION IF EXISTS task_hint_priority(JSONB);
DROP FUNCTION IF EXISTS task_events_ensure(INTEGER);
DROP FUNCTION IF EXISTS queue_notify(TEXT);
DROP FUNCTION IF EXISTS task_reason();
DROP FUNCTION IF EXISTS task_actor();
DROP FUNCTION IF EXISTS task_lane(TEXT);

DROP TABLE IF EXISTS queue_waiters;
DROP TABLE IF EXISTS queue_lanes;
DROP TABLE IF EXISTS task_schedules;
DROP TABLE IF EXISTS task_events;
-- 008 made the table.
ALTER TABLE task_depends_on_task DROP COLUMN IF EXISTS required;
COMMENT ON TABLE task_depends_on_task IS 'src waits for dst';

DROP INDEX IF EXISTS ux_tasks_idempotency_key;
DROP INDEX IF EXISTS ix_tasks_key_ended;
DROP INDEX IF EXISTS ix_tasks_expires;
DROP INDEX IF EXISTS ix_tasks_claim_graph;
DROP INDEX IF EXISTS ix_tasks_claim_queue;

ALTER TABLE tasks RESET (
    fillfactor, vacuum_truncate, autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold,
    autovacuum_vacuum_insert_scale_factor, autovacuum_analyze_scale_factor, autovacuum_vacuum_cost_delay);
ALTER TABLE tasks
    DROP CONSTRAINT IF EXISTS ck_tasks_lease,
    DROP CONSTRAINT IF EXISTS ck_tasks_lapses,
    DROP CONSTRAINT IF EXISTS ck_tasks_max_attempts,
    DROP CONSTRAINT IF EXISTS ck_tasks_priority,
    DROP COLUMN IF EXISTS lapses,
    DROP COLUMN IF EXISTS finished_at,
    DROP COLUMN IF EXISTS started_at,
    DROP COLUMN IF EXISTS auto_release,
    DROP COLUMN IF EXISTS idempotency_key,
    DROP COLUMN IF EXISTS max_attempts,
    DROP COLUMN IF EXISTS expires_at,
    DROP COLUMN IF EXISTS deadline_at,
    DROP COLUMN IF EXISTS priority;
