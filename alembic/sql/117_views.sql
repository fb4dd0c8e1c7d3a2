-- Vectors of retired encoders, and of those that are still being prepared, are in none of the views: they
-- can't be compared with the others.
DROP VIEW IF EXISTS task_embeddings_primary_128, task_embeddings_primary_1024, tasks_missing_embeddings_128,
    tasks_missing_embeddings_1024, task_embeddings_stale_128, task_embeddings_stale_1024,
    tasks_missing_any_embedding_1024, v_unified_cortex_memory;

CREATE VIEW task_embeddings_primary_128 AS
SELECT t.id AS task_id, e.node_id, e.emb, c.model, e.props, e.content_sha256, e.created_at, e.updated_at,
       e.encoder_id
FROM graph_embeddings_128 AS e
JOIN encoder AS c ON c.encoder_id = e.encoder_id AND c.state = 'serving'
JOIN graph_node_map AS n ON n.node_id = e.node_id AND n.node_type = 'task' AND n.ext_table = 'tasks'
JOIN tasks AS t ON t.id = n.ext_uuid
WHERE e.label = 'task.primary';
COMMENT ON VIEW task_embeddings_primary_128 IS 'tasks with the 128-d vector of their own text';

CREATE VIEW task_embeddings_primary_1024 AS
SELECT t.id AS task_id, e.node_id, e.emb, c.model, e.props, e.content_sha256, e.created_at, e.updated_at,
       e.label AS memory_label, 'knowledge_base'::text AS memory_tier,
       coalesce(t.snapshot_id, e.snapshot_id, n.snapshot_id) AS snapshot_id, e.encoder_id
FROM graph_embeddings_1024 AS e
JOIN encoder AS c ON c.encoder_id = e.encoder_id AND c.state = 'serving'
JOIN graph_node_map AS n ON n.node_id = e.node_id AND n.node_type = 'task' AND n.ext_table = 'tasks'
JOIN tasks AS t ON t.id = n.ext_uuid
WHERE e.label = 'task.primary';
COMMENT ON VIEW task_embeddings_primary_1024 IS 'tasks with the 1024-d vector of their own text: the knowledge base';

CREATE VIEW tasks_missing_embeddings_128 AS
SELECT t.id AS task_id, n.node_id
FROM tasks AS t
LEFT JOIN graph_node_map AS n ON n.node_type = 'task' AND n.ext_table = 'tasks' AND n.ext_uuid = t.id
WHERE t.type <> 'graph'
  AND NOT EXISTS (
        SELECT FROM graph_embeddings_128 AS e
        JOIN encoder AS c ON c.encoder_id = e.encoder_id AND c.state = 'serving'
        WHERE e.node_id = n.node_id AND e.label = 'task.primary')
  AND NOT EXISTS (
        SELECT FROM task_embedding_status AS s
        WHERE s.task_id = t.id AND s.space = '128' AND s.label = 'task.primary' AND s.state = 'skipped');
COMMENT ON VIEW tasks_missing_embeddings_128 IS 'tasks without a 128-d vector of their text; not those with nothing to embed, nor graph tasks, which do the embedding';

CREATE VIEW tasks_missing_embeddings_1024 AS
SELECT t.id AS task_id, n.node_id
FROM tasks AS t
LEFT JOIN graph_node_map AS n ON n.node_type = 'task' AND n.ext_table = 'tasks' AND n.ext_uuid = t.id
WHERE t.type <> 'graph'
  AND NOT EXISTS (
        SELECT FROM graph_embeddings_1024 AS e
        JOIN encoder AS c ON c.encoder_id = e.encoder_id AND c.state = 'serving'
        WHERE e.node_id = n.node_id AND e.label = 'task.primary')
  AND NOT EXISTS (
        SELECT FROM task_embedding_status AS s
        WHERE s.task_id = t.id AND s.space = '1024' AND s.label = 'task.primary' AND s.state = 'skipped');
COMMENT ON VIEW tasks_missing_embeddings_1024 IS 'tasks without a 1024-d vector of their text; not those with nothing to embed, nor graph tasks, which do the embedding';

CREATE VIEW task_embeddings_stale_128 AS
SELECT t.id AS task_id, e.node_id, e.label, e.content_sha256 AS stored_sha256, h.sha256 AS current_sha256
FROM graph_embeddings_128 AS e
JOIN encoder AS c ON c.encoder_id = e.encoder_id AND c.state = 'serving'
JOIN graph_node_map AS n ON n.node_id = e.node_id AND n.node_type = 'task' AND n.ext_table = 'tasks'
JOIN tasks AS t ON t.id = n.ext_uuid
CROSS JOIN LATERAL (SELECT task_content_sha256(t.description, t.type, t.params) AS sha256) AS h
-- Those that the graph encoder made of a task and what surrounds it have no hash of its text.
WHERE e.label = 'task.primary' AND e.content_sha256 <> h.sha256;
COMMENT ON VIEW task_embeddings_stale_128 IS '128-d vectors of tasks'' texts whose text is another one now; none of those that stand for a surrounding';

