-- Statements of evaluation: validation runs, and what the worker writes when policy acts.

-- digest --
SELECT pkg_snapshot_digest(%(id)s::int) AS digest

-- record_run --
-- A finished run of a snapshot's fixtures.
INSERT INTO pkg_validation_runs (snapshot_id, finished_at, success, report, subject_digest, cases_total,
                                 cases_failed, actor)
SELECT s.id, clock_timestamp(), %(success)s, %(report)s, %(digest)s, %(total)s, %(failed)s, %(actor)s
  FROM pkg_snapshots AS s
 WHERE s.id = %(id)s
RETURNING id

-- active --
SELECT pkg_active_snapshot_id(%(env)s::text::pkg_env) AS id

-- anything_active --
-- Whether there is a policy that could have a say: an active snapshot, or a lane that serves one.
SELECT EXISTS (SELECT FROM pkg_snapshots AS s WHERE s.env::text = %(env)s AND s.is_active)
    OR EXISTS (SELECT FROM pkg_deployments AS d
                 JOIN pkg_snapshots AS s ON s.id = d.snapshot_id AND s.env::text = %(env)s
                WHERE d.target = %(target)s AND d.is_active AND d.percent > 0) AS active

-- looked_up --
-- By which snapshot each task goes, and whether an earlier attempt has its plan already.
SELECT u.id::text AS id,
       pkg_effective_snapshot(%(target)s, %(region)s, u.subject, %(env)s::text::pkg_env) AS snapshot_id,
       p.snapshot_id AS planned_by, p.proto_plan AS plan
  FROM unnest(%(ids)s::uuid[], %(subjects)s::text[]) AS u (id, subject)
  LEFT JOIN task_proto_plan AS p ON p.task_id = u.id AND p.source = 'pkg'

-- facts_of --
-- What holds now about the subjects that a policy asks for.
SELECT f.subject, f.predicate, f.object_data AS object
  FROM facts AS f
 WHERE f.subject = ANY (%(subjects)s::text[]) AND f.namespace = 'default'
   AND (f.valid_from IS NULL OR f.valid_from <= now())
   AND (f.valid_to IS NULL OR f.valid_to > now())
 ORDER BY f.subject, f.predicate, f.created_at, f.id
 LIMIT 10000

-- hold_lease --
-- Whether the attempt is still ours, and keep it so until the commit.
SELECT t.id FROM tasks AS t
 WHERE t.id = %(id)s::uuid AND t.owner_id = %(owner)s AND t.attempts = %(attempts)s
   FOR SHARE

-- submit_child --
SELECT s.id::text AS id, s.created, s.status::text AS status
  FROM task_submit(
       p_type => %(type)s, p_params => %(params)s::jsonb, p_domain => %(domain)s,
       p_priority => %(priority)s::int, p_idempotency_key => %(key)s,
       p_depends_on => %(depends_on)s::uuid[], p_id => %(id)s::uuid,
       p_snapshot_id => %(snapshot_id)s::int) AS s

-- keep_plan --
INSERT INTO task_proto_plan (task_id, route, proto_plan, source, snapshot_id, truncated)
VALUES (%(task_id)s::uuid, 'unknown', %(plan)s::jsonb, 'pkg', %(snapshot_id)s, %(truncated)s)

-- keep_evaluations --
INSERT INTO pkg_evaluations (snapshot_id, target, region, subject, task_id, input_digest, output_digest,
                             outcome, denied, duration_ms, input)
SELECT e.snapshot_id, %(target)s, %(region)s, e.subject, e.task_id, e.input_digest, e.output_digest, e.outcome,
       e.denied, e.duration_ms, e.input
  FROM jsonb_to_recordset(%(rows)s::jsonb) AS e (
       snapshot_id int, subject text, task_id uuid, input_digest text, output_digest text, outcome text,
       denied bool, duration_ms float8, input jsonb)

-- forget_evaluations --
-- One slice of what is old enough; workers that sweep at once take different rows.
DELETE FROM pkg_evaluations AS e
 WHERE e.id = ANY (ARRAY(
       SELECT o.id FROM pkg_evaluations AS o
        WHERE o.created_at < now() - make_interval(secs => %(keep_s)s)
        LIMIT %(limit)s
          FOR UPDATE SKIP LOCKED))

-- recorded --
-- Evaluations whose input was kept, newest first.
SELECT e.id, e.task_id, e.created_at AS at, e.snapshot_id, s.version, e.outcome, e.denied, e.output_digest, e.input
  FROM pkg_evaluations AS e
  JOIN pkg_snapshots AS s ON s.id = e.snapshot_id
 WHERE e.input IS NOT NULL
   AND (%(since)s::timestamptz IS NULL OR e.created_at >= %(since)s::timestamptz)
   AND (%(env)s::text IS NULL OR s.env::text = %(env)s)
 ORDER BY e.created_at DESC, e.id DESC
 LIMIT %(limit)s

-- plan_of --
-- The plan of a task, and the snapshot that it was made under.
SELECT p.proto_plan AS plan, p.source, p.snapshot_id, s.version, s.env::text AS env
  FROM task_proto_plan AS p
  LEFT JOIN pkg_snapshots AS s ON s.id = p.snapshot_id
 WHERE p.task_id = %(id)s::uuid

-- states_of --
-- How the tasks of a plan stand now; those that were purged are left out.
SELECT t.id::text AS id, t.status::text AS status
  FROM tasks AS t
 WHERE t.id = ANY (%(ids)s::uuid[])
