-- opening --
-- What a batch needs to know before it is judged: the time by the database, and the active snapshot.
SELECT now() AS now, pkg_default_snapshot_id() AS snapshot_id

-- snapshot --
-- A version is unique in its environment.
SELECT s.id
  FROM pkg_snapshots s
 WHERE s.version = %(version)s
   AND s.env::text = coalesce(%(env)s::text, seedcore_setting('env', 'prod'))

-- lock_keys --
-- Who adds facts of the same subject and predicate follow each other. In one order, and in at most 1,024
-- buckets, so that neither two loads wait for each other nor the table of locks is filled.
SELECT pg_advisory_xact_lock(hashtextextended('seedcore.fact', 0) # b.bucket)
  FROM unnest(%(buckets)s::bigint[]) AS b (bucket)

-- stage --
-- A table for one batch. Dropped at commit, so that a pooler's next client finds none.
CREATE TEMP TABLE IF NOT EXISTS fact_stage (
    ord         integer,
    id          uuid,
    text        text,
    tags        text[],
    meta_data   jsonb,
    namespace   text,
    created_by  text,
    subject     text,
    predicate   text,
    object_data jsonb,
    valid_from  timestamptz,
    valid_to    timestamptz,
    snapshot_id integer,
    pkg_rule_id text,
    pkg_provenance jsonb
) ON COMMIT DROP

-- empty_stage --
-- One transaction may hold many batches.
TRUNCATE fact_stage

-- fill_stage --
-- Facts as they were read.
COPY fact_stage FROM STDIN

-- staged --
-- What each staged fact says, as a digest, and the stored fact that has its id already.
SELECT s.ord, md5(s.object_data::text || E'\n' || s.text) AS content, f.id AS known,
       nullif(f.valid_from, '-infinity') AS valid_from, nullif(f.valid_to, 'infinity') AS valid_to
  FROM fact_stage s
  LEFT JOIN facts f ON f.id = s.id
 ORDER BY s.ord

-- rivals --
-- Stored facts that speak of the same at the same time. A fact that never held is nobody's rival. Where
-- the service keeps order there is one at most that began before and one that begins later.
SELECT s.ord, r.id, r.valid_from, r.valid_to, r.content
  FROM fact_stage s
 CROSS JOIN LATERAL (
       SELECT f.id, nullif(f.valid_from, '-infinity') AS valid_from, nullif(f.valid_to, 'infinity') AS valid_to,
              md5(f.object_data::text || E'\n' || f.text) AS content
         FROM facts f
        WHERE f.namespace = s.namespace AND f.subject = s.subject AND f.predicate = s.predicate
          AND (s.valid_to IS NULL OR f.valid_from IS NULL OR f.valid_from < s.valid_to)
          AND (f.valid_to IS NULL OR s.valid_from IS NULL OR f.valid_to > s.valid_from)
          AND (f.valid_to IS NULL OR f.valid_from IS NULL OR f.valid_from < f.valid_to)
        ORDER BY f.valid_from NULLS FIRST, f.id
        LIMIT 100) AS r
 WHERE s.subject IS NOT NULL
 ORDER BY s.ord, r.valid_from NULLS FIRST

-- insert_staged --
-- An id that another session has stored meanwhile is left to it.
INSERT INTO facts (id, text, tags, meta_data, namespace, created_by, subject, predicate, object_data,
                   valid_from, valid_to, snapshot_id, pkg_rule_id, pkg_provenance)
SELECT s.id, s.text, s.tags, s.meta_data, s.namespace, s.created_by, s.subject, s.predicate, s.object_data,
       s.valid_from, e.valid_to, s.snapshot_id, s.pkg_rule_id, s.pkg_provenance
  FROM fact_stage s
  JOIN unnest(%(ords)s::int[], %(ends)s::timestamptz[]) AS e (ord, valid_to) ON e.ord = s.ord
 ORDER BY s.ord
    ON CONFLICT (id) DO NOTHING
RETURNING id

-- close --
-- End facts that others supersede; one that began at the same moment never held.
UPDATE facts f
   SET valid_to = c.at,
       meta_data = f.meta_data || jsonb_build_object('superseded',
           jsonb_build_object('by', c.by, 'actor', %(actor)s::text, 'reason', %(reason)s::text, 'at', now()))
  FROM unnest(%(ids)s::uuid[], %(ats)s::timestamptz[], %(bys)s::uuid[]) AS c (id, at, by)
 WHERE f.id = c.id

-- between --
-- Facts whose ids begin with the same digits.
SELECT f.id FROM facts f WHERE f.id BETWEEN %(first)s AND %(last)s ORDER BY f.id LIMIT %(limit)s

-- show --
-- One fact with who found it, who read it, and its node.
SELECT f.id, f.namespace, f.text, f.subject, f.predicate, f.object_data AS object, f.tags,
       nullif(f.valid_from, '-infinity') AS valid_from, nullif(f.valid_to, 'infinity') AS valid_to,
       coalesce(f.valid_from <= now(), true) AND coalesce(f.valid_to > now(), true) AS holds,
       f.snapshot_id, (SELECT s.env::text || '/' || s.version FROM pkg_snapshots s WHERE s.id = f.snapshot_id) AS snapshot,
       f.pkg_rule_id AS rule, f.pkg_provenance AS provenance, f.validation_status, f.meta_data AS meta,
       f.created_by, f.created_at, f.updated_at,
       (SELECT n.node_id FROM graph_node_map n
         WHERE n.node_type = 'fact' AND n.ext_table = 'facts' AND n.ext_uuid = f.id) AS node_id,
       ARRAY(SELECT e.task_id FROM task_produces_fact e WHERE e.fact_id = f.id ORDER BY e.id LIMIT 100) AS found_by,
       ARRAY(SELECT e.task_id FROM task_reads_fact e WHERE e.fact_id = f.id ORDER BY e.id LIMIT 100) AS read_by
  FROM facts f
 WHERE f.id = %(id)s

-- expire --
-- Only ever shortens. Without a time it is now, and a fact that has not begun is withdrawn. Returns every
-- fact that was named; `refused` when it begins after the time given.
WITH named AS (
    SELECT f.id, nullif(f.valid_from, '-infinity') AS valid_from, nullif(f.valid_to, 'infinity') AS valid_to,
           CASE WHEN %(at)s::timestamptz IS NULL AND f.valid_from > now() THEN f.valid_from
                ELSE coalesce(%(at)s::timestamptz, now()) END AS at
      FROM facts f
     WHERE f.id = ANY (%(ids)s::uuid[])
     ORDER BY f.id
       FOR UPDATE
), changed AS (
    UPDATE facts f
       SET valid_to = n.at,
           meta_data = f.meta_data || jsonb_build_object('expired',
               jsonb_build_object('actor', %(actor)s::text, 'reason', %(reason)s::text, 'at', now()))
      FROM named n
     WHERE f.id = n.id AND coalesce(n.at < n.valid_to, true) AND coalesce(n.valid_from <= n.at, true)
    RETURNING f.id, f.valid_to
)
SELECT n.id, n.valid_from, n.valid_to AS before, coalesce(c.valid_to, n.valid_to) AS valid_to,
       c.id IS NULL AS unchanged, coalesce(n.valid_from > n.at, false) AS refused
  FROM named n
  LEFT JOIN changed c ON c.id = n.id
 ORDER BY n.id

-- stats --
-- Counts of one namespace, or of all.
SELECT count(*) AS total,
       count(*) FILTER (WHERE coalesce(f.valid_from <= now(), true) AND coalesce(f.valid_to > now(), true)) AS valid_now,
       count(*) FILTER (WHERE f.valid_to <= now()) AS expired,
       count(*) FILTER (WHERE f.valid_from > now() AND coalesce(f.valid_to > now(), true)) AS future,
       count(f.subject) AS triples,
       count(f.pkg_rule_id) AS governed,
       count(DISTINCT f.namespace) AS namespaces,
       count(DISTINCT (f.namespace, f.subject)) FILTER (WHERE f.subject IS NOT NULL) AS subjects
  FROM facts f
 WHERE %(namespace)s::text IS NULL OR f.namespace = %(namespace)s

-- tags --
-- The tags that most facts bear.
SELECT t.tag, count(*) AS facts
  FROM facts f
 CROSS JOIN LATERAL unnest(f.tags) AS t (tag)
 WHERE %(namespace)s::text IS NULL OR f.namespace = %(namespace)s
 GROUP BY t.tag
 ORDER BY count(*) DESC, t.tag
 LIMIT %(limit)s

-- removable --
-- Facts that ended long enough ago; `linked` are those that a task read or found.
SELECT count(*) FILTER (WHERE %(hard)s OR NOT x.linked) AS facts, count(*) FILTER (WHERE x.linked) AS linked
  FROM facts f
 CROSS JOIN LATERAL (
       SELECT EXISTS (SELECT FROM task_produces_fact e WHERE e.fact_id = f.id)
           OR EXISTS (SELECT FROM task_reads_fact e WHERE e.fact_id = f.id) AS linked) AS x
 WHERE f.valid_to <= now() - make_interval(secs => %(older_than_s)s)
   AND (%(namespace)s::text IS NULL OR f.namespace = %(namespace)s)

-- remove --
-- A batch of them. What somebody changes just now is left to the next batch or the next call.
WITH chosen AS (
    SELECT f.id
      FROM facts f
     WHERE f.valid_to <= now() - make_interval(secs => %(older_than_s)s)
       AND (%(namespace)s::text IS NULL OR f.namespace = %(namespace)s)
       AND (%(hard)s OR NOT EXISTS (SELECT FROM task_produces_fact e WHERE e.fact_id = f.id)
                        AND NOT EXISTS (SELECT FROM task_reads_fact e WHERE e.fact_id = f.id))
     ORDER BY f.valid_to, f.id
     LIMIT %(limit)s
       FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM facts f USING chosen c WHERE f.id = c.id RETURNING f.id
)
SELECT count(*) AS done FROM gone

-- preview_triples --
-- What the texts of a namespace would become; of given facts, or of the oldest.
SELECT p.id, p.text, p.subject, p.predicate, p.object_data AS object, p.pattern, p.valid_from, p.valid_to
  FROM (SELECT f.id, f.text, f.namespace, t.subject, t.predicate, t.object_data, t.pattern, f.created_at,
               CASE WHEN f.valid_from IS NULL AND (f.valid_to IS NULL OR f.created_at <= f.valid_to)
                    THEN f.created_at ELSE nullif(f.valid_from, '-infinity') END AS valid_from,
               nullif(f.valid_to, 'infinity') AS valid_to
          FROM facts f CROSS JOIN LATERAL fact_text_to_triple(f.text) AS t
         WHERE f.subject IS NULL AND t.pattern IS NOT NULL AND f.namespace = %(namespace)s
           AND (%(ids)s::uuid[] IS NULL OR f.id = ANY (%(ids)s::uuid[]))) AS p
 ORDER BY p.created_at, p.id
 LIMIT %(limit)s

-- triple_rivals --
-- Stored facts that proposed triples would contradict.
SELECT p.id, f.id AS rival
  FROM unnest(%(ids)s::uuid[], %(subjects)s::text[], %(predicates)s::text[],
              %(begins)s::timestamptz[], %(ends)s::timestamptz[]) AS p (id, subject, predicate, valid_from, valid_to)
 CROSS JOIN LATERAL (
       SELECT f.id FROM facts f
        WHERE f.namespace = %(namespace)s AND f.subject = p.subject AND f.predicate = p.predicate
          AND (p.valid_to IS NULL OR f.valid_from IS NULL OR f.valid_from < p.valid_to)
          AND (f.valid_to IS NULL OR p.valid_from IS NULL OR f.valid_to > p.valid_from)
        ORDER BY f.valid_from NULLS FIRST, f.id
        LIMIT 1) AS f

-- apply_triples --
-- Keeps text and tags beside the triple.
SELECT facts_apply_triples(%(ids)s::uuid[], %(actor)s) AS done
