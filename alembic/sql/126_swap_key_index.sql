-- The new index of keys takes the old one's name; until now the old one, which is stricter, was in force.
DO $$
BEGIN
    IF to_regclass('ux_tasks_key_held') IS NOT NULL THEN
        DROP INDEX IF EXISTS ux_tasks_idempotency_key;
        ALTER INDEX ux_tasks_key_held RENAME TO ux_tasks_idempotency_key;
        DROP INDEX IF EXISTS ix_tasks_key_ended;
        ALTER INDEX ix_tasks_key_free RENAME TO ix_tasks_key_ended;
    END IF;
END
$$;
COMMENT ON INDEX ux_tasks_idempotency_key IS 'says once: at most one task keeps a key taken; how long it does is its own choice';
COMMENT ON INDEX ix_tasks_key_ended IS 'tasks that have let go of their key, newest first';
COMMENT ON INDEX ix_tasks_claim_keyed IS 'the claim of tasks with a concurrency key: one range per key and priority';
COMMENT ON INDEX ix_tasks_age_keyed IS 'which tasks with a concurrency key have waited long enough to be raised';
COMMENT ON INDEX ix_tasks_running_key IS 'how many tasks of a concurrency key run';
