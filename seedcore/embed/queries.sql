-- encoders --
-- Every encoder with the number of its vectors.
SELECT e.encoder_id, e.model, e.name, e.version, e.kind, e.dim, e.native_dim, e.state, e.digest,
       octet_length(e.weights) AS weights_bytes, v.vectors, e.created_at
  FROM encoder AS e
  CROSS JOIN LATERAL (
       SELECT CASE e.dim
              WHEN 128 THEN (SELECT count(*) FROM graph_embeddings_128 AS g WHERE g.encoder_id = e.encoder_id)
              ELSE (SELECT count(*) FROM graph_embeddings_1024 AS g WHERE g.encoder_id = e.encoder_id)
              END AS vectors) AS v
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
