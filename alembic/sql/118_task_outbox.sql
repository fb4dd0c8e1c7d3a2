-- Events that are written in the transaction of the change they speak of, and handed over afterwards.

CREATE TABLE IF NOT EXISTS task_outbox (
    id           BIGSERIAL   PRIMARY KEY,
    task_id      UUID        NOT NULL,
    event_type   TEXT        NOT NULL,
    payload      JSONB       NOT NULL,
    dedupe_key   TEXT,
    available_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    attempts     INTEGER     NOT NULL DEFAULT 0,
    created_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT task_outbox_dedupe_key_key UNIQUE (dedupe_key)
);
ALTER TABLE task_outbox
    ADD COLUMN IF NOT EXISTS available_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    ADD COLUMN IF NOT EXISTS attempts     INTEGER     NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS created_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    ADD COLUMN IF NOT EXISTS updated_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    ADD COLUMN IF NOT EXISTS max_attempts INTEGER     NOT NULL DEFAULT 10,
    ADD COLUMN IF NOT EXISTS locked_by    TEXT,
    ADD COLUMN IF NOT EXISTS delivered_at TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS dead_at      TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS last_error   TEXT;

COMMENT ON TABLE task_outbox IS 'Events on their way out: delivered at least once, or given up and kept as dead letters.';
COMMENT ON COLUMN task_outbox.task_id IS 'the task that it speaks of, without a foreign key, because events may outlive tasks; all zeros when it speaks of none';
COMMENT ON COLUMN task_outbox.dedupe_key IS 'says "once", such as <task_id>:<label>; consumers drop what they have seen';
COMMENT ON COLUMN task_outbox.available_at IS 'earliest next delivery; while it is claimed, the end of its lease';
COMMENT ON COLUMN task_outbox.attempts IS 'claims so far; fencing token';
COMMENT ON COLUMN task_outbox.max_attempts IS 'claims before it is given up';
COMMENT ON COLUMN task_outbox.locked_by IS 'the consumer that holds it';
COMMENT ON COLUMN task_outbox.delivered_at IS 'when its consumer took it over for good';
COMMENT ON COLUMN task_outbox.dead_at IS 'when it was given up';

-- Rows come and go; what is dead must not stay in the way of the claims.
ALTER TABLE task_outbox SET (
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

DO $$
DECLARE
    v_check record;
BEGIN
    FOR v_check IN
        SELECT * FROM (VALUES
            ('task_outbox_attempts_nonneg', 'CHECK (attempts >= 0)'),
            ('ck_task_outbox_max_attempts', 'CHECK (max_attempts >= 1)'),
            ('ck_task_outbox_one_end', 'CHECK (delivered_at IS NULL OR dead_at IS NULL)')
        ) AS c (name, definition)
    LOOP
        IF NOT EXISTS (
            SELECT FROM pg_constraint
            WHERE conrelid = 'task_outbox'::regclass AND conname = v_check.name
        ) THEN
            EXECUTE format('ALTER TABLE task_outbox ADD CONSTRAINT %I %s NOT VALID',
                           v_check.name, v_check.definition);
        END IF;
        BEGIN
            EXECUTE format('ALTER TABLE task_outbox VALIDATE CONSTRAINT %I', v_check.name);
        EXCEPTION WHEN check_violation THEN
            RAISE WARNING 'task_outbox has rows that violate %, so it holds for new rows only', v_check.name
                USING HINT = 'seedcore db verify lists the rows';
        END;
    END LOOP;
END
$$;

-- Of an older table these two hold delivered rows as well, and are of no use to the claim.
DO $$
DECLARE
    v_index regclass;
BEGIN
    FOR v_index IN
        SELECT i.indexrelid::regclass FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE i.indrelid = 'task_outbox'::regclass AND i.indpred IS NULL
          AND c.relname IN ('idx_task_outbox_available', 'idx_task_outbox_event_type')
    LOOP
        EXECUTE format('DROP INDEX %s', v_index);
    END LOOP;
END
$$;

CREATE OR REPLACE TRIGGER trigger_task_outbox_updated_at
    BEFORE UPDATE ON task_outbox
    FOR EACH ROW WHEN (NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at)
    EXECUTE FUNCTION set_updated_at();
