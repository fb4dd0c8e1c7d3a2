-- One number per entity of the graph, whatever kind of id it has itself; and the entities that have no
-- table yet.

-- An adopted database: what is made anew below may have other parameters or columns there.
DROP VIEW IF EXISTS hgnn_edges_unmapped, hgnn_edges;
DO $$
DECLARE
    v_old text;
BEGIN
    FOR v_old IN
        SELECT p.oid::regprocedure::text FROM pg_proc AS p
        WHERE p.pronamespace = 'public'::regnamespace
          AND (p.proname ~ '^ensure_(task|artifact|capability|memory_cell|fact|instance|agent|organ|model|policy|service|skill)_node$'
               OR p.proname IN ('ensure_node', 'ensure_nodes', 'backfill_task_nodes', 'backfill_nodes'))
    LOOP
        EXECUTE 'DROP FUNCTION ' || v_old;
    END LOOP;
END
$$;

CREATE TABLE IF NOT EXISTS graph_node_map (
    node_id     BIGSERIAL PRIMARY KEY,
    node_type   TEXT        NOT NULL,
    ext_table   TEXT        NOT NULL,
    ext_uuid    UUID,
    ext_text_id TEXT,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at  TIMESTAMPTZ NOT NULL DEFAULT now()
);
COMMENT ON TABLE graph_node_map IS 'the number of each entity in the graph; a task gets its own when an edge or an embedding needs it';

CREATE TABLE IF NOT EXISTS agent_registry (
    agent_id     TEXT PRIMARY KEY,
    display_name TEXT,
    props        JSONB       NOT NULL DEFAULT '{}',
    created_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at   TIMESTAMPTZ NOT NULL DEFAULT now()
);
COMMENT ON TABLE agent_registry IS 'agents: who can do work';

