-- nodes --
-- Nodes with what a person calls them; one look into the entity's own table for each row that is shown.
SELECT m.node_id, m.node_type AS kind, coalesce(m.ext_uuid::text, m.ext_text_id) AS ext_id, m.snapshot_id,
       CASE m.node_type
           WHEN 'task' THEN (SELECT left(coalesce(nullif(t.description, ''), t.type), 200)
                               FROM tasks AS t WHERE t.id = m.ext_uuid)
           WHEN 'artifact' THEN (SELECT a.uri FROM artifact AS a WHERE a.artifact_id = m.ext_uuid)
           WHEN 'capability' THEN (SELECT c.name FROM capability AS c WHERE c.capability_id = m.ext_uuid)
           WHEN 'memory_cell' THEN (SELECT c.scope || '/' || c.mkey || '@' || c.version
                                      FROM memory_cell AS c WHERE c.memory_cell_id = m.ext_uuid)
           WHEN 'fact' THEN (SELECT left(f.text, 200) FROM facts AS f WHERE f.id = m.ext_uuid)
           WHEN 'instance' THEN (SELECT i.logical_id FROM registry_instance AS i
                                  WHERE i.instance_id = m.ext_uuid)
           WHEN 'agent' THEN (SELECT coalesce(a.display_name, a.agent_id) FROM agent_registry AS a
                               WHERE a.agent_id = m.ext_text_id)
           ELSE m.ext_text_id
       END AS title,
       EXISTS (SELECT FROM graph_embeddings_128 AS e WHERE e.node_id = m.node_id) AS embedded,
       m.created_at
  FROM graph_node_map AS m
 WHERE m.node_id > %(after)s::bigint
   AND (%(ids)s::bigint[] IS NULL OR m.node_id = ANY (%(ids)s::bigint[]))
   AND (%(kinds)s::text[] IS NULL OR m.node_type = ANY (%(kinds)s::text[]))
   AND (NOT %(missing)s::boolean
        OR NOT EXISTS (SELECT FROM graph_embeddings_128 AS e WHERE e.node_id = m.node_id))
 ORDER BY m.node_id
 LIMIT %(limit)s::bigint

-- node_exists --
SELECT m.node_id, m.node_type AS kind, coalesce(m.ext_uuid::text, m.ext_text_id) AS ext_id
  FROM graph_node_map AS m
 WHERE m.node_id = %(node_id)s

-- references --
SELECT m.node_id, m.node_type || ':' || coalesce(m.ext_uuid::text, m.ext_text_id) AS ref
  FROM graph_node_map AS m
 WHERE m.node_id = ANY (%(ids)s::bigint[])

-- edges_of --
-- Edges at some nodes, by the index of each table.
SELECT e.src_node_id, e.dst_node_id, e.edge_type, e.weight, e.created_at
  FROM hgnn_edges AS e
 WHERE e.src_node_id = ANY (%(ids)s::bigint[])
   AND (%(types)s::text[] IS NULL OR e.edge_type = ANY (%(types)s::text[]))
 ORDER BY e.src_node_id, e.edge_type, e.dst_node_id
 LIMIT %(limit)s::bigint

-- edges_to --
SELECT e.src_node_id, e.dst_node_id, e.edge_type, e.weight, e.created_at
  FROM hgnn_edges AS e
 WHERE e.dst_node_id = ANY (%(ids)s::bigint[])
   AND (%(types)s::text[] IS NULL OR e.edge_type = ANY (%(types)s::text[]))
 ORDER BY e.dst_node_id, e.edge_type, e.src_node_id
 LIMIT %(limit)s::bigint

-- edges --
-- Any edges. With a limit the first ones by number; all of them come as the tables have them.
SELECT e.src_node_id, e.dst_node_id, e.edge_type, e.weight, e.created_at
  FROM hgnn_edges AS e
 WHERE (%(src)s::bigint IS NULL OR e.src_node_id = %(src)s::bigint)
   AND (%(dst)s::bigint IS NULL OR e.dst_node_id = %(dst)s::bigint)
   AND (%(types)s::text[] IS NULL OR e.edge_type = ANY (%(types)s::text[]))
 ORDER BY e.src_node_id, e.edge_type, e.dst_node_id
 LIMIT %(limit)s::bigint

-- all_edges --
SELECT e.src_node_id, e.dst_node_id, e.edge_type, e.weight, e.created_at
  FROM hgnn_edges AS e
 WHERE %(types)s::text[] IS NULL OR e.edge_type = ANY (%(types)s::text[])

