-- snapshots --
-- Snapshots with what they hold and whether they are validated, newest first.
SELECT s.id, s.version, s.env::text AS env, s.is_active AS active, s.checksum, s.entrypoint,
       s.schema_version, s.size_bytes, s.signature, s.notes, s.created_at,
       (SELECT count(*) FROM pkg_policy_rules AS r WHERE r.snapshot_id = s.id) AS rules,
       (SELECT count(*) FROM pkg_subtask_types AS t WHERE t.snapshot_id = s.id) AS subtasks,
       (SELECT count(*) FROM pkg_validation_fixtures AS f WHERE f.snapshot_id = s.id) AS fixtures,
       (SELECT array_agg(a.artifact_type::text ORDER BY a.artifact_type)
          FROM pkg_snapshot_artifacts AS a WHERE a.snapshot_id = s.id) AS artifacts
  FROM pkg_snapshots AS s
 WHERE (%(env)s::text IS NULL OR s.env::text = %(env)s::text)
   AND (%(ids)s::int[] IS NULL OR s.id = ANY (%(ids)s::int[]))
   AND (NOT %(active)s OR s.is_active)
   AND (%(since)s::timestamptz IS NULL OR s.created_at >= %(since)s::timestamptz)
 ORDER BY s.created_at DESC, s.id DESC
 LIMIT %(limit)s

-- find_snapshots --
-- The snapshots of a version, one per environment.
SELECT s.id, s.version, s.env::text AS env, s.checksum, s.entrypoint, s.schema_version, s.size_bytes,
       s.signature, s.is_active, s.notes, s.created_at
  FROM pkg_snapshots AS s
 WHERE s.version = %(version)s AND (%(env)s::text IS NULL OR s.env::text = %(env)s::text)
 ORDER BY s.env

-- get_snapshot --
SELECT s.id, s.version, s.env::text AS env, s.checksum, s.entrypoint, s.schema_version, s.size_bytes,
       s.signature, s.is_active, s.notes, s.created_at
  FROM pkg_snapshots AS s
 WHERE s.id = %(id)s

-- insert_snapshot --
INSERT INTO pkg_snapshots (version, env, entrypoint, schema_version, checksum, size_bytes, signature, notes)
VALUES (%(version)s, %(env)s::text::pkg_env, %(entrypoint)s, %(schema_version)s, %(checksum)s,
        %(size_bytes)s, %(signature)s, %(notes)s)
RETURNING id, created_at

-- copy_subtasks --
COPY pkg_subtask_types (id, snapshot_id, name, default_params) FROM STDIN

-- copy_rules --
COPY pkg_policy_rules (id, snapshot_id, rule_name, priority, rule_source, compiled_rule, engine, rule_hash,
                       metadata, disabled) FROM STDIN

-- copy_conditions --
COPY pkg_rule_conditions (rule_id, condition_type, condition_key, operator, value, predicate, object,
                          position) FROM STDIN

-- copy_emissions --
COPY pkg_rule_emissions (rule_id, subtask_type_id, relationship_type, params, position) FROM STDIN

-- copy_fixtures --
COPY pkg_validation_fixtures (snapshot_id, name, input, expect) FROM STDIN

-- insert_artifact --
INSERT INTO pkg_snapshot_artifacts (snapshot_id, artifact_type, artifact_bytes, sha256, created_by)
VALUES (%(id)s, %(type)s::text::pkg_artifact_type, %(content)s, %(sha256)s, %(actor)s)

-- load_subtasks --
SELECT t.id, t.name, t.default_params
  FROM pkg_subtask_types AS t
 WHERE t.snapshot_id = %(id)s
 ORDER BY t.name COLLATE "C"

-- load_rules --
SELECT r.id, r.rule_name, r.priority, r.engine::text, r.rule_source, r.compiled_rule, r.metadata, r.disabled
  FROM pkg_policy_rules AS r
 WHERE r.snapshot_id = %(id)s
 ORDER BY r.priority DESC, r.rule_name COLLATE "C", r.id

-- load_conditions --
SELECT c.rule_id, c.condition_type::text, c.condition_key, c.operator::text, c.value, c.predicate, c.object,
       c.position
  FROM pkg_rule_conditions AS c
  JOIN pkg_policy_rules AS r ON r.id = c.rule_id
 WHERE r.snapshot_id = %(id)s
 ORDER BY c.rule_id, c.position, c.id

-- load_emissions --
SELECT e.rule_id, t.name, e.relationship_type::text, e.params, e.position
  FROM pkg_rule_emissions AS e
  JOIN pkg_policy_rules AS r ON r.id = e.rule_id
  JOIN pkg_subtask_types AS t ON t.id = e.subtask_type_id
 WHERE r.snapshot_id = %(id)s
 ORDER BY e.rule_id, e.position, e.id

