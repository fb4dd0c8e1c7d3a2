-- lists --
-- Whom some nodes hear, within the cap, and how many there are in each relation. The order within the cap
-- is that of seedcore.embed.graph_encoder.sample: heaviest first, then by a fixed mixture of both numbers.
WITH heard AS (
    SELECT e.src_node_id AS node_id, e.dst_node_id AS other, e.edge_type, 0 AS direction, e.weight
      FROM hgnn_edges AS e WHERE e.src_node_id = ANY (%(ids)s::bigint[])
     UNION ALL
    SELECT e.dst_node_id, e.src_node_id, e.edge_type, 1, e.weight
      FROM hgnn_edges AS e WHERE e.dst_node_id = ANY (%(ids)s::bigint[])
), ranked AS (
    SELECT h.*, count(*) OVER same AS degree,
           row_number() OVER (same ORDER BY h.weight DESC,
               ((h.node_id %% 1000003) * 7919 + (h.other %% 1000003) * 104729) %% 1000003, h.other) AS nth
      FROM heard AS h
    WINDOW same AS (PARTITION BY h.node_id, h.edge_type, h.direction)
)
SELECT r.node_id, r.other, r.edge_type, r.direction, r.weight, r.degree, r.nth
  FROM ranked AS r
 WHERE r.nth <= %(cap)s::int

-- degrees --
SELECT x.node_id, x.edge_type, x.direction, count(*) AS degree
  FROM (SELECT e.src_node_id AS node_id, e.edge_type, 0 AS direction
          FROM hgnn_edges AS e WHERE e.src_node_id = ANY (%(ids)s::bigint[])
         UNION ALL
        SELECT e.dst_node_id, e.edge_type, 1
          FROM hgnn_edges AS e WHERE e.dst_node_id = ANY (%(ids)s::bigint[])) AS x
 GROUP BY x.node_id, x.edge_type, x.direction

-- words --
-- What is said of nodes: name, words, attributes; of what is long, its beginning.
SELECT m.node_id, m.node_type AS kind, extract(epoch FROM m.created_at)::float8 AS created_s,
       coalesce(left(CASE m.node_type
           WHEN 'task' THEN (SELECT concat_ws(' ', t.description, t.type, t.domain)
                               FROM tasks AS t WHERE t.id = m.ext_uuid)
           WHEN 'artifact' THEN (SELECT concat_ws(' ', a.uri, a.kind, nullif(a.props, '{}')::text)
                                   FROM artifact AS a WHERE a.artifact_id = m.ext_uuid)
           WHEN 'capability' THEN (SELECT concat_ws(' ', c.name, nullif(c.props, '{}')::text)
                                     FROM capability AS c WHERE c.capability_id = m.ext_uuid)
           WHEN 'memory_cell' THEN (SELECT concat_ws(' ', c.scope, c.mkey, nullif(c.props, '{}')::text)
                                      FROM memory_cell AS c WHERE c.memory_cell_id = m.ext_uuid)
           WHEN 'fact' THEN (SELECT concat_ws(' ', f.text, f.subject, f.predicate, array_to_string(f.tags, ' '))
                               FROM facts AS f WHERE f.id = m.ext_uuid)
           WHEN 'instance' THEN (SELECT i.logical_id FROM registry_instance AS i
                                  WHERE i.instance_id = m.ext_uuid)
           WHEN 'agent' THEN (SELECT concat_ws(' ', a.agent_id, a.display_name, nullif(a.props, '{}')::text)
                                FROM agent_registry AS a WHERE a.agent_id = m.ext_text_id)
           WHEN 'organ' THEN (SELECT concat_ws(' ', o.organ_id, o.kind, nullif(o.props, '{}')::text)
                                FROM organ_registry AS o WHERE o.organ_id = m.ext_text_id)
           ELSE m.ext_text_id END, 4000), '') AS text
  FROM graph_node_map AS m
 WHERE m.node_id = ANY (%(ids)s::bigint[])
 ORDER BY m.node_id

-- node_ids --
-- The numbers of all nodes, in order; of some kinds, or only those that this encoder gave no vector yet.
SELECT m.node_id
  FROM graph_node_map AS m
 WHERE (%(kinds)s::text[] IS NULL OR m.node_type = ANY (%(kinds)s::text[]))
   AND (%(encoder_id)s::int IS NULL
        OR NOT EXISTS (SELECT FROM graph_embeddings_128 AS e
                        WHERE e.node_id = m.node_id AND e.label = %(label)s
                          AND e.encoder_id = %(encoder_id)s::int))
 ORDER BY m.node_id
 LIMIT %(limit)s::bigint

-- count_nodes --
SELECT count(*) AS n FROM graph_node_map

-- all_edges --
COPY (SELECT e.src_node_id, e.dst_node_id, array_position(%(names)s::text[], e.edge_type)::int8, e.weight
        FROM hgnn_edges AS e) TO STDOUT (FORMAT BINARY)

-- edge_types --
SELECT DISTINCT e.edge_type AS name FROM hgnn_edges AS e ORDER BY e.edge_type

-- next_version --
SELECT coalesce(max(e.version), 0) + 1 AS version FROM encoder AS e WHERE e.name = %(name)s AND e.dim = 128

-- lock_fits --
-- Two fits at once would take the same version.
SELECT pg_advisory_xact_lock(hashtextextended('seedcore.graph_fit', 0))

-- submit_embed --
SELECT create_graph_embed_task(%(nodes)s::bigint[], %(k)s)::text AS task_id
