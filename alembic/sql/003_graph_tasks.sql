-- Graph tasks as people look at them, and short ways of making one.

-- An older table may lack a column that the view names; 005 adds the others.
ALTER TABLE tasks
    ADD COLUMN IF NOT EXISTS attempts    integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS locked_by   text,
    ADD COLUMN IF NOT EXISTS locked_at   timestamptz,
    ADD COLUMN IF NOT EXISTS run_after   timestamptz,
    ADD COLUMN IF NOT EXISTS description text,
    ADD COLUMN IF NOT EXISTS drift_score double precision NOT NULL DEFAULT 0.0,
    ADD COLUMN IF NOT EXISTS params      jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS result      jsonb,
    ADD COLUMN IF NOT EXISTS error       text,
    ADD COLUMN IF NOT EXISTS created_at  timestamptz NOT NULL DEFAULT now();

-- Older databases have functions of these names with other parameters, and two that fit the same call
-- are as good as none.
DO $$
DECLARE
    v_old text;
BEGIN
    FOR v_old IN
        SELECT p.oid::regprocedure::text FROM pg_proc AS p
        WHERE p.pronamespace = 'public'::regnamespace
          AND p.proname IN ('create_graph_embed_task', 'create_graph_rag_task',
                            'create_graph_embed_task_v2', 'create_graph_rag_task_v2')
    LOOP
        EXECUTE 'DROP FUNCTION ' || v_old;
    END LOOP;
END
$$;

-- The status as text: before 004 an older type may have its labels in capitals.
DROP VIEW IF EXISTS graph_tasks;
CREATE VIEW graph_tasks AS
SELECT t.id, t.type,
       coalesce(t.params ->> 'graph_op', t.params #>> '{graph,op}', t.params #>> '{graph,kind}') AS graph_op,
       t.status, t.attempts, t.locked_by, t.locked_at, t.run_after, t.params, t.result, t.error,
       t.created_at, t.updated_at, t.drift_score,
       CASE lower(t.status::text)
           WHEN 'created' THEN '📝' WHEN 'queued' THEN '⏳' WHEN 'running' THEN '🔄'
           WHEN 'completed' THEN '✅' WHEN 'failed' THEN '❌' WHEN 'cancelled' THEN '🚫'
           WHEN 'retry' THEN '🔁'
       END AS status_emoji
FROM tasks AS t
WHERE t.type IN ('graph', 'graph_embed', 'graph_rag', 'graph_rag_query', 'graph_fact_embed',
                 'graph_fact_query', 'graph_sync_nodes', 'nim_task_embed')
ORDER BY t.updated_at DESC;
COMMENT ON VIEW graph_tasks IS 'tasks of the graph lane, and of the types that stood for it earlier; the newest change first';