-- load_fixtures --
SELECT f.name, f.input, f.expect
  FROM pkg_validation_fixtures AS f
 WHERE f.snapshot_id = %(id)s
 ORDER BY f.name COLLATE "C"

-- load_artifacts --
SELECT a.artifact_type::text, a.artifact_bytes, a.sha256
  FROM pkg_snapshot_artifacts AS a
 WHERE a.snapshot_id = %(id)s
 ORDER BY a.artifact_type::text COLLATE "C"

-- validation_status --
SELECT v.ok, v.run_id, v.msg FROM pkg_validation_status(%(id)s::int) AS v

-- lock_snapshot --
-- Whoever promotes or deletes it waits.
SELECT s.is_active FROM pkg_snapshots AS s WHERE s.id = %(id)s FOR UPDATE

-- uses --
-- What keeps a snapshot from being deleted; of large tables only whether.
SELECT (SELECT count(*) FROM pkg_deployments AS d WHERE d.snapshot_id = %(id)s) AS lanes,
       (SELECT count(*) FROM pkg_rollout_plans AS p
         WHERE %(id)s IN (p.snapshot_id, p.from_snapshot_id)) AS rollouts,
       (SELECT count(*) FROM pkg_promotions AS p
         WHERE %(id)s IN (p.snapshot_id, p.from_snapshot_id)) AS promotions,
       (SELECT count(*) FROM pkg_validation_runs AS v WHERE v.snapshot_id = %(id)s) AS validation_runs,
       EXISTS (SELECT FROM pkg_evaluations AS e WHERE e.snapshot_id = %(id)s) AS evaluations,
       EXISTS (SELECT FROM tasks AS t WHERE t.snapshot_id = %(id)s) AS tasks,
       EXISTS (SELECT FROM facts AS f WHERE f.snapshot_id = %(id)s) AS facts

-- delete_snapshot --
DELETE FROM pkg_snapshots AS s WHERE s.id = %(id)s AND NOT s.is_active RETURNING s.id

-- active_snapshot --
SELECT s.id, s.version
  FROM pkg_snapshots AS s
 WHERE s.env = %(env)s::text::pkg_env AND s.is_active

-- lock_env --
-- The lock that promotions of an environment take, until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('seedcore.pkg_promote.' || %(env)s::text, 0))

-- promote --
SELECT pkg_promote_snapshot(%(id)s::int, %(env)s::text::pkg_env, %(actor)s, %(reason)s, %(force)s,
                            NULL, %(expected)s) AS id

-- rollback --
SELECT pkg_rollback(%(env)s::text::pkg_env, %(actor)s, %(reason)s, %(to)s::int, %(expected)s) AS id

-- get_promotion --
SELECT p.id, p.created_at AS at, p.env::text AS env, p.action, p.from_version, p.to_version, p.forced,
       p.actor, p.reason, p.validation_run_id, p.from_snapshot_id, p.snapshot_id
  FROM pkg_promotions AS p
 WHERE p.id = %(id)s

-- last_promotion --
-- What an environment's newest change was; asked inside the transaction that made it.
SELECT max(p.id) AS id FROM pkg_promotions AS p WHERE p.env = %(env)s::text::pkg_env

-- announce --
-- In the transaction of the change; the event speaks of no task.
SELECT outbox_enqueue('00000000-0000-0000-0000-000000000000', 'pkg.promoted', %(payload)s::jsonb,
                      'pkg.promoted:' || %(id)s::text) AS id

-- notify --
-- Workers that keep an evaluator look again.
SELECT pg_notify('seedcore_pkg', %(env)s)

-- history --
-- Promotions and rollbacks of environments, and the events of lanes, newest first.
SELECT h.*
  FROM (
    SELECT p.created_at AS at, p.action, p.env::text AS env, NULL AS target, NULL AS region,
           p.from_version, p.to_version, NULL::int AS from_percent, NULL::int AS to_percent, p.forced,
           p.actor, p.reason, p.success, p.id
      FROM pkg_promotions AS p
     WHERE %(target)s::text IS NULL
    UNION ALL
    SELECT e.created_at, CASE WHEN e.is_rollback THEN 'lane rollback' ELSE 'lane' END, s.env::text,
           e.target, e.region, NULL, s.version, e.from_percent, e.to_percent, NULL, e.actor, e.reason,
           true, e.id
      FROM pkg_rollout_events AS e
      JOIN pkg_snapshots AS s ON s.id = e.snapshot_id
     WHERE (%(target)s::text IS NULL OR e.target = %(target)s::text)
       AND (%(region)s::text IS NULL OR e.region = %(region)s::text)
  ) AS h
 WHERE %(env)s::text IS NULL OR h.env = %(env)s::text
 ORDER BY h.at DESC, h.id DESC
 LIMIT %(limit)s
