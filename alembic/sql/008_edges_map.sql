-- In id order, like all that makes nodes.
CREATE OR REPLACE FUNCTION graph_edges_map(p_limit INTEGER DEFAULT 10000) RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_part  record;
    v_added INTEGER := 0;
BEGIN
    IF p_limit IS NULL OR p_limit <= 0 THEN
        RAISE EXCEPTION 'the limit is %, and must be at least 1', p_limit
            USING ERRCODE = 'SC422', DETAIL = 'graph.bad_limit';
    END IF;
    FOR v_part IN
        WITH unmapped AS (SELECT * FROM hgnn_edges_unmapped LIMIT p_limit)
        SELECT x.node_type, array_agg(DISTINCT x.ext_id) AS ids
        FROM unmapped u
        CROSS JOIN LATERAL (
            VALUES (split_part(u.edge_type, '__', 1), u.src_ext_id, u.missing IN ('src', 'both')),
                   (split_part(u.edge_type, '__', 3), u.dst_ext_id, u.missing IN ('dst', 'both'))
        ) AS x (node_type, ext_id, is_missing)
        WHERE x.is_missing
        GROUP BY x.node_type
        ORDER BY x.node_type
    LOOP
        v_added := v_added + graph_nodes_add(v_part.node_type, v_part.ids);
    END LOOP;
    RETURN v_added;
END
$$;
COMMENT ON FUNCTION graph_edges_map(INTEGER) IS
    'makes the nodes that edges lack, for at most so many edges; returns how many nodes, 0 when none is left';
