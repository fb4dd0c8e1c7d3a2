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
SELECT r.id::text, r.rule_name, r.priority, r.engine::text, r.rule_source, r.compiled_rule, r.metadata, r.disabled
  FROM pkg_policy_rules AS r
 WHERE r.snapshot_id = %(id)s
 ORDER BY r.priority DESC, r.rule_name COLLATE "C", r.id

-- load_conditions --
SELECT c.rule_id::text, c.condition_type::text, c.condition_key, c.operator::text, c.value, c.predicate,
       c.object::text, c.position
  FROM pkg_rule_conditions AS c
  JOIN pkg_policy_rules AS r ON r.id = c.rule_id
 WHERE r.snapshot_id = %(id)s
 ORDER BY c.rule_id, c.position, c.id

-- load_emissions --
SELECT e.rule_id::text, e.subtask_type_id, e.relationship_type::text, e.params::text, e.position
  FROM pkg_rule_emissions AS e
  JOIN pkg_policy_rules AS r ON r.id = e.rule_id
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
    SELECT e.created_at, CASE WHEN e.is_rollback THEN 'lane rollback' WHEN e.action = 'change' THEN 'lane'
                              ELSE 'lane ' || e.action END, s.env::text,
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

-- insert_plan --
-- No row when the lane has an unfinished plan; of two at once the second meets the unique index.
INSERT INTO pkg_rollout_plans (target, region, snapshot_id, automatic, max_fail, min_samples, created_by, reason)
SELECT %(target)s, %(region)s, %(id)s, %(automatic)s, %(max_fail)s, %(min_samples)s, %(actor)s, %(reason)s
 WHERE NOT EXISTS (SELECT FROM pkg_rollout_plans AS p
                    WHERE p.target = %(target)s AND p.region = %(region)s
                      AND p.state IN ('planned', 'running', 'paused'))
RETURNING id

-- insert_steps --
INSERT INTO pkg_rollout_steps (plan_id, step_no, percent, min_duration, gates, manual)
SELECT %(plan)s, s.step_no, s.percent, make_interval(secs => %(pause_s)s::float8), %(gates)s::jsonb, %(manual)s
  FROM unnest(%(numbers)s::int[], %(percents)s::int[]) AS s (step_no, percent)
RETURNING step_no

-- start_plan --
SELECT pkg_rollout_start(%(plan)s::bigint, %(actor)s, %(force)s) AS percent

-- lock_plan --
-- The canary that is under way on a lane, so that it stays as it is found.
SELECT p.id, s.percent, n.env::text AS env
  FROM pkg_rollout_plans AS p
  JOIN pkg_snapshots AS n ON n.id = p.snapshot_id
  LEFT JOIN pkg_rollout_steps AS s ON s.plan_id = p.id AND s.step_no = p.current_step
 WHERE p.target = %(target)s AND p.region = %(region)s AND p.state IN ('planned', 'running', 'paused')
   FOR UPDATE OF p

-- record_gates --
SELECT r.gate FROM pkg_rollout_record(%(plan)s::bigint) AS r

-- advance_plan --
SELECT pkg_rollout_advance(%(plan)s::bigint, %(actor)s, %(force)s, %(reason)s, %(expected)s::int) AS percent

-- jump_plan --
SELECT pkg_rollout_jump(%(plan)s::bigint, %(percent)s::int, %(actor)s, %(force)s, %(reason)s,
                        %(expected)s::int) AS percent

-- pause_plan --
SELECT pkg_rollout_pause(%(plan)s::bigint, %(actor)s, %(reason)s)::text AS done

-- resume_plan --
SELECT pkg_rollout_resume(%(plan)s::bigint, %(actor)s, %(reason)s)::text AS done

-- abort_plan --
SELECT pkg_rollout_abort(%(plan)s::bigint, %(actor)s, %(reason)s)::text AS done

-- canaries --
-- Plans with where they stand and how their gates do now, newest first.
SELECT p.id AS plan, p.target, p.region, n.version, n.env::text AS env, o.version AS stable, p.state,
       CASE WHEN p.state = 'aborted' THEN coalesce(p.from_percent, 0) ELSE s.percent END AS percent,
       w.step, w.steps, w.percents, p.automatic, s.manual,
       CASE WHEN p.state = 'running' AND NOT s.manual THEN s.entered_at + s.min_duration END AS next_at,
       greatest(extract(epoch FROM s.entered_at + s.min_duration - clock_timestamp()), 0)::float8 AS wait_s,
       extract(epoch FROM coalesce(p.finished_at, clock_timestamp()) - p.started_at)::float8 AS age_s,
       p.fails, p.max_fail, p.message, p.created_by AS actor, p.reason, p.started_at, p.finished_at,
       CASE WHEN p.state IN ('running', 'paused') THEN
           (SELECT jsonb_agg(jsonb_build_object('gate', m.gate, 'operator', m.operator, 'threshold', m.threshold,
                                                'value', m.value, 'passed', m.passed, 'samples', m.samples)
                             ORDER BY m.gate)
              FROM pkg_rollout_measure(p.id) AS m)
       ELSE
           (SELECT jsonb_agg(jsonb_build_object('gate', g.gate, 'threshold', g.threshold, 'value', g.value,
                                                'passed', g.passed) ORDER BY g.gate)
              FROM (SELECT DISTINCT ON (r.gate) r.gate, r.threshold, r.value, r.passed
                      FROM pkg_rollout_gate_results AS r
                     WHERE r.plan_id = p.id AND r.step_no = p.current_step
                     ORDER BY r.gate, r.measured_at DESC, r.id DESC) AS g)
       END AS gates
  FROM pkg_rollout_plans AS p
  JOIN pkg_snapshots AS n ON n.id = p.snapshot_id
  LEFT JOIN pkg_snapshots AS o ON o.id = coalesce(p.from_snapshot_id, pkg_active_snapshot_id(n.env))
  LEFT JOIN pkg_rollout_steps AS s ON s.plan_id = p.id AND s.step_no = p.current_step
 CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE t.step_no <= p.current_step)::int AS step, count(*)::int AS steps,
              array_agg(t.percent ORDER BY t.step_no) AS percents
         FROM pkg_rollout_steps AS t WHERE t.plan_id = p.id) AS w
 WHERE (%(plan)s::bigint IS NULL OR p.id = %(plan)s::bigint)
   AND (%(target)s::text IS NULL OR p.target = %(target)s::text)
   AND (%(region)s::text IS NULL OR p.region = %(region)s::text)
   AND (%(finished)s OR p.state IN ('planned', 'running', 'paused'))
 ORDER BY p.id DESC
 LIMIT %(limit)s

