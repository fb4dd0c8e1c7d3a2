-- begin --
-- One snapshot for all files, whatever is written meanwhile.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- moment --
SELECT now() AS at, pg_current_snapshot()::text AS snapshot

-- node_kinds --
SELECT m.node_type AS kind, count(*) AS rows
  FROM graph_node_map AS m
 WHERE m.created_at <= %(as_of)s
 GROUP BY m.node_type ORDER BY m.node_type

-- nodes --
-- In order of their numbers, with the vector of one encoder and label where they have it.
SELECT m.node_id, m.node_type, coalesce(m.ext_uuid::text, m.ext_text_id), m.snapshot_id, m.created_at,
       CASE m.node_type
           WHEN 'agent' THEN (SELECT to_jsonb(x) FROM agent_registry AS x WHERE x.agent_id = m.ext_text_id)
           WHEN 'organ' THEN (SELECT to_jsonb(x) FROM organ_registry AS x WHERE x.organ_id = m.ext_text_id)
           WHEN 'artifact' THEN (SELECT to_jsonb(x) FROM artifact AS x WHERE x.artifact_id = m.ext_uuid)
           WHEN 'capability' THEN (SELECT to_jsonb(x) FROM capability AS x WHERE x.capability_id = m.ext_uuid)
           WHEN 'memory_cell' THEN (SELECT to_jsonb(x) FROM memory_cell AS x WHERE x.memory_cell_id = m.ext_uuid)
           WHEN 'model' THEN (SELECT to_jsonb(x) FROM model AS x WHERE x.model_name = m.ext_text_id)
           WHEN 'policy' THEN (SELECT to_jsonb(x) FROM policy AS x WHERE x.policy_name = m.ext_text_id)
           WHEN 'service' THEN (SELECT to_jsonb(x) FROM service AS x WHERE x.service_name = m.ext_text_id)
           WHEN 'skill' THEN (SELECT to_jsonb(x) FROM skill AS x WHERE x.skill_name = m.ext_text_id)
       END::text AS entity,
       e.emb::float4[]
  FROM graph_node_map AS m
  LEFT JOIN graph_embeddings_128 AS e
    ON e.node_id = m.node_id AND e.label = %(label)s AND e.encoder_id = %(encoder_id)s::int
 WHERE m.created_at <= %(as_of)s
   AND (%(kind)s::text IS NULL OR m.node_type = %(kind)s::text)
 ORDER BY m.node_id

-- edge_types --
SELECT e.edge_type AS name, count(*) AS rows
  FROM hgnn_edges AS e
 WHERE e.created_at <= %(as_of)s AND (%(types)s::text[] IS NULL OR e.edge_type = ANY (%(types)s::text[]))
 GROUP BY e.edge_type ORDER BY e.edge_type

-- edges --
SELECT e.src_node_id, e.dst_node_id, e.edge_type, e.weight, e.created_at
  FROM hgnn_edges AS e
 WHERE e.created_at <= %(as_of)s AND (%(types)s::text[] IS NULL OR e.edge_type = ANY (%(types)s::text[]))

-- stage --
-- For one import, and gone at its end.
CREATE TEMP TABLE import_nodes (node_id bigint PRIMARY KEY, kind text NOT NULL, ext_id text NOT NULL, entity jsonb)
    ON COMMIT DROP;
CREATE TEMP TABLE import_edges (src bigint NOT NULL, dst bigint NOT NULL, edge_type text NOT NULL, weight real NOT NULL)
    ON COMMIT DROP

-- stage_nodes --
COPY pg_temp.import_nodes (node_id, kind, ext_id, entity) FROM STDIN

-- stage_edges --
COPY pg_temp.import_edges (src, dst, edge_type, weight) FROM STDIN

-- staged_kinds --
SELECT n.kind, count(*) AS rows FROM pg_temp.import_nodes AS n GROUP BY n.kind ORDER BY n.kind

-- staged_types --
SELECT e.edge_type, count(*) AS rows FROM pg_temp.import_edges AS e GROUP BY e.edge_type ORDER BY e.edge_type

-- analyze_stage --
ANALYZE pg_temp.import_nodes, pg_temp.import_edges
