-- The first forms, without agents and organs; 008 replaces them.

CREATE OR REPLACE FUNCTION create_graph_embed_task(
    start_node_ids BIGINT[],
    k_hops         INTEGER DEFAULT 2,
    description    TEXT    DEFAULT NULL
) RETURNS UUID
LANGUAGE sql
SET search_path = public, pg_temp AS $$
    INSERT INTO tasks (type, status, description, params)
    VALUES ('graph', 'queued', create_graph_embed_task.description,
            jsonb_build_object('graph_op', 'embed', 'graph', jsonb_build_object(
                'op', 'embed',
                'inputs', jsonb_build_object('start_node_ids', start_node_ids),
                'config', jsonb_build_object('k', k_hops))))
    RETURNING id
$$;
COMMENT ON FUNCTION create_graph_embed_task(BIGINT[], INTEGER, TEXT) IS
    'queues a graph task that embeds these nodes from their neighbourhood; returns its id';

CREATE OR REPLACE FUNCTION create_graph_rag_task(
    start_node_ids BIGINT[],
    k_hops         INTEGER DEFAULT 2,
    top_k          INTEGER DEFAULT 10,
    description    TEXT    DEFAULT NULL
) RETURNS UUID
LANGUAGE sql
SET search_path = public, pg_temp AS $$
    INSERT INTO tasks (type, status, description, params)
    VALUES ('graph', 'queued', create_graph_rag_task.description,
            jsonb_build_object('graph_op', 'rag_query', 'graph', jsonb_build_object(
                'op', 'rag_query',
                'inputs', jsonb_build_object('start_node_ids', start_node_ids),
                'config', jsonb_build_object('k', k_hops, 'topk', top_k))))
    RETURNING id
$$;
COMMENT ON FUNCTION create_graph_rag_task(BIGINT[], INTEGER, INTEGER, TEXT) IS
    'queues a graph task that looks for the nodes most similar to these; returns its id';
