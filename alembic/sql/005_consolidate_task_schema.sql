ALTER TABLE tasks
    ADD COLUMN IF NOT EXISTS attempts    integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS locked_by   text,
    ADD COLUMN IF NOT EXISTS locked_at   timestamptz,
    ADD COLUMN IF NOT EXISTS run_after   timestamptz,
    ADD COLUMN IF NOT EXISTS description text,
    ADD COLUMN IF NOT EXISTS domain      text,
    ADD COLUMN IF NOT EXISTS drift_score double precision NOT NULL DEFAULT 0.0,
    ADD COLUMN IF NOT EXISTS params      jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS result      jsonb,
    ADD COLUMN IF NOT EXISTS error       text,
    ADD COLUMN IF NOT EXISTS created_at  timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN IF NOT EXISTS updated_at  timestamptz NOT NULL DEFAULT now();

-- Columns that exist may be nullable, or have no default. Each is fixed only where it is wrong, so that
-- a table that is right is not rewritten and its rows are not read.
DO $$
DECLARE
    v_column record;
    v_rows   bigint;
BEGIN
    FOR v_column IN
        SELECT w.name, w.fallback, a.attnotnull
        FROM (VALUES ('id', 'gen_random_uuid()'),
                     ('status', '''created'''),
                     ('attempts', '0'),
                     ('drift_score', '0.0'),
                     ('params', '''{}'''),
                     ('created_at', 'now()'),
                     ('updated_at', 'now()')) AS w (name, fallback)
        JOIN pg_attribute AS a ON a.attrelid = 'tasks'::regclass AND a.attname = w.name
        WHERE NOT a.attnotnull OR NOT a.atthasdef
    LOOP
        EXECUTE format('ALTER TABLE tasks ALTER COLUMN %I SET DEFAULT %s',
                       v_column.name, v_column.fallback);
        IF NOT v_column.attnotnull THEN
            EXECUTE format('UPDATE tasks SET %1$I = DEFAULT WHERE %1$I IS NULL', v_column.name);
            GET DIAGNOSTICS v_rows = ROW_COUNT;
            IF v_rows > 0 THEN
                RAISE INFO 'tasks.%: % rows without a value got the default', v_column.name, v_rows;
            END IF;
            EXECUTE format('ALTER TABLE tasks ALTER COLUMN %I SET NOT NULL', v_column.name);
        END IF;
    END LOOP;
END
$$;

-- Unfinished tasks of the types that older releases had for work on the graph: nobody claims those any
-- more, so they become what create_graph_embed_task() and its kin make. Finished ones are history.
DO $$
DECLARE
    v_rows bigint;
BEGIN
    WITH legacy (old, op) AS (
        VALUES ('graph_embed', 'embed'), ('graph_embed_v2', 'embed'),
               ('graph_rag', 'rag_query'), ('graph_rag_query', 'rag_query'), ('graph_rag_query_v2', 'rag_query'),
               ('graph_fact_embed', 'fact_embed'), ('graph_fact_query', 'fact_query'),
               ('nim_task_embed', 'nim_embed'), ('graph_sync_nodes', 'sync_nodes')
    ), found AS (
        SELECT t.id, l.op,
               CASE WHEN jsonb_typeof(nullif(t.params::text, '')::jsonb) = 'object' THEN t.params::text::jsonb
                    ELSE '{}'::jsonb END AS params
        FROM tasks AS t JOIN legacy AS l ON l.old = t.type
        WHERE t.status IN ('created', 'queued', 'running', 'retry')
    )
    UPDATE tasks AS t
    SET type = 'graph',
        params = (f.params - moved.inputs - moved.settings) || jsonb_build_object(
            'graph_op', f.op,
            'graph', jsonb_strip_nulls(jsonb_build_object(
                'op', f.op,
                'inputs', (SELECT coalesce(jsonb_object_agg(p.key, p.value), '{}')
                           FROM jsonb_each(f.params) AS p WHERE p.key = ANY (moved.inputs)),
                'config', jsonb_build_object(
                    'k', coalesce(f.params -> 'k', f.params -> 'k_hops'),
                    'topk', coalesce(f.params -> 'topk', f.params -> 'top_k')))))
    FROM found AS f,
         (SELECT ARRAY(SELECT format('start_%sids', w) FROM unnest(ARRAY['', 'node_', 'task_', 'agent_', 'organ_',
                       'fact_', 'artifact_', 'capability_', 'memory_cell_', 'model_', 'policy_', 'service_',
                       'skill_']) AS w),
                 ARRAY['k', 'k_hops', 'topk', 'top_k']) AS moved (inputs, settings)
    WHERE t.id = f.id;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    IF v_rows > 0 THEN
        RAISE INFO 'tasks: % unfinished tasks of older graph types now have the type graph', v_rows;
    END IF;
END
$$;
