-- encoders --
-- Every encoder with the number of its vectors. What came without naming its encoder is "unspecified".
SELECT e.encoder_id, e.model, e.name, e.version, e.kind, e.dim, e.native_dim, e.state, e.digest,
       octet_length(e.weights) AS weights_bytes, v.vectors, e.created_at
  FROM encoder AS e
  CROSS JOIN LATERAL (
       SELECT CASE e.dim
              WHEN 128 THEN (SELECT count(*) FROM graph_embeddings_128 AS g WHERE g.encoder_id = e.encoder_id)
              ELSE (SELECT count(*) FROM graph_embeddings_1024 AS g WHERE g.encoder_id = e.encoder_id)
              END AS vectors) AS v
 WHERE e.name <> 'unspecified' OR v.vectors > 0
 ORDER BY e.kind, e.encoder_id

-- find_encoder --
SELECT e.encoder_id, e.name, e.version, e.kind, e.dim, e.native_dim, e.digest, e.state
  FROM encoder AS e
 WHERE e.model = %(model)s AND e.dim = %(dim)s

-- serving_encoder --
-- The encoder of a kind that answers questions; what foreign writers left unnamed counts for none.
SELECT e.encoder_id, e.name, e.version, e.kind, e.dim, e.native_dim, e.digest, e.state
  FROM encoder AS e
 WHERE e.kind = %(kind)s AND e.dim = %(dim)s AND e.state = 'serving' AND e.name <> 'unspecified'
 ORDER BY e.encoder_id DESC
 LIMIT 1

-- add_encoder --
-- A new encoder serves at once if none of its kind does; else it is prepared beside the one that does.
INSERT INTO encoder (name, version, kind, dim, native_dim, digest, weights, state)
SELECT %(name)s, %(version)s, %(kind)s, %(dim)s::int, %(native_dim)s::int, %(digest)s, %(weights)s,
       CASE WHEN EXISTS (SELECT FROM encoder AS o
                          WHERE o.kind = %(kind)s AND o.dim = %(dim)s::int AND o.state = 'serving'
                            AND o.name <> 'unspecified')
            THEN 'preparing' ELSE 'serving' END
ON CONFLICT DO NOTHING

-- lock_encoders --
-- Whoever changes which encoder serves goes one after the other.
SELECT pg_advisory_xact_lock(hashtextextended('seedcore.encoder', 0))

-- serve_encoder --
-- One encoder of a kind serves; those before it keep their vectors, but answer nothing.
UPDATE encoder AS e
   SET state = CASE WHEN e.encoder_id = %(encoder_id)s THEN 'serving' ELSE 'retired' END
  FROM encoder AS n
 WHERE n.encoder_id = %(encoder_id)s AND e.kind = n.kind AND e.dim = n.dim AND e.name <> 'unspecified'
   AND (e.encoder_id = n.encoder_id AND e.state <> 'serving'
        OR e.encoder_id <> n.encoder_id AND e.state = 'serving')

-- prepare_encoder --
-- One that was retired and is chosen again embeds what changed since, and then serves.
UPDATE encoder SET state = 'preparing' WHERE encoder_id = %(encoder_id)s AND state = 'retired'

-- weights --
SELECT e.weights FROM encoder AS e WHERE e.encoder_id = %(encoder_id)s

-- stage_vectors --
-- For one load. Vectors stay in their rows: moving them out of line and back would cost the most here.
-- Dropped at commit, so that a pooler's next client finds none.
CREATE TEMP TABLE embed_stage (
    node_id        bigint,
    content_sha256 text,
    props          jsonb,
    emb            vector
) ON COMMIT DROP;
ALTER TABLE pg_temp.embed_stage ALTER COLUMN emb SET STORAGE PLAIN

-- fill_stage --
COPY pg_temp.embed_stage (node_id, content_sha256, emb) FROM STDIN (FORMAT BINARY)

-- fill_stage_props --
COPY pg_temp.embed_stage (node_id, content_sha256, emb, props) FROM STDIN (FORMAT BINARY)

