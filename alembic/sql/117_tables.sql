-- Vectors of what was heard and seen, and what of each task is embedded or waits for it.

CREATE TABLE IF NOT EXISTS task_multimodal_embeddings (
    task_id         UUID         NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    source_modality TEXT         NOT NULL,
    emb             VECTOR(1024) NOT NULL,
    model_version   TEXT         NOT NULL,
    created_at      TIMESTAMPTZ  NOT NULL DEFAULT now(),
    updated_at      TIMESTAMPTZ  NOT NULL DEFAULT now(),
    PRIMARY KEY (task_id, source_modality)
);
COMMENT ON TABLE task_multimodal_embeddings IS
    'vectors of a task''s voice, vision, sensor data or words about them: memory of what happens now';

DO $$
DECLARE
    v_rows bigint;
    v_rule record;
BEGIN
    DELETE FROM task_multimodal_embeddings WHERE vector_norm(emb) = 0;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    IF v_rows > 0 THEN
        RAISE WARNING '% zero vectors were dropped from task_multimodal_embeddings', v_rows;
    END IF;
    FOR v_rule IN
        SELECT * FROM (VALUES
            ('ck_task_multimodal_embeddings_modality',
             'CHECK (source_modality IN (''voice'', ''vision'', ''sensor'', ''text''))'),
            ('ck_task_multimodal_embeddings_norm', 'CHECK (vector_norm(emb) > 0)')
        ) AS r (name, definition)
    LOOP
        IF NOT EXISTS (SELECT FROM pg_constraint
                       WHERE conrelid = 'task_multimodal_embeddings'::regclass AND conname = v_rule.name) THEN
            EXECUTE format('ALTER TABLE task_multimodal_embeddings ADD CONSTRAINT %I %s NOT VALID',
                           v_rule.name, v_rule.definition);
        END IF;
    END LOOP;
END
$$;

CREATE OR REPLACE TRIGGER trigger_task_multimodal_embeddings_updated_at
    BEFORE UPDATE ON task_multimodal_embeddings
    FOR EACH ROW WHEN (NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at)
    EXECUTE FUNCTION set_updated_at();

CREATE TABLE IF NOT EXISTS task_embedding_status (
    task_id        UUID        NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    space          TEXT        NOT NULL,
    label          TEXT        NOT NULL DEFAULT 'task.primary',
    state          TEXT        NOT NULL DEFAULT 'pending',
    content_sha256 TEXT,
    model          TEXT,
    attempts       INTEGER     NOT NULL DEFAULT 0,
    locked_by      TEXT,
    next_try_at    TIMESTAMPTZ NOT NULL DEFAULT now(),
    last_error     TEXT,
    created_at     TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at     TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (task_id, space, label),
    CONSTRAINT ck_task_embedding_status_space CHECK (space IN ('128', '1024', 'multimodal')),
    CONSTRAINT ck_task_embedding_status_label CHECK (label <> ''),
    CONSTRAINT ck_task_embedding_status_state
        CHECK (state IN ('pending', 'running', 'done', 'failed', 'skipped')),
    CONSTRAINT ck_task_embedding_status_sha256 CHECK (length(content_sha256) = 64),
    CONSTRAINT ck_task_embedding_status_attempts CHECK (attempts >= 0),
    CONSTRAINT ck_task_embedding_status_lease CHECK ((state = 'running') = (locked_by IS NOT NULL))
);
COMMENT ON TABLE task_embedding_status IS
    'which vectors of tasks are due, under way, done, given up, or have nothing to embed; instead of placeholder vectors';
COMMENT ON COLUMN task_embedding_status.content_sha256 IS 'hash of the text that was last handed out to be embedded';
COMMENT ON COLUMN task_embedding_status.next_try_at IS 'pending: not before; running: end of the lease';

CREATE OR REPLACE TRIGGER trigger_task_embedding_status_updated_at
    BEFORE UPDATE ON task_embedding_status
    FOR EACH ROW WHEN (NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at)
    EXECUTE FUNCTION set_updated_at();