CREATE TABLE IF NOT EXISTS organ_registry (
    organ_id   TEXT PRIMARY KEY,
    agent_id   TEXT REFERENCES agent_registry (agent_id) ON DELETE SET NULL,
    kind       TEXT,
    props      JSONB       NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
COMMENT ON TABLE organ_registry IS 'organs: groups of agents that run tasks';

CREATE TABLE IF NOT EXISTS artifact (
    artifact_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    uri         TEXT        NOT NULL,
    kind        TEXT,
    props       JSONB       NOT NULL DEFAULT '{}',
    created_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at  TIMESTAMPTZ NOT NULL DEFAULT now()
);
COMMENT ON TABLE artifact IS 'what tasks produce: files, objects, blobs, each by its address';

CREATE TABLE IF NOT EXISTS capability (
    capability_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    name          TEXT        NOT NULL,
    props         JSONB       NOT NULL DEFAULT '{}',
    created_at    TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at    TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT uq_capability_name UNIQUE (name)
);
COMMENT ON TABLE capability IS 'named abilities that tasks use and organs provide';

CREATE TABLE IF NOT EXISTS memory_cell (
    memory_cell_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    scope          TEXT        NOT NULL,
    mkey           TEXT        NOT NULL,
    version        INTEGER     NOT NULL DEFAULT 1,
    props          JSONB       NOT NULL DEFAULT '{}',
    created_at     TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at     TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT uq_memory_cell UNIQUE (scope, mkey, version),
    CONSTRAINT ck_memory_cell_version CHECK (version > 0)
);
COMMENT ON TABLE memory_cell IS 'pieces of memory in a scope, by key and version';

-- Columns that a table made by hand may lack; and the trigger of each table.
DO $$
DECLARE
    v_table text;
    v_has   record;
    v_rows  bigint;
BEGIN
    FOREACH v_table IN ARRAY ARRAY['graph_node_map', 'agent_registry', 'organ_registry', 'artifact',
                                   'capability', 'memory_cell'] LOOP
        IF v_table <> 'graph_node_map' THEN
            EXECUTE format('ALTER TABLE %I ADD COLUMN IF NOT EXISTS props jsonb DEFAULT ''{}''', v_table);
        END IF;
        EXECUTE format('ALTER TABLE %I
            ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now(),
            ADD COLUMN IF NOT EXISTS updated_at timestamptz NOT NULL DEFAULT now()', v_table);
        FOR v_has IN
            SELECT a.attname AS name FROM pg_attribute AS a
            WHERE a.attrelid = v_table::regclass AND a.attname = 'props' AND NOT a.attnotnull
        LOOP
            EXECUTE format('ALTER TABLE %I ALTER COLUMN props SET DEFAULT ''{}''', v_table);
            EXECUTE format('UPDATE %I SET props = ''{}'' WHERE props IS NULL', v_table);
            GET DIAGNOSTICS v_rows = ROW_COUNT;
            IF v_rows > 0 THEN
                RAISE INFO '%.props: % rows without a value got the default', v_table, v_rows;
            END IF;
            EXECUTE format('ALTER TABLE %I ALTER COLUMN props SET NOT NULL', v_table);
        END LOOP;
        EXECUTE format('CREATE OR REPLACE TRIGGER %I BEFORE UPDATE ON %I FOR EACH ROW
            WHEN (NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at) EXECUTE FUNCTION set_updated_at()',
            'trigger_' || v_table || '_updated_at', v_table);
    END LOOP;
    ALTER TABLE agent_registry ADD COLUMN IF NOT EXISTS display_name text;
    ALTER TABLE organ_registry ADD COLUMN IF NOT EXISTS kind text;
    ALTER TABLE artifact ADD COLUMN IF NOT EXISTS kind text;
END
$$;

-- Several numbers for one entity, as the first seeds could leave: the lowest stays, vectors of the others
-- move to it, and of two with the same label and encoder the newer one stays.
DO $$
DECLARE
    v_table text;
    v_rows  bigint;
    v_lost  bigint := 0;
    v_more  bigint;
BEGIN
    IF EXISTS (SELECT FROM pg_constraint AS k
               WHERE k.conrelid = 'graph_node_map'::regclass AND k.conname = 'uq_graph_node_map_text') THEN
        RETURN;
    END IF;
    CREATE TEMPORARY TABLE node_twins ON COMMIT DROP AS
    SELECT m.node_id, m.keep FROM (
        SELECT n.node_id, min(n.node_id) OVER (
                   PARTITION BY n.node_type, n.ext_table, n.ext_uuid, n.ext_text_id) AS keep
        FROM graph_node_map AS n
        WHERE num_nonnulls(n.ext_uuid, n.ext_text_id) > 0) AS m
    WHERE m.node_id <> m.keep;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    IF v_rows > 0 THEN
        FOREACH v_table IN ARRAY ARRAY['graph_embeddings_128', 'graph_embeddings_1024'] LOOP
            EXECUTE format('DELETE FROM %1$I AS g USING (
                    SELECT e.ctid AS place, row_number() OVER (
                               PARTITION BY coalesce(t.keep, e.node_id), e.label, e.encoder_id
                               ORDER BY e.updated_at DESC, e.node_id) AS nth
                    FROM %1$I AS e LEFT JOIN node_twins AS t ON t.node_id = e.node_id) AS r
                WHERE g.ctid = r.place AND r.nth > 1', v_table);
            GET DIAGNOSTICS v_more = ROW_COUNT;
            v_lost := v_lost + v_more;
            EXECUTE format('UPDATE %I AS g SET node_id = t.keep, updated_at = g.updated_at
                FROM node_twins AS t WHERE t.node_id = g.node_id', v_table);
        END LOOP;
        DELETE FROM graph_node_map AS n USING node_twins AS t WHERE t.node_id = n.node_id;
        RAISE WARNING '% second node numbers were merged into the first ones; % older vectors of theirs were dropped',
            v_rows, v_lost;
    END IF;
    DROP TABLE node_twins;
END
$$;

-- The id leads the unique keys: led by the type, either of them would seem fit for every look-up while the
-- statistics are young, and the wrong one reads all nodes of the type.
DO $$
DECLARE
    v_rule record;
    v_same text;
BEGIN
    FOR v_rule IN
        SELECT * FROM (VALUES
            ('graph_node_map', 'uq_graph_node_map_uuid', 'UNIQUE (ext_uuid, ext_table, node_type)'),
            ('graph_node_map', 'uq_graph_node_map_text', 'UNIQUE (ext_text_id, ext_table, node_type)'),
            ('graph_node_map', 'ck_node_map_one_id', 'CHECK (num_nonnulls(ext_uuid, ext_text_id) = 1)'),
            ('organ_registry', 'organ_registry_agent_id_fkey',
             'FOREIGN KEY (agent_id) REFERENCES agent_registry(agent_id) ON DELETE SET NULL'),
            ('capability', 'uq_capability_name', 'UNIQUE (name)'),
            ('memory_cell', 'uq_memory_cell', 'UNIQUE (scope, mkey, version)'),
            ('memory_cell', 'ck_memory_cell_version', 'CHECK (version > 0)'),
            ('graph_embeddings_128', 'graph_embeddings_128_node_id_fkey',
             'FOREIGN KEY (node_id) REFERENCES graph_node_map(node_id) ON DELETE CASCADE'),
            ('graph_embeddings_1024', 'graph_embeddings_1024_node_id_fkey',
             'FOREIGN KEY (node_id) REFERENCES graph_node_map(node_id) ON DELETE CASCADE')
        ) AS r (name_of_table, name, definition)
    LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_constraint AS k
                              WHERE k.conrelid = v_rule.name_of_table::regclass AND k.conname = v_rule.name);
        -- The same rule under another name only needs its name.
        SELECT k.conname INTO v_same FROM pg_constraint AS k
        WHERE k.conrelid = v_rule.name_of_table::regclass
          AND replace(pg_get_constraintdef(k.oid), ' NOT VALID', '') = v_rule.definition LIMIT 1;
        IF FOUND THEN
            EXECUTE format('ALTER TABLE %I RENAME CONSTRAINT %I TO %I',
                           v_rule.name_of_table, v_same, v_rule.name);
        ELSE
            EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I %s%s', v_rule.name_of_table, v_rule.name,
                           v_rule.definition,
                           CASE WHEN v_rule.definition NOT LIKE 'UNIQUE%' THEN ' NOT VALID' ELSE '' END);
        END IF;
    END LOOP;
END
$$;
