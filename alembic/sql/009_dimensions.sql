-- Things that agents and organs have by name.

CREATE TABLE IF NOT EXISTS model (
    model_name TEXT PRIMARY KEY,
    meta       JSONB       NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
COMMENT ON TABLE model IS 'models that agents use';

CREATE TABLE IF NOT EXISTS policy (
    policy_name TEXT PRIMARY KEY,
    meta        JSONB       NOT NULL DEFAULT '{}',
    created_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at  TIMESTAMPTZ NOT NULL DEFAULT now()
);
COMMENT ON TABLE policy IS 'policies that organs are governed by, as nodes of the graph';

CREATE TABLE IF NOT EXISTS service (
    service_name TEXT PRIMARY KEY,
    meta         JSONB       NOT NULL DEFAULT '{}',
    created_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at   TIMESTAMPTZ NOT NULL DEFAULT now()
);
COMMENT ON TABLE service IS 'services outside that organs call';

CREATE TABLE IF NOT EXISTS skill (
    skill_name TEXT PRIMARY KEY,
    meta       JSONB       NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
COMMENT ON TABLE skill IS 'skills that organs provide';

DO $$
DECLARE
    v_table text;
    v_rows  bigint;
BEGIN
    FOREACH v_table IN ARRAY ARRAY['model', 'policy', 'service', 'skill'] LOOP
        EXECUTE format('ALTER TABLE %I
            ADD COLUMN IF NOT EXISTS meta jsonb DEFAULT ''{}'',
            ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now(),
            ADD COLUMN IF NOT EXISTS updated_at timestamptz NOT NULL DEFAULT now()', v_table);
        IF EXISTS (SELECT FROM pg_attribute AS a
                   WHERE a.attrelid = v_table::regclass AND a.attname = 'meta' AND NOT a.attnotnull) THEN
            EXECUTE format('ALTER TABLE %I ALTER COLUMN meta SET DEFAULT ''{}''', v_table);
            EXECUTE format('UPDATE %I SET meta = ''{}'' WHERE meta IS NULL', v_table);
            GET DIAGNOSTICS v_rows = ROW_COUNT;
            IF v_rows > 0 THEN
                RAISE INFO '%.meta: % rows without a value got the default', v_table, v_rows;
            END IF;
            EXECUTE format('ALTER TABLE %I ALTER COLUMN meta SET NOT NULL', v_table);
        END IF;
        EXECUTE format('CREATE OR REPLACE TRIGGER %I BEFORE UPDATE ON %I FOR EACH ROW
            WHEN (NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at) EXECUTE FUNCTION set_updated_at()',
            'trigger_' || v_table || '_updated_at', v_table);
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION ensure_model_node(p_model_name TEXT) RETURNS BIGINT
LANGUAGE sql
SET search_path = public, pg_temp AS $$ SELECT ensure_entity_node('model', p_model_name) $$;
COMMENT ON FUNCTION ensure_model_node(TEXT) IS 'the node of a model; model and node are made if missing';

CREATE OR REPLACE FUNCTION ensure_policy_node(p_policy_name TEXT) RETURNS BIGINT
LANGUAGE sql
SET search_path = public, pg_temp AS $$ SELECT ensure_entity_node('policy', p_policy_name) $$;
COMMENT ON FUNCTION ensure_policy_node(TEXT) IS 'the node of a policy; policy and node are made if missing';

CREATE OR REPLACE FUNCTION ensure_service_node(p_service_name TEXT) RETURNS BIGINT
LANGUAGE sql
SET search_path = public, pg_temp AS $$ SELECT ensure_entity_node('service', p_service_name) $$;
COMMENT ON FUNCTION ensure_service_node(TEXT) IS 'the node of a service; service and node are made if missing';

CREATE OR REPLACE FUNCTION ensure_skill_node(p_skill_name TEXT) RETURNS BIGINT
LANGUAGE sql
SET search_path = public, pg_temp AS $$ SELECT ensure_entity_node('skill', p_skill_name) $$;
COMMENT ON FUNCTION ensure_skill_node(TEXT) IS 'the node of a skill; skill and node are made if missing';
