-- Vectors of graph nodes: 128 dimensions from the graph's shape, 1024 from text.

-- An adopted database: views that read the old tables stand in the way; 008 and 117 make them anew. Of a
-- view that is not ours nothing is known, so the server refuses and names it.
DO $$
DECLARE
    v_known text;
BEGIN
    SELECT string_agg(c.oid::regclass::text, ', ') INTO v_known
    FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v'
      AND c.relname IN (
          'graph_embeddings', 'task_embeddings', 'task_embeddings_128', 'task_embeddings_1024',
          'task_embeddings_primary_128', 'task_embeddings_primary_1024', 'tasks_missing_embeddings_128',
          'tasks_missing_embeddings_1024', 'task_embeddings_stale_128', 'task_embeddings_stale_1024',
          'tasks_missing_any_embedding_1024', 'v_unified_cortex_memory');
    IF v_known IS NOT NULL THEN
        EXECUTE 'DROP VIEW ' || v_known;
    END IF;
END
$$;

CREATE TABLE IF NOT EXISTS graph_embeddings_128 (
    node_id        BIGINT      NOT NULL,
    label          TEXT        NOT NULL DEFAULT 'default',
    encoder_id     INTEGER     NOT NULL DEFAULT 1,
    props          JSONB,
    emb            VECTOR(128) NOT NULL,
    content_sha256 TEXT,
    created_at     TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at     TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS graph_embeddings_1024 (
    node_id        BIGINT       NOT NULL,
    label          TEXT         NOT NULL DEFAULT 'default',
    encoder_id     INTEGER      NOT NULL DEFAULT 2,
    props          JSONB,
    emb            VECTOR(1024) NOT NULL,
    content_sha256 TEXT,
    created_at     TIMESTAMPTZ  NOT NULL DEFAULT now(),
    updated_at     TIMESTAMPTZ  NOT NULL DEFAULT now()
);

-- Tables of these names that were made by hand: their indexes and keys go, their words about the model
-- become rows of `encoder`.
DO $$
DECLARE
    v_table   text;
    v_dim     integer;
    v_default integer;
    v_name    text;
    v_rows    bigint;
BEGIN
    FOR v_table, v_dim, v_default IN
        VALUES ('graph_embeddings_128', 128, 1), ('graph_embeddings_1024', 1024, 2)
    LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_attribute AS a
                              WHERE a.attrelid = v_table::regclass AND a.attname = 'encoder_id'
                                AND NOT a.attisdropped);
        IF NOT EXISTS (SELECT FROM pg_attribute AS a
                       WHERE a.attrelid = v_table::regclass AND a.attname = 'emb'
                         AND format_type(a.atttypid, a.atttypmod) = format('vector(%s)', v_dim)) THEN
            RAISE EXCEPTION 'table % is in the way: its column emb is not vector(%)', v_table, v_dim
                USING ERRCODE = 'SC409', DETAIL = 'migrate.object_in_the_way',
                      HINT = format('ALTER TABLE %I RENAME TO another name, then repeat', v_table);
        END IF;
        FOR v_name IN
            SELECT k.conname FROM pg_constraint AS k
            WHERE k.conrelid = v_table::regclass AND k.contype IN ('p', 'u')
        LOOP
            EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', v_table, v_name);
        END LOOP;
        FOR v_name IN
            SELECT i.indexrelid::regclass::text FROM pg_index AS i WHERE i.indrelid = v_table::regclass
        LOOP
            EXECUTE 'DROP INDEX ' || v_name;
        END LOOP;
        EXECUTE format('ALTER TABLE %I
            ADD COLUMN IF NOT EXISTS label text,
            ADD COLUMN IF NOT EXISTS props jsonb,
            ADD COLUMN IF NOT EXISTS model text,
            ADD COLUMN IF NOT EXISTS content_sha256 text,
            ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now(),
            ADD COLUMN IF NOT EXISTS updated_at timestamptz NOT NULL DEFAULT now(),
            ADD COLUMN encoder_id integer NOT NULL DEFAULT %s', v_table, v_default);
        EXECUTE format('DELETE FROM %I WHERE emb IS NULL OR vector_norm(emb) = 0', v_table);
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        IF v_rows > 0 THEN
            RAISE WARNING '% zero vectors were dropped from %', v_rows, v_table;
        END IF;
        EXECUTE format('INSERT INTO encoder (name, kind, dim, native_dim, state)
            SELECT DISTINCT m.model, CASE WHEN %2$s = 128 THEN ''graph'' ELSE ''text'' END, %2$s, %2$s, ''serving''
            FROM %1$I AS m WHERE m.model <> '''' ON CONFLICT DO NOTHING', v_table, v_dim);
        EXECUTE format('UPDATE %I AS m SET encoder_id = e.encoder_id
            FROM encoder AS e WHERE e.model = m.model AND e.dim = %s', v_table, v_dim);
        EXECUTE format('UPDATE %I SET label = ''default'' WHERE coalesce(label, '''') = ''''', v_table);
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        IF v_rows > 0 THEN
            RAISE INFO '% rows of % without a label got the label default', v_rows, v_table;
        END IF;
        EXECUTE format('ALTER TABLE %I
            ALTER COLUMN label SET DEFAULT ''default'', ALTER COLUMN label SET NOT NULL,
            ALTER COLUMN emb SET NOT NULL, DROP COLUMN model', v_table);
    END LOOP;
END
$$;

-- The single table of the first seeds: its rows move to the 128-d one, and a view takes its name.
DO $$
DECLARE
    v_rows  bigint;
    v_moved bigint;
    v_zero  bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class AS c
                   WHERE c.oid = to_regclass('public.graph_embeddings') AND c.relkind IN ('r', 'p')) THEN
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_attribute AS a
                   WHERE a.attrelid = 'graph_embeddings'::regclass AND a.attname = 'emb'
                     AND format_type(a.atttypid, a.atttypmod) = 'vector(128)') THEN
        RAISE EXCEPTION 'table graph_embeddings is in the way: its column emb is not vector(128)'
            USING ERRCODE = 'SC409', DETAIL = 'migrate.object_in_the_way',
                  HINT = 'ALTER TABLE graph_embeddings RENAME TO another name, then repeat';
    END IF;
    ALTER TABLE graph_embeddings
        ADD COLUMN IF NOT EXISTS label      text,
        ADD COLUMN IF NOT EXISTS props      jsonb,
        ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now(),
        ADD COLUMN IF NOT EXISTS updated_at timestamptz NOT NULL DEFAULT now();
    LOCK TABLE graph_embeddings IN ACCESS EXCLUSIVE MODE;
    SELECT count(*), count(*) FILTER (WHERE o.emb IS NULL OR vector_norm(o.emb) = 0)
    INTO v_rows, v_zero FROM graph_embeddings AS o;
    INSERT INTO graph_embeddings_128 (node_id, label, props, emb, created_at, updated_at)
    SELECT o.node_id, coalesce(nullif(o.label, ''), 'default'), o.props, o.emb, o.created_at, o.updated_at
    FROM graph_embeddings AS o
    WHERE vector_norm(o.emb) > 0
      AND NOT EXISTS (SELECT FROM graph_embeddings_128 AS n
                      WHERE n.node_id = o.node_id AND n.encoder_id = 1
                        AND n.label = coalesce(nullif(o.label, ''), 'default'));
    GET DIAGNOSTICS v_moved = ROW_COUNT;
    RAISE INFO '% of % rows of graph_embeddings moved to graph_embeddings_128', v_moved, v_rows;
    IF v_moved < v_rows THEN
        RAISE WARNING '% zero vectors of graph_embeddings were dropped, and % that graph_embeddings_128 has already',
            v_zero, v_rows - v_zero - v_moved;
    END IF;
    DROP TABLE graph_embeddings;
END
$$;

DO $$
DECLARE
    v_table text;
    v_rule  record;
    v_rows  bigint;
BEGIN
    FOREACH v_table IN ARRAY ARRAY['graph_embeddings_128', 'graph_embeddings_1024'] LOOP
        -- Without a key a table may say the same twice; of two vectors of one label the newer stays.
        IF NOT EXISTS (SELECT FROM pg_constraint AS k
                       WHERE k.conrelid = v_table::regclass AND k.conname = v_table || '_pkey') THEN
            EXECUTE format('DELETE FROM %1$I AS g USING (
                    SELECT e.ctid AS place, row_number() OVER (
                               PARTITION BY e.node_id, e.label, e.encoder_id ORDER BY e.updated_at DESC, e.ctid DESC) AS nth
                    FROM %1$I AS e) AS r
                WHERE g.ctid = r.place AND r.nth > 1', v_table);
            GET DIAGNOSTICS v_rows = ROW_COUNT;
            IF v_rows > 0 THEN
                RAISE WARNING '% older vectors of the same node and label were dropped from %', v_rows, v_table;
            END IF;
        END IF;
        FOR v_rule IN
            SELECT * FROM (VALUES
                (v_table || '_pkey', 'PRIMARY KEY (node_id, label, encoder_id)'),
                ('ck_' || v_table || '_label', 'CHECK (label <> '''') NOT VALID'),
                ('ck_' || v_table || '_norm', 'CHECK (vector_norm(emb) > 0) NOT VALID'),
                ('ck_' || v_table || '_sha256', 'CHECK (length(content_sha256) = 64) NOT VALID'),
                (v_table || '_encoder_id_fkey',
                 'FOREIGN KEY (encoder_id) REFERENCES encoder ON DELETE RESTRICT NOT VALID')
            ) AS r (name, definition)
        LOOP
            IF NOT EXISTS (SELECT FROM pg_constraint AS k
                           WHERE k.conrelid = v_table::regclass AND k.conname = v_rule.name) THEN
                EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I %s', v_table, v_rule.name, v_rule.definition);
            END IF;
            BEGIN
                EXECUTE format('ALTER TABLE %I VALIDATE CONSTRAINT %I', v_table, v_rule.name);
            EXCEPTION
                WHEN wrong_object_type THEN NULL;  -- a primary key is valid from the start
                WHEN check_violation OR foreign_key_violation THEN
                    RAISE WARNING '% has rows that violate %, so it holds for new rows only', v_table, v_rule.name
                        USING HINT = 'seedcore db verify lists the rows';
            END;
        END LOOP;
        EXECUTE format('CREATE OR REPLACE TRIGGER %I BEFORE UPDATE ON %I FOR EACH ROW
            WHEN (NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at) EXECUTE FUNCTION set_updated_at()',
            'trigger_' || v_table || '_updated_at', v_table);
    END LOOP;
END
$$;
COMMENT ON TABLE graph_embeddings_128 IS 'vectors of graph nodes, 128 dimensions, by label and encoder: the graph''s shape';
COMMENT ON TABLE graph_embeddings_1024 IS 'vectors of graph nodes, 1024 dimensions, by label and encoder: text';

-- The scalar sub-select keeps the view insertable and fit for ON CONFLICT, which a join would not.
CREATE OR REPLACE VIEW graph_embeddings AS
SELECT g.node_id, g.label, g.props, g.emb, g.created_at, g.updated_at,
       (SELECT e.model FROM encoder AS e WHERE e.encoder_id = g.encoder_id) AS model,
       g.content_sha256, g.encoder_id
FROM graph_embeddings_128 AS g;
COMMENT ON VIEW graph_embeddings IS 'the seeds'' single table of vectors: the 128-d ones; rows can be inserted, model is read-only';
