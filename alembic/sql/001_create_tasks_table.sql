-- Safe over the shape that the source documents show: what exists is kept, 004-007 repair it.

CREATE TABLE IF NOT EXISTS seedcore_settings (
    name       text PRIMARY KEY,
    value      text NOT NULL,
    changed_by text NOT NULL DEFAULT current_user,
    changed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ck_seedcore_settings_name CHECK (name ~ '^[a-z][a-z0-9_.]*$')
);
COMMENT ON TABLE seedcore_settings IS
    'Settings that hold for every client of this database; read them through seedcore_setting().';

CREATE OR REPLACE FUNCTION seedcore_setting(p_name text, p_fallback text DEFAULT NULL)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = public, pg_temp
AS $$
    SELECT coalesce(
        nullif(current_setting('seedcore.' || p_name, true), ''),
        (SELECT s.value FROM seedcore_settings AS s WHERE s.name = p_name),
        p_fallback)
$$;
COMMENT ON FUNCTION seedcore_setting(text, text) IS
    'The setting in force: the session''s seedcore.<name>, else the row of that name, else the fallback.';

DO $$
BEGIN
    IF to_regtype('taskstatus') IS NULL THEN
        CREATE TYPE taskstatus AS ENUM
            ('created', 'queued', 'running', 'completed', 'failed', 'cancelled', 'retry');
    END IF;
END
$$;
COMMENT ON TYPE taskstatus IS 'States of a task; completed, failed and cancelled are final.';

CREATE TABLE IF NOT EXISTS tasks (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    status      taskstatus NOT NULL DEFAULT 'created',
    attempts    integer NOT NULL DEFAULT 0,
    locked_by   text,
    locked_at   timestamptz,
    run_after   timestamptz,
    type        text NOT NULL,
    description text,
    domain      text,
    drift_score double precision NOT NULL DEFAULT 0.0,
    params      jsonb NOT NULL DEFAULT '{}',
    result      jsonb,
    error       text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE tasks IS 'Units of work: what to do, where each one stands, and what came of it.';

CREATE OR REPLACE FUNCTION set_updated_at()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION set_updated_at() IS
    'Trigger function: stamps updated_at on rows whose statement left it alone.';

-- An older table may lack the column that the trigger speaks of; 005 adds the others.
ALTER TABLE tasks ADD COLUMN IF NOT EXISTS updated_at timestamptz NOT NULL DEFAULT now();

-- The condition keeps the call away from statements that set updated_at themselves, as the engine's do.
CREATE OR REPLACE TRIGGER trigger_tasks_updated_at
    BEFORE UPDATE ON tasks
    FOR EACH ROW
    WHEN (NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at)
    EXECUTE FUNCTION set_updated_at();
