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
