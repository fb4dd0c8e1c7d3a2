-- refresh --
-- Bring a bounded number of documents of the index of words up to date.
SELECT indexed, waiting FROM lexical_refresh(%(limit)s)

-- mark_missing --
-- What the index of words lacks, however it came about: all kinds, every row looked at.
INSERT INTO lexical_pending (kind, source_id)
SELECT n.kind, n.id
  FROM (SELECT 'task' AS kind, t.id::text AS id FROM tasks t
        UNION ALL SELECT 'fact', f.id::text FROM facts f
        UNION ALL SELECT m.node_type, coalesce(m.ext_uuid::text, m.ext_text_id) FROM graph_node_map m
                   WHERE m.node_type NOT IN ('task', 'fact', 'instance')) AS n
 WHERE NOT EXISTS (SELECT FROM lexical_document d WHERE d.kind = n.kind AND d.source_id = n.id)
UNION ALL
SELECT d.kind, d.source_id FROM lexical_document d
 WHERE d.kind = 'task' AND NOT EXISTS (SELECT FROM tasks t WHERE t.id = d.source_id::uuid)

-- status --
-- How large the index of words is, and what waits for it.
SELECT s.documents, s.total_length AS words, (SELECT count(*) FROM lexical_pending) AS pending,
       nullif(s.tasks_through, '-infinity') AS tasks_through, s.updated_at,
       (SELECT count(*) FROM lexical_document d WHERE d.kind = 'task') AS tasks,
       (SELECT count(*) FROM lexical_document d WHERE d.kind = 'fact') AS facts
  FROM lexical_statistics s

-- words --
-- What shares stems with the question, best first.
SELECT kind, source_id AS id, score
  FROM lexical_search(%(question)s, %(limit)s, %(namespace)s, %(snapshot_id)s, %(at)s, %(filter)s)

-- asks_anything --
-- Whether a question is more than stop words.
SELECT lexemes_query(%(question)s) IS NOT NULL AS asks

-- of_nodes --
-- What nodes are, if that is in scope; instances of programs say nothing.
SELECT n.node_id, n.node_type AS kind, coalesce(n.ext_uuid::text, n.ext_text_id) AS id
  FROM graph_node_map n
 WHERE n.node_id = ANY (%(nodes)s::bigint[]) AND n.node_type <> 'instance'
   AND memory_in_scope(n.node_type, coalesce(n.ext_uuid::text, n.ext_text_id), %(namespace)s, %(snapshot_id)s,
                       %(at)s, %(filter)s)

-- candidates --
-- Nodes in scope, one more than can be compared one by one. What narrows most is asked of whole tables first:
-- memory_in_scope() has the last word, but row by row.
SELECT n.node_id
  FROM graph_node_map n
 WHERE (n.node_type = 'fact' AND n.ext_uuid IN (
            SELECT f.id FROM facts f
             WHERE (%(namespace)s::text IS NULL OR f.namespace = %(namespace)s)
               AND (%(snapshot_id)s::int IS NULL OR f.snapshot_id = %(snapshot_id)s)
               AND (%(filter)s ->> 'subject' IS NULL OR f.subject = %(filter)s ->> 'subject')
               AND (%(filter)s -> 'tags' IS NULL
                    OR f.tags @> ARRAY(SELECT jsonb_array_elements_text(%(filter)s -> 'tags'))))
        OR n.node_type = 'task' AND n.ext_uuid IN (
            SELECT t.id FROM tasks t
             WHERE (%(namespace)s::text IS NULL OR t.domain = %(namespace)s)
               AND (%(snapshot_id)s::int IS NULL OR t.snapshot_id = %(snapshot_id)s)
               AND (%(filter)s ->> 'type' IS NULL OR t.type = %(filter)s ->> 'type'))
        OR n.node_type NOT IN ('fact', 'task', 'instance') AND %(namespace)s::text IS NULL
           AND (%(snapshot_id)s::int IS NULL OR n.snapshot_id = %(snapshot_id)s))
   AND n.node_type = coalesce(%(filter)s ->> 'kind', n.node_type)
   AND memory_in_scope(n.node_type, coalesce(n.ext_uuid::text, n.ext_text_id), %(namespace)s, %(snapshot_id)s,
                       %(at)s, %(filter)s)
 LIMIT %(limit)s