-- upsert_vectors --
-- Unchanged content writes nothing, not even a lock on its row. Without a hash the vectors themselves are
-- compared. Nodes that were deleted meanwhile are passed over.
INSERT INTO {table} AS g (node_id, label, encoder_id, emb, content_sha256, props, snapshot_id)
SELECT s.node_id, %(label)s, %(encoder_id)s, s.emb, s.content_sha256, s.props, n.snapshot_id
  FROM pg_temp.embed_stage AS s
  JOIN graph_node_map AS n ON n.node_id = s.node_id
 WHERE NOT EXISTS (
       SELECT FROM {table} AS o
        WHERE o.node_id = s.node_id AND o.label = %(label)s AND o.encoder_id = %(encoder_id)s
          AND CASE WHEN %(again)s::boolean OR s.content_sha256 IS NULL OR o.content_sha256 IS NULL
                   THEN o.emb = s.emb AND o.content_sha256 IS NOT DISTINCT FROM s.content_sha256
                   ELSE o.content_sha256 = s.content_sha256 END)
 ORDER BY s.node_id
   FOR KEY SHARE OF n
ON CONFLICT (node_id, label, encoder_id) DO UPDATE
   SET emb = excluded.emb, content_sha256 = excluded.content_sha256,
       props = coalesce(excluded.props, g.props), snapshot_id = excluded.snapshot_id

-- latest_fitted --
SELECT e.model FROM encoder AS e WHERE e.name = 'lsa' AND e.dim = 1024 ORDER BY e.version DESC LIMIT 1

-- has_vector_index --
-- Whether the nearest vectors of a table can be found by index.
SELECT EXISTS (SELECT FROM pg_index AS i
               JOIN pg_class AS c ON c.oid = i.indexrelid
               JOIN pg_am AS a ON a.oid = c.relam AND a.amname = 'hnsw'
               WHERE i.indrelid = %(table)s::regclass AND i.indisvalid) AS found

-- estimated_rows --
-- What the last ANALYZE or VACUUM counted; negative when none has been here yet.
SELECT c.reltuples::bigint AS rows FROM pg_class AS c WHERE c.oid = %(table)s::regclass

-- node_of --
-- The node of an entity, by its id or its first characters; of tasks, facts and everything in the map.
SELECT n.node_id, n.node_type, coalesce(n.ext_uuid::text, n.ext_text_id) AS id
  FROM graph_node_map AS n
 WHERE (%(node_type)s::text IS NULL OR n.node_type = %(node_type)s)
   AND (n.ext_text_id = %(id)s OR n.ext_uuid BETWEEN %(low)s::uuid AND %(high)s::uuid)
 ORDER BY n.node_id
 LIMIT 5

-- vector_of --
-- A node's own vector by one encoder; of several labels the first.
SELECT e.emb::text AS emb, e.label
  FROM {table} AS e
 WHERE e.node_id = %(node_id)s AND e.encoder_id = %(encoder_id)s
 ORDER BY e.label DESC
 LIMIT 1

-- describe_nodes --
-- What the nodes are, and their words.
SELECT n.node_id, n.node_type, coalesce(n.ext_uuid::text, n.ext_text_id) AS id,
       CASE n.node_type
       WHEN 'task' THEN (SELECT coalesce(nullif(t.description, ''), t.type) FROM tasks AS t WHERE t.id = n.ext_uuid)
       WHEN 'fact' THEN (SELECT f.text FROM facts AS f WHERE f.id = n.ext_uuid)
       END AS text
  FROM graph_node_map AS n
 WHERE n.node_id = ANY (%(nodes)s::bigint[])

-- task_bound --
-- The last of the next so many tasks in the order of their ids; no row at the end.
SELECT (array_agg(p.id ORDER BY p.id DESC))[1] AS bound, count(*) AS rows
  FROM (SELECT t.id FROM tasks AS t WHERE t.id > %(after)s::uuid ORDER BY t.id LIMIT %(window)s) AS p

-- fact_bound --
SELECT (array_agg(p.id ORDER BY p.id DESC))[1] AS bound, count(*) AS rows
  FROM (SELECT f.id FROM facts AS f WHERE f.id > %(after)s::uuid ORDER BY f.id LIMIT %(window)s) AS p

