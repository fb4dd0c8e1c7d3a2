-- 120's own versions follow.
DROP FUNCTION IF EXISTS task_submit(TEXT, TEXT, JSONB, TEXT, DOUBLE PRECISION, INTEGER, TIMESTAMPTZ, TIMESTAMPTZ,
    TIMESTAMPTZ, INTEGER, TEXT, UUID[], BOOLEAN, UUID, TEXT, INTEGER, TEXT, INTEGER);
DROP FUNCTION IF EXISTS queue_pause(TEXT, TEXT, TEXT, TEXT);
DROP FUNCTION IF EXISTS queue_resume(TEXT, TEXT, TEXT);

DROP FUNCTION IF EXISTS task_held_back_by(UUID);
DROP FUNCTION IF EXISTS tasks_age(DOUBLE PRECISION, INTEGER);
DROP FUNCTION IF EXISTS queue_fair(TEXT, BOOLEAN, TEXT);
DROP FUNCTION IF EXISTS queue_unlimit(TEXT, TEXT, TEXT);
DROP FUNCTION IF EXISTS queue_limit(TEXT, TEXT, TEXT, TEXT, DOUBLE PRECISION, DOUBLE PRECISION, INTEGER);
DROP FUNCTION IF EXISTS queue_control_tidy(TEXT);
DROP FUNCTION IF EXISTS queue_hold_lane(TEXT);
DROP FUNCTION IF EXISTS tasks_pick_restricted(TEXT, INTEGER, TEXT[], TEXT[]);
DROP FUNCTION IF EXISTS tasks_pick_in_order(TEXT, INTEGER, TEXT[], TEXT[]);
DROP FUNCTION IF EXISTS tasks_pick_in_turns(TEXT, INTEGER, TEXT[], TEXT[], UUID[]);
DROP FUNCTION IF EXISTS tasks_pick_keyed(TEXT, INTEGER, TEXT[], TEXT[], UUID[]);
DROP FUNCTION IF EXISTS tasks_pick_by_key(TEXT, INTEGER, TEXT[], TEXT[], BOOLEAN, UUID[]);
DROP FUNCTION IF EXISTS queue_turn_taken(TEXT, TEXT, TEXT);
DROP FUNCTION IF EXISTS queue_next_token_s(TEXT);
DROP FUNCTION IF EXISTS queue_spend(TEXT, TEXT, INTEGER);
DROP FUNCTION IF EXISTS queue_grant(TEXT, TEXT, INTEGER, UUID[]);
DROP FUNCTION IF EXISTS queue_tokens(queue_controls, TIMESTAMPTZ);
DROP FUNCTION IF EXISTS queue_require_fresh_reads();

DROP TRIGGER IF EXISTS task_schedules_recorded ON task_schedules;
DROP TRIGGER IF EXISTS queue_lanes_recorded ON queue_lanes;
DROP TRIGGER IF EXISTS tasks_deleted_keys ON tasks;
DROP FUNCTION IF EXISTS tasks_after_foreign_delete();
DROP TRIGGER IF EXISTS tasks_updated_keys ON tasks;
DROP FUNCTION IF EXISTS tasks_after_foreign_end();
DROP FUNCTION IF EXISTS task_key_use(TEXT);
DROP FUNCTION IF EXISTS tasks_forget_key_holds();
DROP FUNCTION IF EXISTS tasks_let_keys_go(TEXT, UUID[], INTEGER[]);
DROP FUNCTION IF EXISTS tasks_hold_keys(TEXT, UUID[], INTEGER[], DOUBLE PRECISION);
DROP TABLE IF EXISTS task_key_holds;

DROP TRIGGER IF EXISTS queue_lanes_restrict ON queue_lanes;
DROP TABLE IF EXISTS queue_turns;
DROP TABLE IF EXISTS queue_controls;
DROP FUNCTION IF EXISTS queue_record_change();
DROP TABLE IF EXISTS queue_changes;
DROP FUNCTION IF EXISTS queue_lane_restrict();
ALTER TABLE queue_lanes DROP COLUMN IF EXISTS restricted, DROP COLUMN IF EXISTS fair;

-- Keys that were taken for a shorter time may be there twice now; the longer rule keeps the newest.
DROP INDEX IF EXISTS ux_tasks_idempotency_key;
DROP INDEX IF EXISTS ix_tasks_key_ended;
DROP FUNCTION IF EXISTS task_find_key(TEXT);
UPDATE tasks t SET idempotency_key = NULL
WHERE t.unique_while IN ('waiting', 'unfinished')
  AND t.status NOT IN ('created', 'queued', 'failed', 'cancelled')
  AND EXISTS (SELECT FROM tasks o
              WHERE o.idempotency_key = t.idempotency_key AND o.id <> t.id
                AND o.status NOT IN ('failed', 'cancelled')
                AND (o.created_at, o.id) > (t.created_at, t.id));
DROP FUNCTION IF EXISTS task_holds_key(taskstatus, TEXT);
CREATE UNIQUE INDEX ux_tasks_idempotency_key ON tasks (idempotency_key)
    WHERE idempotency_key IS NOT NULL AND status NOT IN ('failed', 'cancelled');
CREATE INDEX ix_tasks_key_ended ON tasks (idempotency_key, created_at DESC)
    WHERE idempotency_key IS NOT NULL AND status IN ('failed', 'cancelled');
COMMENT ON INDEX ux_tasks_idempotency_key IS 'says once: at most one live or completed task per key; after a failure the key is free again';
COMMENT ON INDEX ix_tasks_key_ended IS 'ended tasks by their key, newest first';

DROP INDEX IF EXISTS ix_tasks_claim_domain;
DROP INDEX IF EXISTS ix_tasks_claim_keyed;
DROP INDEX IF EXISTS ix_tasks_age_keyed;
DROP INDEX IF EXISTS ix_tasks_running_key;
ALTER TABLE tasks
    DROP CONSTRAINT IF EXISTS ck_tasks_unique_while,
    DROP CONSTRAINT IF EXISTS ck_tasks_aged,
    DROP CONSTRAINT IF EXISTS ck_tasks_concurrency_key,
    DROP CONSTRAINT IF EXISTS ck_tasks_concurrency_limit,
    DROP COLUMN IF EXISTS unique_while,
    DROP COLUMN IF EXISTS aged,
    DROP COLUMN IF EXISTS concurrency_limit,
    DROP COLUMN IF EXISTS concurrency_key;