-- lanes --
SELECT d.target, d.region, s.version, s.env::text AS env, d.percent, d.is_active AS active, d.activated_by,
       d.activated_at, d.salt
  FROM pkg_deployments AS d
  JOIN pkg_snapshots AS s ON s.id = d.snapshot_id
 WHERE (%(target)s::text IS NULL OR d.target = %(target)s::text)
   AND (%(region)s::text IS NULL OR d.region = %(region)s::text)
 ORDER BY d.target, d.region

-- set_lane --
SELECT pkg_set_lane(%(target)s, %(region)s, %(id)s::int, %(percent)s::int, %(actor)s, %(reason)s) AS percent

-- report_device --
INSERT INTO pkg_device_versions AS d (device_id, device_type, region, snapshot_id, version, last_seen)
VALUES (%(device)s, %(type)s, %(region)s,
        (SELECT s.id FROM pkg_snapshots AS s WHERE s.version = %(version)s AND s.env::text = %(env)s),
        %(version)s, clock_timestamp())
ON CONFLICT (device_id) DO UPDATE
   SET device_type = excluded.device_type, region = excluded.region, snapshot_id = excluded.snapshot_id,
       version = excluded.version, last_seen = excluded.last_seen
RETURNING d.device_id, d.device_type, d.region, d.version, d.snapshot_id IS NOT NULL AS known, d.last_seen

-- devices --
SELECT d.device_id, d.device_type, d.region, d.version, d.snapshot_id IS NOT NULL AS known, d.last_seen
  FROM pkg_device_versions AS d
 WHERE (%(type)s::text IS NULL OR d.device_type = %(type)s::text)
   AND (%(region)s::text IS NULL OR d.region = %(region)s::text)
   AND (%(version)s::text IS NULL OR d.version = %(version)s::text)
 ORDER BY d.last_seen DESC, d.device_id
 LIMIT %(limit)s

-- coverage --
SELECT c.target, c.region, c.version, c.percent, c.devices_on_snapshot AS on_version, c.devices_total AS total,
       c.devices_stale AS stale, c.devices_on_snapshot::float8 / nullif(c.devices_total, 0) AS ratio
  FROM pkg_deployment_coverage AS c
 WHERE (%(target)s::text IS NULL OR c.target = %(target)s::text)
   AND (%(region)s::text IS NULL OR c.region = %(region)s::text)
 ORDER BY c.target, c.region

-- tick --
-- The workers' duty: measure the automatic rollouts and move them; no row when another worker is at it.
SELECT t.plan_id, t.target, t.region, t.action, t.percent, t.message FROM pkg_rollout_tick() AS t

-- validation_runs --
SELECT v.id, v.started_at, v.finished_at, v.success, v.cases_total, v.cases_failed, v.actor, v.report
  FROM pkg_validation_runs AS v
 WHERE v.snapshot_id = %(id)s AND v.finished_at IS NOT NULL
 ORDER BY v.started_at DESC, v.id DESC
 LIMIT %(limit)s

-- lanes_of --
SELECT d.target, d.region, d.percent, d.activated_by, d.activated_at
  FROM pkg_deployments AS d
 WHERE d.snapshot_id = %(id)s AND d.is_active
 ORDER BY d.target, d.region

-- timeline --
-- What happened to a snapshot: promotions to and from it, and its lanes; oldest first.
SELECT h.*
  FROM (
    SELECT p.created_at AS at,
           CASE WHEN p.snapshot_id = %(id)s THEN p.action ELSE 'replaced by ' || p.to_version END AS action,
           p.env::text AS env, NULL AS target, NULL AS region, NULL::int AS to_percent, p.actor, p.reason, p.id
      FROM pkg_promotions AS p
     WHERE %(id)s IN (p.snapshot_id, p.from_snapshot_id)
    UNION ALL
    SELECT e.created_at, CASE WHEN e.is_rollback THEN 'lane rollback' WHEN e.action = 'change' THEN 'lane'
                              ELSE 'lane ' || e.action END,
           '', e.target, e.region, e.to_percent, e.actor, e.reason, e.id
      FROM pkg_rollout_events AS e
     WHERE e.snapshot_id = %(id)s
        OR e.plan_id IN (SELECT p.id FROM pkg_rollout_plans AS p WHERE p.snapshot_id = %(id)s)
  ) AS h
 ORDER BY h.at, h.id
 LIMIT %(limit)s

-- integrity --
-- Faults between the parts of a snapshot.
SELECT i.msg FROM pkg_check_integrity(%(id)s::int) AS i WHERE NOT i.ok
