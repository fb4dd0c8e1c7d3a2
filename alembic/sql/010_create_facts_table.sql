-- Facts in their full shape. Over the source documents' table (text, tags, meta_data) it adds what is
-- missing; the foreign key to snapshots and the functions come with 016, the scope with 017.

CREATE TABLE IF NOT EXISTS facts (
    id                UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    text              TEXT        NOT NULL,
    tags              TEXT[]      NOT NULL DEFAULT '{}',
    meta_data         JSONB       NOT NULL DEFAULT '{}',
    namespace         TEXT        NOT NULL DEFAULT 'default',
    created_by        TEXT        NOT NULL DEFAULT 'system',
    subject           TEXT,
    predicate         TEXT,
    object_data       JSONB,
    valid_from        TIMESTAMPTZ,
    valid_to          TIMESTAMPTZ,
    snapshot_id       INTEGER,
    pkg_rule_id       TEXT,
    pkg_provenance    JSONB,
    validation_status TEXT,
    created_at        TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at        TIMESTAMPTZ NOT NULL DEFAULT now()
);
DO $$
DECLARE
    v_name text;
    v_rows bigint;
BEGIN
    FOREACH v_name IN ARRAY ARRAY['created_at', 'updated_at'] LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_attribute AS a
                              WHERE a.attrelid = 'facts'::regclass AND a.attname = v_name AND NOT a.attisdropped);
        SELECT count(*) INTO v_rows FROM facts;
        IF v_rows > 0 THEN
            RAISE INFO 'facts.%: % rows got the time of the migration', v_name, v_rows;
        END IF;
    END LOOP;
END
$$;
ALTER TABLE facts
    ADD COLUMN IF NOT EXISTS namespace         TEXT        NOT NULL DEFAULT 'default',
    ADD COLUMN IF NOT EXISTS created_by        TEXT        NOT NULL DEFAULT 'system',
    ADD COLUMN IF NOT EXISTS subject           TEXT,
    ADD COLUMN IF NOT EXISTS predicate         TEXT,
    ADD COLUMN IF NOT EXISTS object_data       JSONB,
    ADD COLUMN IF NOT EXISTS valid_from        TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS valid_to          TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS snapshot_id       INTEGER,
    ADD COLUMN IF NOT EXISTS pkg_rule_id       TEXT,
    ADD COLUMN IF NOT EXISTS pkg_provenance    JSONB,
    ADD COLUMN IF NOT EXISTS validation_status TEXT,
    ADD COLUMN IF NOT EXISTS created_at        TIMESTAMPTZ NOT NULL DEFAULT now(),
    ADD COLUMN IF NOT EXISTS updated_at        TIMESTAMPTZ NOT NULL DEFAULT now();

COMMENT ON TABLE facts IS
    'statements: free text, and as a triple what the text says of a subject, with the time in which it holds';
COMMENT ON COLUMN facts.valid_from IS 'first moment at which it holds; null = always has';
COMMENT ON COLUMN facts.valid_to IS 'first moment at which it holds no more; null = open';
COMMENT ON COLUMN facts.snapshot_id IS 'policy snapshot the fact was made under';
COMMENT ON COLUMN facts.pkg_rule_id IS 'policy rule that made or governs it';
COMMENT ON COLUMN facts.pkg_provenance IS 'how the rule came to it';
COMMENT ON COLUMN facts.validation_status IS 'pkg_validated, pkg_validation_failed and the like';

-- The source documents leave tags and meta_data open to nulls, and everything else of theirs to chance.
DO $$
DECLARE
    v_column record;
    v_rows   bigint;
BEGIN
    FOR v_column IN
        SELECT c.name, c.fallback
        FROM (VALUES ('tags', '''{}''::text[]'), ('meta_data', '''{}''::jsonb'),
                     ('namespace', '''default'''), ('created_by', '''system'''),
                     ('created_at', 'now()'), ('updated_at', 'now()')) AS c (name, fallback)
        JOIN pg_attribute AS a ON a.attrelid = 'facts'::regclass AND a.attname = c.name
        WHERE NOT a.attnotnull
    LOOP
        EXECUTE format('UPDATE facts SET %1$I = %2$s WHERE %1$I IS NULL', v_column.name, v_column.fallback);
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        IF v_rows > 0 THEN
            RAISE INFO 'facts.%: % rows without a value got the default', v_column.name, v_rows;
        END IF;
        EXECUTE format('ALTER TABLE facts ALTER COLUMN %1$I SET DEFAULT %2$s, ALTER COLUMN %1$I SET NOT NULL',
                       v_column.name, v_column.fallback);
    END LOOP;
END
$$;

-- New rows are held to the rules at once; the old ones where they keep them.
DO $$
DECLARE
    v_check record;
BEGIN
    FOR v_check IN
        SELECT * FROM (VALUES
            ('chk_facts_temporal', 'CHECK (valid_from <= valid_to)'),
            ('chk_facts_namespace_not_empty', 'CHECK (btrim(namespace) <> '''')'),
            ('chk_facts_created_by_not_empty', 'CHECK (btrim(created_by) <> '''')'),
            ('chk_facts_no_partial_triple', 'CHECK (num_nulls(subject, predicate, object_data) IN (0, 3))'),
            ('chk_facts_pkg_requires_triple', 'CHECK (pkg_rule_id IS NULL OR subject IS NOT NULL)')
        ) AS c (name, definition)
    LOOP
        IF NOT EXISTS (
            SELECT FROM pg_constraint
            WHERE conrelid = 'facts'::regclass AND conname = v_check.name
        ) THEN
            EXECUTE format('ALTER TABLE facts ADD CONSTRAINT %I %s NOT VALID',
                           v_check.name, v_check.definition);
        END IF;
        BEGIN
            EXECUTE format('ALTER TABLE facts VALIDATE CONSTRAINT %I', v_check.name);
        EXCEPTION WHEN check_violation THEN
            RAISE WARNING 'facts has rows that violate %, so it holds for new rows only', v_check.name
                USING HINT = 'seedcore db verify lists the rows';
        END;
    END LOOP;
END
$$;

CREATE OR REPLACE TRIGGER trigger_facts_updated_at
    BEFORE UPDATE ON facts
    FOR EACH ROW
    WHEN (NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at)
    EXECUTE FUNCTION set_updated_at();
