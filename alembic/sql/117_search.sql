DO $$
BEGIN
    IF to_regtype('public.cortex_hit') IS NULL THEN
        CREATE TYPE cortex_hit AS (
            id          text,
            category    text,
            content     text,
            memory_tier text,
            snapshot_id integer,
            similarity  double precision,
            metadata    jsonb);
    END IF;
END
$$;
COMMENT ON TYPE cortex_hit IS 'What a search of the memory finds.';

-- Each tier has its own index, on half-precision vectors, and is asked by itself: nearest rows first,
-- more than are wanted, because several rows may be of one task or node and because the order in half
-- precision is nearly right only. Their similarity is then computed from the whole vectors, brought to
-- length 1, which keeps the smallest ones from being lost in single precision. Where the index gave fewer
-- than are wanted (it gives up after hnsw.max_scan_tuples), the tier is read without it. The plan is made for
-- each call, so that the CASE is gone before an index is chosen.
--
-- The settings of pgvector are set and put back by hand: a SET clause with another's parameter needs a
-- superuser as long as pgvector isn't loaded, as when a dump is restored.
CREATE OR REPLACE FUNCTION unified_cortex_semantic_search(
    query_vector         vector(1024),
    snapshot_id          INTEGER,
    similarity_threshold FLOAT   DEFAULT 0.8,
    limit_results        INTEGER DEFAULT 10,
    memory_tier_filter   TEXT    DEFAULT NULL,
    encoder_id           INTEGER DEFAULT NULL
) RETURNS SETOF cortex_hit
LANGUAGE plpgsql STABLE
SET search_path = public, pg_temp
SET plan_cache_mode = force_custom_plan
SET jit = off AS $$
#variable_conflict use_column
DECLARE
    c_tiers    CONSTANT TEXT[] := '{event_working,knowledge_base,world_memory}';
    v_search   CONSTANT TEXT := current_setting('hnsw.ef_search', true);
    v_scan     CONSTANT TEXT := current_setting('hnsw.iterative_scan', true);
    v_query    vector;
    v_half     halfvec;
    v_snapshot INTEGER := unified_cortex_semantic_search.snapshot_id;
    v_least    FLOAT := coalesce(similarity_threshold, 0.8);
    v_wanted   INTEGER := coalesce(limit_results, 10);
    v_rows     INTEGER;
    v_encoders INTEGER[];
    v_model    TEXT;
    v_tier     TEXT;
    v_exact    BOOLEAN;
    v_found    cortex_hit[];
    v_hits     cortex_hit[] := '{}';
