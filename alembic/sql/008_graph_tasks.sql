-- The final forms of 003's functions. Two that fit the same call are as good as none, so those go first.
DROP FUNCTION IF EXISTS create_graph_rag_task(BIGINT[], INTEGER, INTEGER, TEXT);
DROP FUNCTION IF EXISTS create_graph_embed_task(BIGINT[], INTEGER, TEXT);

CREATE OR REPLACE FUNCTION graph_task_create(
    p_op          TEXT,
    p_start       BIGINT[],
    p_config      JSONB,
    p_description TEXT,
    p_agent_id    TEXT,
    p_organ_id    TEXT
) RETURNS UUID
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_id UUID;
BEGIN
    IF coalesce(cardinality(p_start), 0) = 0 OR array_position(p_start, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'a graph task needs nodes to start from'
            USING ERRCODE = 'SC422', DETAIL = 'graph.no_start_nodes';
    END IF;
    IF (p_config ->> 'k')::integer NOT BETWEEN 0 AND 4 OR p_config -> 'k' = 'null' THEN
        RAISE EXCEPTION 'k_hops is %, and must be 0 to 4', p_config ->> 'k'
            USING ERRCODE = 'SC422', DETAIL = 'graph.bad_k';
    END IF;
    IF (p_config ->> 'topk')::integer NOT BETWEEN 1 AND 1000 OR p_config -> 'topk' = 'null' THEN
        RAISE EXCEPTION 'top_k is %, and must be 1 to 1000', p_config ->> 'topk'
            USING ERRCODE = 'SC422', DETAIL = 'graph.bad_topk';
    END IF;
    INSERT INTO tasks (type, status, description, params)
    VALUES ('graph', 'queued', p_description,
            jsonb_build_object('graph_op', p_op, 'graph', jsonb_build_object(
                'op', p_op,
                'inputs', jsonb_build_object('start_node_ids', p_start),
                'config', p_config)))
    RETURNING id INTO v_id;
    PERFORM ensure_task_node(v_id);
    IF p_agent_id IS NOT NULL THEN
        PERFORM ensure_agent_node(p_agent_id);
        INSERT INTO task_owned_by_agent (task_id, agent_id) VALUES (v_id, p_agent_id);
    END IF;
    IF p_organ_id IS NOT NULL THEN
        PERFORM ensure_organ_node(p_organ_id);
        INSERT INTO task_executed_by_organ (task_id, organ_id) VALUES (v_id, p_organ_id);
    END IF;
    RETURN v_id;
END
$$;
COMMENT ON FUNCTION graph_task_create(TEXT, BIGINT[], JSONB, TEXT, TEXT, TEXT) IS
    'internal: queues a graph task with its node and its edges to an agent and an organ';

CREATE OR REPLACE FUNCTION create_graph_embed_task(
    start_node_ids BIGINT[],
    k_hops         INTEGER DEFAULT 2,
    description    TEXT    DEFAULT NULL,
    p_agent_id     TEXT    DEFAULT NULL,
    p_organ_id     TEXT    DEFAULT NULL
) RETURNS UUID
LANGUAGE sql
SET search_path = public, pg_temp AS $$
    SELECT graph_task_create('embed', start_node_ids, jsonb_build_object('k', k_hops), description,
                             p_agent_id, p_organ_id)
$$;
COMMENT ON FUNCTION create_graph_embed_task(BIGINT[], INTEGER, TEXT, TEXT, TEXT) IS
    'queues a graph task that embeds these nodes from their neighbourhood, for an agent and an organ if given; returns its id';

CREATE OR REPLACE FUNCTION create_graph_rag_task(
    start_node_ids BIGINT[],
    k_hops         INTEGER DEFAULT 2,
    top_k          INTEGER DEFAULT 10,
    description    TEXT    DEFAULT NULL,
    p_agent_id     TEXT    DEFAULT NULL,
    p_organ_id     TEXT    DEFAULT NULL
) RETURNS UUID
LANGUAGE sql
SET search_path = public, pg_temp AS $$
    SELECT graph_task_create('rag_query', start_node_ids, jsonb_build_object('k', k_hops, 'topk', top_k),
                             description, p_agent_id, p_organ_id)
$$;
COMMENT ON FUNCTION create_graph_rag_task(BIGINT[], INTEGER, INTEGER, TEXT, TEXT, TEXT) IS
    'queues a graph task that looks for the nodes most similar to these, for an agent and an organ if given; returns its id';

CREATE OR REPLACE FUNCTION create_graph_embed_task_v2(
    start_node_ids BIGINT[],
    k_hops         INTEGER DEFAULT 2,
    description    TEXT    DEFAULT NULL,
    p_agent_id     TEXT    DEFAULT NULL,
    p_organ_id     TEXT    DEFAULT NULL
) RETURNS UUID
LANGUAGE sql
SET search_path = public, pg_temp AS $$
    SELECT create_graph_embed_task(start_node_ids, k_hops, description, p_agent_id, p_organ_id)
$$;
COMMENT ON FUNCTION create_graph_embed_task_v2(BIGINT[], INTEGER, TEXT, TEXT, TEXT) IS
    'the seeds'' second name of create_graph_embed_task';

CREATE OR REPLACE FUNCTION create_graph_rag_task_v2(
    start_node_ids BIGINT[],
    k_hops         INTEGER DEFAULT 2,
    top_k          INTEGER DEFAULT 10,
    description    TEXT    DEFAULT NULL,
    p_agent_id     TEXT    DEFAULT NULL,
    p_organ_id     TEXT    DEFAULT NULL
) RETURNS UUID
LANGUAGE sql
SET search_path = public, pg_temp AS $$
    SELECT create_graph_rag_task(start_node_ids, k_hops, top_k, description, p_agent_id, p_organ_id)
$$;
COMMENT ON FUNCTION create_graph_rag_task_v2(BIGINT[], INTEGER, INTEGER, TEXT, TEXT, TEXT) IS
    'the seeds'' second name of create_graph_rag_task';
