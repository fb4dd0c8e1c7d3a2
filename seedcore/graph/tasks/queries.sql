-- claim --
-- One due task of the graph lane, with its row locked by the same function that all workers use.
SELECT id::text, description, params::text AS params, attempts, max_attempts, snapshot_id,
       extract(epoch FROM created_at)::float8 AS created_s,
       extract(epoch FROM now() - coalesce(run_after, created_at))::float8 AS wait_s
  FROM tasks_claim(p_lane => 'graph', p_owner => %(owner)s, p_limit => 1, p_lease_s => %(lease_s)s::float8,
                   p_locked_by => %(locked_by)s, p_domains => %(domains)s::text[])

-- complete --
SELECT accepted::text AS id
  FROM tasks_complete(p_owner => %(owner)s, p_ids => ARRAY[%(id)s]::uuid[],
                      p_attempts => ARRAY[%(attempts)s]::int[], p_results => ARRAY[%(result)s]::jsonb[]) AS accepted

-- retry_or_fail --
SELECT status::text, extract(epoch FROM run_after - now())::float8 AS delay_s
  FROM tasks_retry_or_fail(p_ids => ARRAY[%(id)s]::uuid[], p_reasons => ARRAY[%(reason)s]::text[],
                           p_results => ARRAY[%(result)s]::jsonb[], p_retryable => ARRAY[%(retryable)s]::bool[],
                           p_owner => %(owner)s, p_attempts => ARRAY[%(attempts)s]::int[],
                           p_default_max => %(default_max)s::int)

-- give_back --
SELECT returned::text AS id
  FROM tasks_give_back(p_owner => %(owner)s, p_ids => ARRAY[%(id)s]::uuid[],
                       p_attempts => ARRAY[%(attempts)s]::int[], p_delay_s => 0,
                       p_default_max => %(default_max)s::int) AS returned

-- declare_waiting --
-- Ask submitters for a notification; committed before the last look into the queue.
INSERT INTO queue_waiters (lane, worker, since)
VALUES ('graph', %(owner)s, now())
ON CONFLICT (lane, worker) DO UPDATE SET since = excluded.since

-- withdraw_waiting --
DELETE FROM queue_waiters WHERE lane = 'graph' AND worker = %(owner)s

-- left_over --
SELECT count(*) AS due FROM tasks
 WHERE status IN ('queued', 'retry') AND type = 'graph' AND coalesce(run_after, created_at) <= now()

-- is_drained --
-- Whether nothing is due, delayed or running in the lane, as far as this worker may take it.
SELECT NOT EXISTS (
       SELECT FROM tasks
        WHERE status IN ('queued', 'retry', 'running') AND type = 'graph'
          AND (%(domains)s::text[] IS NULL OR domain = ANY (%(domains)s::text[]))) AS drained

-- existing_nodes --
SELECT m.node_id, m.node_type, m.ext_table, coalesce(m.ext_uuid::text, m.ext_text_id) AS ext_id
  FROM graph_node_map AS m
 WHERE m.node_id = ANY (%(ids)s::bigint[])

-- map_known --
-- The nodes of entities that exist; a task that exists gets its node now, and nothing is invented: the ids
-- are those that the statement before found in the entities' own table.
SELECT n.ext_id, n.node_id FROM ensure_nodes(%(kind)s, %(ids)s::text[]) AS n

-- vectors --
SELECT e.node_id, e.emb::text AS emb
  FROM graph_embeddings_128 AS e
 WHERE e.node_id = ANY (%(ids)s::bigint[]) AND e.label = %(label)s AND e.encoder_id = %(encoder_id)s

-- count_candidates --
SELECT count(*) AS n
  FROM (SELECT FROM graph_embeddings_128 AS e
          JOIN graph_node_map AS m ON m.node_id = e.node_id
         WHERE e.label = %(label)s AND e.encoder_id = %(encoder_id)s
           AND (%(snapshot_id)s::int IS NULL OR e.snapshot_id = %(snapshot_id)s::int)
           AND (%(kinds)s::text[] IS NULL OR m.node_type = ANY (%(kinds)s::text[]))
         LIMIT %(most)s) AS few

-- nearest_exact --
-- Few candidates: all of them are compared, which is exact.
WITH candidates AS MATERIALIZED (
    SELECT e.node_id, e.emb, m.node_type, coalesce(m.ext_uuid::text, m.ext_text_id) AS ext_id
      FROM graph_embeddings_128 AS e
      JOIN graph_node_map AS m ON m.node_id = e.node_id
     WHERE e.label = %(label)s AND e.encoder_id = %(encoder_id)s
       AND (%(snapshot_id)s::int IS NULL OR e.snapshot_id = %(snapshot_id)s::int)
       AND (%(kinds)s::text[] IS NULL OR m.node_type = ANY (%(kinds)s::text[]))
       AND e.node_id <> ALL (%(without)s::bigint[])
)
SELECT c.node_id, c.node_type, c.ext_id, (c.emb <=> %(vector)s::vector)::float8 AS distance
  FROM candidates AS c
 ORDER BY c.emb <=> %(vector)s::vector, c.node_id
 LIMIT %(topk)s::int

-- nearest_by_index --
-- Many candidates: the index brings the nearest, in a relaxed order, and they are sorted again.
WITH near AS MATERIALIZED (
    SELECT e.node_id, e.emb <=> %(vector)s::vector AS distance
      FROM graph_embeddings_128 AS e
     WHERE e.label = %(label)s AND e.encoder_id = %(encoder_id)s
       AND (%(snapshot_id)s::int IS NULL OR e.snapshot_id = %(snapshot_id)s::int)
       AND (%(kinds)s::text[] IS NULL
            OR EXISTS (SELECT FROM graph_node_map AS m
                        WHERE m.node_id = e.node_id AND m.node_type = ANY (%(kinds)s::text[])))
       AND e.node_id <> ALL (%(without)s::bigint[])
     ORDER BY e.emb <=> %(vector)s::vector
     LIMIT %(topk)s::int
)
SELECT n.node_id, m.node_type, coalesce(m.ext_uuid::text, m.ext_text_id) AS ext_id, n.distance::float8
  FROM near AS n
  JOIN graph_node_map AS m ON m.node_id = n.node_id
 ORDER BY n.distance, n.node_id

-- search_well --
SELECT set_config('hnsw.ef_search', %(ef_search)s, true), set_config('hnsw.iterative_scan', 'relaxed_order', true)

-- backfill --
SELECT b.node_type, b.inserted FROM backfill_nodes() AS b

-- map_edges --
SELECT graph_edges_map(10000) AS added