BEGIN
    IF query_vector IS NULL OR vector_dims(query_vector) <> 1024 THEN
        RAISE EXCEPTION 'the query must be a vector of 1024 dimensions'
            USING ERRCODE = 'SC422', DETAIL = 'memory.bad_vector';
    ELSIF vector_norm(query_vector) = 0 THEN
        RAISE EXCEPTION 'the query is a zero vector, which is like nothing'
            USING ERRCODE = 'SC422', DETAIL = 'memory.zero_vector';
    ELSIF memory_tier_filter <> ALL (c_tiers) THEN
        RAISE EXCEPTION 'there is no memory tier "%"', memory_tier_filter
            USING ERRCODE = 'SC422', DETAIL = 'memory.unknown_tier',
                  HINT = 'event_working, knowledge_base or world_memory';
    ELSIF v_wanted < 1 OR v_wanted > 10000 THEN
        RAISE EXCEPTION 'between 1 and 10000 results can be asked for, not %', v_wanted
            USING ERRCODE = 'SC422', DETAIL = 'memory.bad_limit';
    ELSIF v_least = 'NaN' THEN
        RAISE EXCEPTION 'the threshold is not a number' USING ERRCODE = 'SC422', DETAIL = 'memory.bad_threshold';
    END IF;
    v_query := l2_normalize(query_vector);
    v_half := v_query::halfvec(1024);
    -- Vectors of two encoders have nothing to do with each other.
    SELECT array_agg(c.encoder_id), max(c.model) INTO v_encoders, v_model
    FROM encoder AS c
    WHERE c.dim = 1024
      AND CASE WHEN unified_cortex_semantic_search.encoder_id IS NULL THEN c.state = 'serving'
               ELSE c.encoder_id = unified_cortex_semantic_search.encoder_id END;
    IF unified_cortex_semantic_search.encoder_id IS NULL THEN
        v_model := NULL;
    ELSIF v_encoders IS NULL THEN
        RAISE EXCEPTION 'there is no encoder % of 1024 dimensions', unified_cortex_semantic_search.encoder_id
            USING ERRCODE = 'SC404', DETAIL = 'embed.encoder_not_found';
    END IF;

    PERFORM set_config('hnsw.ef_search', '200', true), set_config('hnsw.iterative_scan', 'relaxed_order', true);
    FOREACH v_tier IN ARRAY c_tiers LOOP
        CONTINUE WHEN memory_tier_filter <> v_tier;
        v_exact := false;
        v_rows := v_wanted * 4 + 20;
        LOOP
            IF v_tier = 'event_working' THEN
                v_found := ARRAY(
                    SELECT (r.id::text, r.type, r.description, v_tier, r.snapshot_id, r.similarity,
                            jsonb_build_object('multimodal', r.params -> 'multimodal',
                                'source_modality', r.source_modality, 'model_version', r.model_version,
                                'task_id', r.id, 'task_status', r.status, 'task_type', r.type))::cortex_hit
                    FROM (SELECT t.id, t.type, t.description, t.snapshot_id, t.params, t.status,
                                 m.source_modality, m.model_version,
                                 1 - (l2_normalize(m.emb) <=> v_query) AS similarity
                          FROM task_multimodal_embeddings AS m
                          JOIN tasks AS t ON t.id = m.task_id
                          WHERE (v_snapshot IS NULL OR t.snapshot_id = v_snapshot)
                            AND (v_model IS NULL OR m.model_version = v_model)
                            AND NOT EXISTS (
                                SELECT FROM graph_node_map AS n
                                JOIN graph_embeddings_1024 AS e
                                  ON e.node_id = n.node_id AND e.label = 'task.primary'
                                JOIN encoder AS c ON c.encoder_id = e.encoder_id AND c.state = 'serving'
                                WHERE n.node_type = 'task' AND n.ext_table = 'tasks' AND n.ext_uuid = t.id)
                          ORDER BY CASE WHEN v_exact THEN l2_normalize(m.emb) <=> v_query
                                        ELSE m.emb::halfvec(1024) <=> v_half END
                          LIMIT v_rows) AS r);
            ELSIF v_tier = 'knowledge_base' THEN
                v_found := ARRAY(
                    SELECT (r.id::text, 'task_graph', task_content_text(r.description, r.type, r.params), v_tier,
                            r.snapshot_id, r.similarity,
                            jsonb_build_object('node_id', r.node_id, 'memory_label', r.label, 'model', r.model,
                                'props', r.props, 'content_sha256', r.content_sha256))::cortex_hit
                    FROM (SELECT t.id, t.type, t.description, t.params, e.node_id, e.label, e.props,
                                 e.content_sha256, c.model,
                                 coalesce(t.snapshot_id, e.snapshot_id, n.snapshot_id) AS snapshot_id,
                                 1 - (l2_normalize(e.emb) <=> v_query) AS similarity
                          FROM graph_embeddings_1024 AS e
                          JOIN encoder AS c ON c.encoder_id = e.encoder_id
                          JOIN graph_node_map AS n
                            ON n.node_id = e.node_id AND n.node_type = 'task' AND n.ext_table = 'tasks'
                          JOIN tasks AS t ON t.id = n.ext_uuid
                          WHERE e.label = 'task.primary' AND e.encoder_id = ANY (v_encoders)
                            AND (v_snapshot IS NULL
                                 OR coalesce(t.snapshot_id, e.snapshot_id, n.snapshot_id) = v_snapshot)
                          ORDER BY CASE WHEN v_exact THEN l2_normalize(e.emb) <=> v_query
                                        ELSE e.emb::halfvec(1024) <=> v_half END
                          LIMIT v_rows) AS r);
            ELSE
                v_found := ARRAY(
                    SELECT (r.node_id::text, r.label,
                            coalesce(r.props ->> 'name', r.props ->> 'title', r.props ->> 'description',
                                     r.props ->> 'specialization', 'Graph Entity'),
                            v_tier, r.snapshot_id, r.similarity,
                            jsonb_build_object('node_id', r.node_id, 'label', r.label, 'model', r.model,
                                'props', r.props, 'content_sha256', r.content_sha256))::cortex_hit
                    FROM (SELECT e.node_id, e.label, e.props, e.snapshot_id, e.content_sha256, c.model,
                                 1 - (l2_normalize(e.emb) <=> v_query) AS similarity
                          FROM graph_embeddings_1024 AS e
                          JOIN encoder AS c ON c.encoder_id = e.encoder_id
                          WHERE e.label <> 'task.primary' AND e.encoder_id = ANY (v_encoders)
                            AND (v_snapshot IS NULL OR e.snapshot_id = v_snapshot)
                          ORDER BY CASE WHEN v_exact THEN l2_normalize(e.emb) <=> v_query
                                        ELSE e.emb::halfvec(1024) <=> v_half END
                          LIMIT v_rows) AS r);
            END IF;
            EXIT WHEN (SELECT count(DISTINCT h.id) FROM unnest(v_found) AS h) >= v_wanted
                   OR v_exact AND cardinality(v_found) < v_rows;
            -- Again without the index; when that too was full of the same few, with more.
            v_rows := v_rows * CASE WHEN v_exact THEN 8 ELSE 1 END;
            v_exact := true;
        END LOOP;
        v_hits := v_hits || v_found;
    END LOOP;
    PERFORM set_config('hnsw.ef_search', v_search, true), set_config('hnsw.iterative_scan', v_scan, true);

    RETURN QUERY
    SELECT b.id, b.category, b.content, b.memory_tier, b.snapshot_id, b.similarity, b.metadata
    FROM (SELECT DISTINCT ON (h.memory_tier, h.id) h.*
          FROM unnest(v_hits) AS h
          WHERE h.similarity >= v_least AND h.similarity <> 'NaN'
          ORDER BY h.memory_tier, h.id, h.similarity DESC) AS b
    ORDER BY b.similarity DESC, b.memory_tier, b.id
    LIMIT v_wanted;
END
$$;
COMMENT ON FUNCTION unified_cortex_semantic_search(vector, INTEGER, FLOAT, INTEGER, TEXT, INTEGER) IS
    'what is most like a vector in one snapshot (null: in all), at least so much, best first, in one tier or all; without an encoder those that serve';