-- task_due --
-- Tasks of a range of ids that lack the vector of their text by one encoder, or whose text is another now.
-- Graph tasks, which do the embedding, only by their ids: each would bring about the next.
SELECT t.id::text AS id, c.content, h.sha256, e.node_id IS NULL AS missing, NULL::text AS props
  FROM tasks AS t
  LEFT JOIN graph_node_map AS n ON n.node_type = 'task' AND n.ext_table = 'tasks' AND n.ext_uuid = t.id
  LEFT JOIN graph_embeddings_1024 AS e
         ON e.node_id = n.node_id AND e.label = %(label)s AND e.encoder_id = %(encoder_id)s
 CROSS JOIN LATERAL (SELECT task_content_text(t.description, t.type, t.params) AS content OFFSET 0) AS c
 CROSS JOIN LATERAL (SELECT encode(sha256(convert_to(c.content, 'UTF8')), 'hex') AS sha256) AS h
 WHERE t.id > %(after)s::uuid AND t.id <= %(bound)s::uuid
   AND CASE WHEN %(ids)s::uuid[] IS NULL THEN t.type <> 'graph' ELSE t.id = ANY (%(ids)s::uuid[]) END
   AND CASE WHEN e.node_id IS NULL THEN %(missing)s::boolean
            WHEN e.content_sha256 IS DISTINCT FROM h.sha256 THEN %(stale)s::boolean
            ELSE %(again)s::boolean END
 ORDER BY t.id

-- fact_due --
-- What a search of the memory shows of a fact stands in the props of its vector.
SELECT f.id::text AS id, c.content, h.sha256, e.node_id IS NULL AS missing,
       jsonb_build_object('description', left(c.content, 500))::text AS props
  FROM facts AS f
  LEFT JOIN graph_node_map AS n ON n.node_type = 'fact' AND n.ext_table = 'facts' AND n.ext_uuid = f.id
  LEFT JOIN graph_embeddings_1024 AS e
         ON e.node_id = n.node_id AND e.label = %(label)s AND e.encoder_id = %(encoder_id)s
 CROSS JOIN LATERAL (SELECT left(btrim(f.text, E' \t\n\r\f\v'), 16000) AS content OFFSET 0) AS c
 CROSS JOIN LATERAL (SELECT encode(sha256(convert_to(c.content, 'UTF8')), 'hex') AS sha256) AS h
 WHERE f.id > %(after)s::uuid AND f.id <= %(bound)s::uuid
   AND (%(ids)s::uuid[] IS NULL OR f.id = ANY (%(ids)s::uuid[]))
   AND CASE WHEN e.node_id IS NULL THEN %(missing)s::boolean
            WHEN e.content_sha256 IS DISTINCT FROM h.sha256 THEN %(stale)s::boolean
            ELSE %(again)s::boolean END
 ORDER BY f.id

-- multimodal_due --
-- Tasks whose multimodal envelope says something in words; which words were embedded stands in their
-- status.
SELECT t.id::text AS id, c.content, h.sha256, e.task_id IS NULL AS missing, NULL::text AS props
  FROM tasks AS t
  LEFT JOIN task_embedding_status AS s
         ON s.task_id = t.id AND s.space = 'multimodal' AND s.label = 'task.primary' AND s.state = 'done'
  LEFT JOIN LATERAL (
       SELECT m.task_id FROM task_multimodal_embeddings AS m
        WHERE m.task_id = t.id AND m.model_version = %(model)s LIMIT 1) AS e ON true
 CROSS JOIN LATERAL (SELECT task_multimodal_text(t.params) AS content OFFSET 0) AS c
 CROSS JOIN LATERAL (SELECT encode(sha256(convert_to(c.content, 'UTF8')), 'hex') AS sha256) AS h
 WHERE t.id > %(after)s::uuid AND t.id <= %(bound)s::uuid
   AND (%(ids)s::uuid[] IS NULL OR t.id = ANY (%(ids)s::uuid[]))
   AND t.params ? 'multimodal' AND c.content IS NOT NULL
   AND CASE WHEN e.task_id IS NULL THEN %(missing)s::boolean
            WHEN s.content_sha256 IS DISTINCT FROM h.sha256 THEN %(stale)s::boolean
            ELSE %(again)s::boolean END
 ORDER BY t.id

-- task_between --
SELECT t.id FROM tasks AS t WHERE t.id BETWEEN %(low)s::uuid AND %(high)s::uuid LIMIT %(limit)s

