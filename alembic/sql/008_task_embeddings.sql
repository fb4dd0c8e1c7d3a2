-- An adopted database may have views of these names with other columns.
DROP VIEW IF EXISTS task_embeddings, task_embeddings_128, task_embeddings_1024;

CREATE VIEW task_embeddings_128 AS
SELECT t.id AS task_id, m.node_id, g.emb, g.label, g.props,
       (SELECT e.model FROM encoder AS e WHERE e.encoder_id = g.encoder_id) AS model,
       g.content_sha256, g.created_at, g.updated_at, g.encoder_id
FROM tasks AS t
JOIN graph_node_map AS m ON m.node_type = 'task' AND m.ext_table = 'tasks' AND m.ext_uuid = t.id
LEFT JOIN graph_embeddings_128 AS g ON g.node_id = m.node_id;
COMMENT ON VIEW task_embeddings_128 IS 'tasks that have a node, with their 128-d vectors: one row per label and encoder, nulls when there is none';

CREATE VIEW task_embeddings_1024 AS
SELECT t.id AS task_id, m.node_id, g.emb, g.label, g.props,
       (SELECT e.model FROM encoder AS e WHERE e.encoder_id = g.encoder_id) AS model,
       g.content_sha256, g.created_at, g.updated_at, g.encoder_id
FROM tasks AS t
JOIN graph_node_map AS m ON m.node_type = 'task' AND m.ext_table = 'tasks' AND m.ext_uuid = t.id
LEFT JOIN graph_embeddings_1024 AS g ON g.node_id = m.node_id;
COMMENT ON VIEW task_embeddings_1024 IS 'tasks that have a node, with their 1024-d vectors: one row per label and encoder, nulls when there is none';

CREATE VIEW task_embeddings AS
SELECT v.task_id, v.node_id, v.emb, v.label, v.props, v.model, v.content_sha256, v.created_at, v.updated_at,
       v.encoder_id
FROM task_embeddings_128 AS v;
COMMENT ON VIEW task_embeddings IS 'the seeds'' name of task_embeddings_128';
