CREATE OR REPLACE VIEW pkg_active_artifact AS
SELECT s.env, s.id AS snapshot_id, s.version, a.artifact_type, a.size_bytes, a.sha256
FROM pkg_snapshots AS s
JOIN pkg_snapshot_artifacts AS a ON a.snapshot_id = s.id
WHERE s.is_active;
COMMENT ON VIEW pkg_active_artifact IS 'what the active snapshot of each environment carries';

CREATE OR REPLACE VIEW pkg_rules_expanded AS
SELECT r.id AS rule_id, r.rule_name, r.priority, r.engine, r.disabled,
       s.id AS snapshot_id, s.version AS snapshot_version, s.env,
       e.relationship_type, t.name AS subtask_name, e.params, r.metadata
FROM pkg_policy_rules AS r
JOIN pkg_snapshots AS s ON s.id = r.snapshot_id
LEFT JOIN pkg_rule_emissions AS e ON e.rule_id = r.id
LEFT JOIN pkg_subtask_types AS t ON t.id = e.subtask_type_id;
COMMENT ON VIEW pkg_rules_expanded IS 'a row per emission of a rule, and one for a rule that emits nothing';

-- The devices are counted by kind first: one pass, and then there is little to join.
CREATE OR REPLACE VIEW pkg_deployment_coverage AS
WITH kinds AS (
    SELECT v.device_type, v.region, v.snapshot_id,
           count(*) FILTER (WHERE v.last_seen >= w.since) AS seen,
           count(*) FILTER (WHERE v.last_seen < w.since) AS stale
    FROM pkg_device_versions AS v
    CROSS JOIN (SELECT now() - make_interval(
        secs => seedcore_setting('device_window_s', '86400')::double precision) AS since) AS w
    GROUP BY v.device_type, v.region, v.snapshot_id
)
SELECT d.target, d.region, d.snapshot_id, s.version, d.percent,
       coalesce(sum(k.seen) FILTER (WHERE k.snapshot_id = d.snapshot_id), 0)::bigint AS devices_on_snapshot,
       coalesce(sum(k.seen), 0)::bigint AS devices_total,
       coalesce(sum(k.stale), 0)::bigint AS devices_stale
FROM pkg_deployments AS d
JOIN pkg_snapshots AS s ON s.id = d.snapshot_id
LEFT JOIN kinds AS k
    ON (d.region = 'global' OR k.region = d.region)
   AND (d.target = 'router' OR k.device_type IN (d.target, substring(d.target FROM ':(.*)$')))
WHERE d.is_active
GROUP BY d.id, s.version;
COMMENT ON VIEW pkg_deployment_coverage IS
    'devices of each active lane: how many run its snapshot, how many there are, how many were not seen within device_window_s and are counted only there';