-- fact_between --
SELECT f.id FROM facts AS f WHERE f.id BETWEEN %(low)s::uuid AND %(high)s::uuid LIMIT %(limit)s

-- nodes_of --
-- The nodes of entities, made if missing; entities that were deleted meanwhile have none.
SELECT n.ext_id AS id, n.node_id FROM ensure_nodes(%(node_type)s, %(ids)s::text[]) AS n

-- write_multimodal --
INSERT INTO task_multimodal_embeddings AS m (task_id, source_modality, emb, model_version)
SELECT w.task_id, w.modality, w.emb::vector, %(model)s
  FROM unnest(%(ids)s::uuid[], %(modalities)s::text[], %(vectors)s::text[]) AS w (task_id, modality, emb)
  JOIN tasks AS t ON t.id = w.task_id
 WHERE NOT EXISTS (SELECT FROM task_multimodal_embeddings AS o
                    WHERE o.task_id = w.task_id AND o.source_modality = w.modality
                      AND o.emb = w.emb::vector AND o.model_version = %(model)s)
 ORDER BY w.task_id
   FOR KEY SHARE OF t
ON CONFLICT (task_id, source_modality) DO UPDATE
   SET emb = excluded.emb, model_version = excluded.model_version

-- note_status --
-- What became of tasks in a space. Where nothing waits for it only what the vectors don't say is kept: of
-- failures, of what has nothing to embed, and of words whose hash stands nowhere else. A row that a worker
-- holds stays his.
INSERT INTO task_embedding_status AS s (task_id, space, state, content_sha256, model, last_error)
SELECT w.task_id, %(space)s, w.state, w.sha256, %(model)s, w.error
  FROM unnest(%(ids)s::uuid[], %(states)s::text[], %(hashes)s::text[], %(errors)s::text[])
       AS w (task_id, state, sha256, error)
  JOIN tasks AS t ON t.id = w.task_id
 WHERE (w.state <> 'done' OR %(space)s = 'multimodal'
        OR EXISTS (SELECT FROM task_embedding_status AS o
                    WHERE o.task_id = w.task_id AND o.space = %(space)s AND o.label = 'task.primary'))
   AND NOT EXISTS (SELECT FROM task_embedding_status AS o
                    WHERE o.task_id = w.task_id AND o.space = %(space)s AND o.label = 'task.primary'
                      AND o.state = w.state AND o.content_sha256 = w.sha256 AND o.model = %(model)s
                      AND o.last_error IS NOT DISTINCT FROM w.error)
 ORDER BY w.task_id
   FOR KEY SHARE OF t
ON CONFLICT (task_id, space, label) DO UPDATE
   SET state = excluded.state, content_sha256 = excluded.content_sha256, model = excluded.model,
       last_error = excluded.last_error
 WHERE s.state <> 'running'

-- count_rows --
SELECT (SELECT count(*) FROM tasks) AS tasks, (SELECT count(*) FROM facts) AS facts

-- is_complete --
-- Whether an encoder has a vector of everything that the one which serves has, but of graph tasks.
SELECT NOT EXISTS (
       SELECT FROM graph_embeddings_1024 AS o
         JOIN encoder AS c ON c.encoder_id = o.encoder_id AND c.kind = 'text' AND c.state = 'serving'
                          AND c.name <> 'unspecified' AND c.encoder_id <> %(encoder_id)s
        WHERE NOT EXISTS (SELECT FROM graph_embeddings_1024 AS e
                           WHERE e.node_id = o.node_id AND e.label = o.label
                             AND e.encoder_id = %(encoder_id)s)
          AND NOT EXISTS (SELECT FROM graph_node_map AS n JOIN tasks AS t ON t.id = n.ext_uuid
                           WHERE n.node_id = o.node_id AND n.node_type = 'task' AND t.type = 'graph')
       ) AS complete

-- try_lock --
SELECT pg_try_advisory_lock(hashtextextended(%(name)s, 0)) AS locked

-- unlock --
SELECT pg_advisory_unlock(hashtextextended(%(name)s, 0))