CREATE VIEW task_embeddings_stale_1024 AS
SELECT t.id AS task_id, e.node_id, e.label, e.content_sha256 AS stored_sha256, h.sha256 AS current_sha256
FROM graph_embeddings_1024 AS e
JOIN encoder AS c ON c.encoder_id = e.encoder_id AND c.state = 'serving'
JOIN graph_node_map AS n ON n.node_id = e.node_id AND n.node_type = 'task' AND n.ext_table = 'tasks'
JOIN tasks AS t ON t.id = n.ext_uuid
CROSS JOIN LATERAL (SELECT task_content_sha256(t.description, t.type, t.params) AS sha256) AS h
WHERE e.label = 'task.primary' AND e.content_sha256 IS DISTINCT FROM h.sha256;
COMMENT ON VIEW task_embeddings_stale_1024 IS '1024-d vectors of tasks whose text is another one now';

CREATE VIEW tasks_missing_any_embedding_1024 AS
SELECT t.id AS task_id, t.type AS task_type, t.description AS task_description, t.snapshot_id,
       CASE WHEN m.graph AND m.multimodal THEN 'both' WHEN m.graph THEN 'graph' ELSE 'multimodal' END
           AS missing_type
FROM tasks AS t
CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT FROM tasks_missing_embeddings_1024 AS g WHERE g.task_id = t.id) AS graph,
           t.params ? 'multimodal'
           AND NOT EXISTS (SELECT FROM task_multimodal_embeddings AS e WHERE e.task_id = t.id)
           AND NOT EXISTS (SELECT FROM task_embedding_status AS s
                           WHERE s.task_id = t.id AND s.space = 'multimodal' AND s.state = 'skipped')
               AS multimodal) AS m
WHERE m.graph OR m.multimodal;
COMMENT ON VIEW tasks_missing_any_embedding_1024 IS
    'tasks without the 1024-d vector of their text, or with a multimodal envelope and no vector of that';

CREATE VIEW v_unified_cortex_memory AS
SELECT t.id::text AS id, t.type AS category, t.description AS content, 'event_working'::text AS memory_tier,
       t.snapshot_id, m.emb AS vector,
       jsonb_build_object('multimodal', t.params -> 'multimodal', 'source_modality', m.source_modality,
           'model_version', m.model_version, 'task_id', t.id, 'task_status', t.status, 'task_type', t.type)
           AS metadata
FROM task_multimodal_embeddings AS m
JOIN tasks AS t ON t.id = m.task_id
WHERE NOT EXISTS (
    SELECT FROM graph_node_map AS n
    JOIN graph_embeddings_1024 AS e ON e.node_id = n.node_id AND e.label = 'task.primary'
    JOIN encoder AS c ON c.encoder_id = e.encoder_id AND c.state = 'serving'
    WHERE n.node_type = 'task' AND n.ext_table = 'tasks' AND n.ext_uuid = t.id)
UNION ALL
SELECT t.id::text, 'task_graph', task_content_text(t.description, t.type, t.params), 'knowledge_base',
       coalesce(t.snapshot_id, e.snapshot_id, n.snapshot_id), e.emb,
       jsonb_build_object('node_id', e.node_id, 'memory_label', e.label, 'model', c.model, 'props', e.props,
           'content_sha256', e.content_sha256)
FROM graph_embeddings_1024 AS e
JOIN encoder AS c ON c.encoder_id = e.encoder_id AND c.state = 'serving'
JOIN graph_node_map AS n ON n.node_id = e.node_id AND n.node_type = 'task' AND n.ext_table = 'tasks'
JOIN tasks AS t ON t.id = n.ext_uuid
WHERE e.label = 'task.primary'
UNION ALL
SELECT e.node_id::text, e.label,
       coalesce(e.props ->> 'name', e.props ->> 'title', e.props ->> 'description',
                e.props ->> 'specialization', 'Graph Entity'),
       'world_memory', e.snapshot_id, e.emb,
       jsonb_build_object('node_id', e.node_id, 'label', e.label, 'model', c.model, 'props', e.props,
           'content_sha256', e.content_sha256)
FROM graph_embeddings_1024 AS e
JOIN encoder AS c ON c.encoder_id = e.encoder_id AND c.state = 'serving'
WHERE e.label <> 'task.primary';
COMMENT ON VIEW v_unified_cortex_memory IS
    'all memory in one: what happens now, what tasks are known, what is known of the world; search it through unified_cortex_semantic_search';