-- nodes_of --
-- The nodes of things, by their order in the list. Two ways, so that each goes by its index.
SELECT q.ord::int AS ord, n.node_id
  FROM unnest(%(kinds)s::text[], %(ids)s::text[]) WITH ORDINALITY AS q (kind, id, ord)
  JOIN graph_node_kinds() k ON k.node_type = q.kind AND k.key_type = 'uuid'
  JOIN graph_node_map n ON n.node_type = q.kind AND n.ext_table = k.ext_table AND n.ext_uuid = q.id::uuid
UNION ALL
SELECT q.ord::int, n.node_id
  FROM unnest(%(kinds)s::text[], %(ids)s::text[]) WITH ORDINALITY AS q (kind, id, ord)
  JOIN graph_node_kinds() k ON k.node_type = q.kind AND k.key_type = 'text'
  JOIN graph_node_map n ON n.node_type = q.kind AND n.ext_table = k.ext_table AND n.ext_text_id = q.id

-- one_hop --
-- The ends of the edges of nodes, in both directions; of each node and direction the heaviest and newest.
SELECT s.node_id AS start, e.node_id, e.edge_type, e.forwards
  FROM unnest(%(nodes)s::bigint[]) AS s (node_id)
 CROSS JOIN LATERAL (
       (SELECT h.dst_node_id AS node_id, h.edge_type, true AS forwards, h.weight, h.created_at
          FROM hgnn_edges h WHERE h.src_node_id = s.node_id
         ORDER BY h.weight DESC, h.created_at DESC, h.dst_node_id LIMIT %(most)s)
       UNION ALL
       (SELECT h.src_node_id, h.edge_type, false, h.weight, h.created_at
          FROM hgnn_edges h WHERE h.dst_node_id = s.node_id
         ORDER BY h.weight DESC, h.created_at DESC, h.src_node_id LIMIT %(most)s)) AS e
 ORDER BY array_position(%(nodes)s::bigint[], s.node_id), e.weight DESC, e.created_at DESC, e.node_id, e.edge_type

-- texts --
-- The words of things of one kind.
SELECT source_id AS id, content FROM lexical_content(%(kind)s, %(ids)s::text[])

-- fact_texts --
-- Facts as somebody said them; their tags are there to find them by.
SELECT f.id::text AS id, f.text AS content FROM facts f WHERE f.id = ANY (%(ids)s::uuid[])

-- terms --
-- The stems of documents, and which of them the question has.
SELECT d.kind, d.source_id AS id, array_agg(p.term ORDER BY p.term) AS terms,
       array_agg(p.term ORDER BY p.term) FILTER (WHERE p.term = ANY (w.stems)) AS shared
  FROM unnest(%(kinds)s::text[], %(ids)s::text[]) AS q (kind, id)
  JOIN lexical_document d ON d.kind = q.kind AND d.source_id = q.id
  JOIN lexical_posting p ON p.doc_id = d.doc_id
 CROSS JOIN (SELECT tsvector_to_array(to_tsvector('english', %(question)s)) AS stems) AS w
 GROUP BY d.kind, d.source_id

-- tiers --
-- The nearest of each tier of the memory, or of one.
SELECT h.id, h.category, h.content, h.memory_tier, h.snapshot_id, h.similarity, h.metadata
  FROM unified_cortex_semantic_search(%(vector)s::vector, %(snapshot_id)s::int, %(threshold)s::float8,
                                      %(limit)s::int, %(tier)s::text, %(encoder_id)s::int) AS h