-- claim_due --
SELECT c.task_id::text AS id, c.label, c.content, c.content_sha256 AS sha256
  FROM embedding_claim(%(space)s, %(owner)s, %(limit)s, %(lease_s)s) AS c

-- finish_due --
SELECT count(*) FILTER (WHERE embedding_finish(w.task_id, %(space)s, w.label, %(owner)s, w.state, w.sha256,
                                               w.error, %(model)s)) AS finished
  FROM unnest(%(ids)s::uuid[], %(labels)s::text[], %(states)s::text[], %(hashes)s::text[], %(errors)s::text[])
       AS w (task_id, label, state, sha256, error)

-- modalities --
-- A scene is seen, a transcription heard, unless the envelope says otherwise.
SELECT t.id::text AS id,
       CASE WHEN t.params #>> '{multimodal,source}' IN ('voice', 'vision', 'sensor', 'text')
            THEN t.params #>> '{multimodal,source}'
            WHEN btrim(t.params #>> '{multimodal,scene_description}') <> '' THEN 'vision'
            ELSE 'voice' END AS modality
  FROM tasks AS t WHERE t.id = ANY (%(ids)s::uuid[])

-- task_texts --
-- Every so manieth by a hash of its id: the same texts in every run over the same tasks.
SELECT task_content_text(t.description, t.type, t.params) AS content
  FROM tasks AS t
 WHERE %(every)s = 1 OR hashtext(t.id::text) %% %(every)s = 0
 ORDER BY t.id

-- fact_texts --
SELECT left(f.text, 16000) AS content
  FROM facts AS f
 WHERE %(every)s = 1 OR hashtext(f.id::text) %% %(every)s = 0
 ORDER BY f.id

-- next_version --
SELECT coalesce(max(e.version), 0) + 1 AS version FROM encoder AS e WHERE e.name = %(name)s AND e.dim = 1024

-- vector_indexes --
SELECT c.relname AS name, CASE WHEN i.indisvalid THEN 'valid' ELSE 'invalid' END AS state,
       pg_relation_size(c.oid) AS size_bytes,
       coalesce((SELECT o.option_value::int FROM pg_options_to_table(c.reloptions) AS o
                  WHERE o.option_name = 'm'), 16) AS m,
       coalesce((SELECT o.option_value::int FROM pg_options_to_table(c.reloptions) AS o
                  WHERE o.option_name = 'ef_construction'), 64) AS ef_construction
  FROM pg_class AS c
  JOIN pg_index AS i ON i.indexrelid = c.oid
 WHERE c.relname = ANY (%(names)s) AND c.relnamespace = 'public'::regnamespace

-- index_progress --
SELECT p.phase, CASE WHEN p.tuples_total > 0 THEN p.tuples_done ELSE p.blocks_done END AS done,
       CASE WHEN p.tuples_total > 0 THEN p.tuples_total ELSE p.blocks_total END AS total
  FROM pg_stat_progress_create_index AS p
 WHERE p.pid = %(pid)s

-- sample_vectors --
SELECT e.node_id, e.emb::text AS emb
  FROM (SELECT s.node_id, s.label FROM {table} AS s
         WHERE s.encoder_id = %(encoder_id)s AND (%(label)s::text IS NULL OR s.label = %(label)s)
         ORDER BY hashint8(s.node_id), s.label
         LIMIT %(limit)s) AS w
  JOIN {table} AS e ON e.node_id = w.node_id AND e.label = w.label AND e.encoder_id = %(encoder_id)s

-- status --
-- Text encoders that serve, are prepared or are chosen, over tasks, facts and multimodal envelopes; graph
-- encoders over the nodes. Of nodes only who embeds them knows what is stale. Of texts, only those that were
-- touched since they were embedded are hashed; the minute is for transactions that began before that and were
-- committed after it.
WITH texts AS (
    SELECT e.encoder_id, e.model, e.state
      FROM encoder AS e
     WHERE e.kind = 'text' AND e.dim = 1024 AND e.name <> 'unspecified'
       AND (e.state IN ('serving', 'preparing') OR e.encoder_id = %(encoder_id)s)
    UNION ALL
    SELECT NULL, NULL, 'none'
     WHERE NOT EXISTS (SELECT FROM encoder AS e WHERE e.kind = 'text' AND e.dim = 1024
                                                  AND e.name <> 'unspecified' AND e.state <> 'retired')
), of_tasks AS (
    SELECT x.encoder_id, count(*) AS total, count(*) FILTER (WHERE e.node_id IS NULL) AS missing,
           -- CASE, not AND: an unknown first half of AND has the second half computed.
           count(*) FILTER (WHERE CASE WHEN t.updated_at > e.updated_at - interval '1 minute'
                                       THEN e.content_sha256
                                            <> task_content_sha256(t.description, t.type, t.params) END) AS stale,
           max(e.updated_at) AS last_at
      FROM texts AS x
     CROSS JOIN tasks AS t
      LEFT JOIN graph_node_map AS n ON n.node_type = 'task' AND n.ext_table = 'tasks' AND n.ext_uuid = t.id
      LEFT JOIN graph_embeddings_1024 AS e
             ON e.node_id = n.node_id AND e.label = 'task.primary' AND e.encoder_id = x.encoder_id
     WHERE t.type <> 'graph'
       AND NOT EXISTS (SELECT FROM task_embedding_status AS s
                        WHERE s.task_id = t.id AND s.space = '1024' AND s.state = 'skipped')
     GROUP BY x.encoder_id
), of_facts AS (
    SELECT x.encoder_id, count(*) AS total, count(*) FILTER (WHERE e.node_id IS NULL) AS missing,
           count(*) FILTER (WHERE CASE WHEN f.updated_at > e.updated_at - interval '1 minute'
                                       THEN e.content_sha256 <> encode(sha256(convert_to(
                                            left(btrim(f.text, E' \t\n\r\f\v'), 16000), 'UTF8')), 'hex') END) AS stale,
           max(e.updated_at) AS last_at
      FROM texts AS x
     CROSS JOIN facts AS f
      LEFT JOIN graph_node_map AS n ON n.node_type = 'fact' AND n.ext_table = 'facts' AND n.ext_uuid = f.id
      LEFT JOIN graph_embeddings_1024 AS e
             ON e.node_id = n.node_id AND e.label = 'fact.primary' AND e.encoder_id = x.encoder_id
     GROUP BY x.encoder_id
), of_multimodal AS (
    SELECT x.encoder_id, count(*) AS total, count(*) FILTER (WHERE m.task_id IS NULL) AS missing,
           count(*) FILTER (WHERE s.content_sha256
                            <> embedding_content_sha256('multimodal', t.description, t.type, t.params)) AS stale,
           max(m.updated_at) AS last_at
      FROM texts AS x
     CROSS JOIN tasks AS t
      LEFT JOIN LATERAL (SELECT o.task_id, o.updated_at FROM task_multimodal_embeddings AS o
                          WHERE o.task_id = t.id AND o.model_version = x.model LIMIT 1) AS m ON true
      LEFT JOIN task_embedding_status AS s
             ON s.task_id = t.id AND s.space = 'multimodal' AND s.label = 'task.primary' AND s.state = 'done'
     WHERE t.params ? 'multimodal' AND task_multimodal_text(t.params) IS NOT NULL
     GROUP BY x.encoder_id
)
SELECT r.kind, r.dim, r.encoder, r.state, r.total, r.missing, r.stale, r.last_at
  FROM (
    SELECT 1 AS place, 'tasks' AS kind, 1024 AS dim, x.model AS encoder, x.state, coalesce(c.total, 0) AS total,
           coalesce(c.missing, 0) AS missing, coalesce(c.stale, 0) AS stale, c.last_at
      FROM texts AS x LEFT JOIN of_tasks AS c ON c.encoder_id IS NOT DISTINCT FROM x.encoder_id
    UNION ALL
    SELECT 2, 'facts', 1024, x.model, x.state, coalesce(c.total, 0), coalesce(c.missing, 0),
           coalesce(c.stale, 0), c.last_at
      FROM texts AS x LEFT JOIN of_facts AS c ON c.encoder_id IS NOT DISTINCT FROM x.encoder_id
    UNION ALL
    SELECT 3, 'multimodal', 1024, x.model, x.state, coalesce(c.total, 0), coalesce(c.missing, 0),
           coalesce(c.stale, 0), c.last_at
      FROM texts AS x LEFT JOIN of_multimodal AS c ON c.encoder_id IS NOT DISTINCT FROM x.encoder_id
    UNION ALL
    SELECT 4, 'graph', 128, g.model, coalesce(g.state, 'none'), c.total, c.missing, NULL, c.last_at
      FROM (SELECT 1) AS one
      LEFT JOIN encoder AS g ON g.kind = 'graph' AND g.dim = 128 AND g.name <> 'unspecified'
                            AND g.state IN ('serving', 'preparing')
     CROSS JOIN LATERAL (
           SELECT count(*) AS total, count(*) FILTER (WHERE v.node_id IS NULL) AS missing,
                  max(v.updated_at) AS last_at
             FROM graph_node_map AS n
             LEFT JOIN (SELECT e.node_id, max(e.updated_at) AS updated_at FROM graph_embeddings_128 AS e
                         WHERE e.encoder_id = g.encoder_id GROUP BY e.node_id) AS v ON v.node_id = n.node_id) AS c
  ) AS r
 ORDER BY r.place, r.state DESC, r.encoder

-- enqueue_missing --
SELECT embedding_enqueue_missing(%(space)s, %(limit)s) AS pending

-- make_due --
-- Vectors of tasks' texts that an encoder has not made, or has made of an older text. What is due, under way,
-- given up or without text is left alone until its text or the encoder is another one. Only what was touched
-- since is hashed; the minute is for transactions that began before and were committed after.
INSERT INTO task_embedding_status AS s (task_id, space, label)
SELECT d.id, '1024', %(label)s
  FROM (SELECT t.id
          FROM tasks AS t
          LEFT JOIN graph_node_map AS n
                 ON n.node_type = 'task' AND n.ext_table = 'tasks' AND n.ext_uuid = t.id
          LEFT JOIN graph_embeddings_1024 AS e
                 ON e.node_id = n.node_id AND e.label = %(label)s AND e.encoder_id = %(encoder_id)s
          LEFT JOIN task_embedding_status AS o
                 ON o.task_id = t.id AND o.space = '1024' AND o.label = %(label)s
         WHERE t.type <> 'graph'
           AND CASE WHEN o.state IN ('pending', 'running') THEN false
                    WHEN o.state IN ('failed', 'skipped')
                    -- Without a model: whoever had it died of it, whichever encoder it was.
                    THEN o.model <> %(model)s
                         OR t.updated_at > o.updated_at - interval '1 minute'
                            AND o.content_sha256
                                IS DISTINCT FROM task_content_sha256(t.description, t.type, t.params)
                    WHEN e.node_id IS NULL THEN true
                    ELSE t.updated_at > e.updated_at - interval '1 minute'
                         AND e.content_sha256
                             IS DISTINCT FROM task_content_sha256(t.description, t.type, t.params) END
         LIMIT %(limit)s) AS d
 ORDER BY d.id
ON CONFLICT (task_id, space, label) DO UPDATE
   SET state = 'pending', attempts = 0, locked_by = NULL, last_error = NULL, next_try_at = now()
 WHERE s.state NOT IN ('pending', 'running')

-- is_any_due --
SELECT EXISTS (SELECT FROM task_embedding_status AS s
                WHERE s.space IN ('1024', 'multimodal') AND s.state IN ('pending', 'running')
                  AND s.next_try_at <= now()) AS due

-- try_lock_here --
SELECT pg_try_advisory_xact_lock(hashtextextended(%(name)s, 0)) AS locked

-- enqueue_ids --
SELECT count(*) FILTER (WHERE embedding_enqueue(w.id, %(space)s)) AS pending
  FROM unnest(%(ids)s::uuid[]) AS w (id)

-- remove_vectors --
DELETE FROM {table} AS g
 WHERE g.ctid = ANY (ARRAY(SELECT v.ctid FROM {table} AS v
                            JOIN encoder AS e ON e.encoder_id = v.encoder_id AND e.state <> 'serving'
                            WHERE v.encoder_id = %(encoder_id)s
                            LIMIT %(limit)s FOR UPDATE OF v SKIP LOCKED))

-- remove_encoder --
DELETE FROM encoder AS e WHERE e.encoder_id = %(encoder_id)s AND e.state <> 'serving'