-- stats --
-- An edge between two nodes of one kind is one edge of that kind, and two of its degrees.
WITH ends AS (
    SELECT e.src_node_id AS node_id FROM hgnn_edges AS e
     UNION ALL
    SELECT e.dst_node_id FROM hgnn_edges AS e
), degrees AS (
    SELECT node_id, count(*) AS degree FROM ends GROUP BY node_id
), edges AS (
    SELECT x.kind, sum(t.edges) AS edges
      FROM (SELECT e.edge_type, count(*) AS edges FROM hgnn_edges AS e GROUP BY e.edge_type) AS t
     CROSS JOIN LATERAL (SELECT split_part(t.edge_type, '__', 1)
                          UNION
                         SELECT split_part(t.edge_type, '__', 3)) AS x (kind)
     GROUP BY x.kind
), vectors AS (
    SELECT DISTINCT e.node_id FROM graph_embeddings_128 AS e
)
SELECT k.node_type AS kind, count(m.node_id) AS nodes, coalesce(max(e.edges), 0)::bigint AS edges,
       coalesce(sum(d.degree)::float8 / nullif(count(m.node_id), 0), 0) AS avg_degree,
       count(m.node_id) FILTER (WHERE d.node_id IS NULL) AS isolated,
       coalesce(count(v.node_id)::float8 / nullif(count(m.node_id), 0), 0) AS embedded_ratio
  FROM graph_node_kinds() WITH ORDINALITY AS k (node_type, ext_table, key_column, key_type, nth)
  LEFT JOIN graph_node_map AS m ON m.node_type = k.node_type
  LEFT JOIN degrees AS d ON d.node_id = m.node_id
  LEFT JOIN vectors AS v ON v.node_id = m.node_id
  LEFT JOIN edges AS e ON e.kind = k.node_type
 GROUP BY k.node_type, k.nth
 ORDER BY k.nth

-- unmapped --
SELECT u.edge_type, count(*) AS edges FROM hgnn_edges_unmapped AS u GROUP BY u.edge_type ORDER BY u.edge_type

-- dependencies --
SELECT e.src_task_id, e.dst_task_id FROM task_depends_on_task AS e

-- map_edges --
SELECT graph_edges_map(%(limit)s::integer) AS added

-- map_entities --
SELECT b.node_type, b.inserted FROM backfill_nodes(%(kind)s) AS b

-- add_artifact --
INSERT INTO artifact (uri, kind, props)
SELECT %(name)s, %(kind)s, %(props)s::jsonb
 WHERE NOT EXISTS (SELECT FROM artifact AS a
                    WHERE a.uri = %(name)s AND a.kind IS NOT DISTINCT FROM %(kind)s::text)
RETURNING artifact_id::text AS ext_id

-- find_artifact --
SELECT a.artifact_id::text AS ext_id FROM artifact AS a
 WHERE a.uri = %(name)s AND a.kind IS NOT DISTINCT FROM %(kind)s::text
 ORDER BY a.created_at, a.artifact_id LIMIT 1

-- lock_artifact --
-- Addresses are not unique; two who add the same one follow each other.
SELECT pg_advisory_xact_lock(hashtextextended('seedcore.artifact:' || %(name)s, 0))

-- add_capability --
INSERT INTO capability (name, props) VALUES (%(name)s, %(props)s::jsonb)
ON CONFLICT DO NOTHING RETURNING capability_id::text AS ext_id

-- find_capability --
SELECT c.capability_id::text AS ext_id FROM capability AS c WHERE c.name = %(name)s

-- add_memory_cell --
INSERT INTO memory_cell (scope, mkey, version, props)
VALUES (%(scope)s, %(name)s, %(version)s::integer, %(props)s::jsonb)
ON CONFLICT DO NOTHING RETURNING memory_cell_id::text AS ext_id

-- find_memory_cell --
SELECT c.memory_cell_id::text AS ext_id FROM memory_cell AS c
 WHERE c.scope = %(scope)s AND c.mkey = %(name)s AND c.version = %(version)s::integer

-- add_agent --
INSERT INTO agent_registry (agent_id, display_name, props) VALUES (%(name)s, %(title)s, %(props)s::jsonb)
ON CONFLICT DO NOTHING RETURNING agent_id AS ext_id

-- find_agent --
SELECT a.agent_id AS ext_id FROM agent_registry AS a WHERE a.agent_id = %(name)s

-- add_organ --
INSERT INTO organ_registry (organ_id, kind, props) VALUES (%(name)s, %(kind)s, %(props)s::jsonb)
ON CONFLICT DO NOTHING RETURNING organ_id AS ext_id

-- find_organ --
SELECT o.organ_id AS ext_id FROM organ_registry AS o WHERE o.organ_id = %(name)s

-- add_model --
INSERT INTO model (model_name, meta) VALUES (%(name)s, %(props)s::jsonb)
ON CONFLICT DO NOTHING RETURNING model_name AS ext_id

-- find_model --
SELECT m.model_name AS ext_id FROM model AS m WHERE m.model_name = %(name)s

-- add_policy --
INSERT INTO policy (policy_name, meta) VALUES (%(name)s, %(props)s::jsonb)
ON CONFLICT DO NOTHING RETURNING policy_name AS ext_id

-- find_policy --
SELECT p.policy_name AS ext_id FROM policy AS p WHERE p.policy_name = %(name)s

-- add_service --
INSERT INTO service (service_name, meta) VALUES (%(name)s, %(props)s::jsonb)
ON CONFLICT DO NOTHING RETURNING service_name AS ext_id

-- find_service --
SELECT s.service_name AS ext_id FROM service AS s WHERE s.service_name = %(name)s

-- add_skill --
INSERT INTO skill (skill_name, meta) VALUES (%(name)s, %(props)s::jsonb)
ON CONFLICT DO NOTHING RETURNING skill_name AS ext_id

-- find_skill --
SELECT s.skill_name AS ext_id FROM skill AS s WHERE s.skill_name = %(name)s

-- ensure_node --
SELECT n.node_id FROM ensure_nodes(%(kind)s, ARRAY[%(ext_id)s]) AS n

-- depend --
SELECT task_add_dependency(%(src)s::uuid, %(dst)s::uuid) AS added

-- undepend --
SELECT task_remove_dependency(%(src)s::uuid, %(dst)s::uuid) AS removed
