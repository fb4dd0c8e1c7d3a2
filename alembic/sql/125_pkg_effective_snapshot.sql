-- While a plan runs, the subjects of its lane that it doesn't reach yet keep what they had. As in 015, a
-- share of 100 % needs no bucket.
CREATE OR REPLACE FUNCTION pkg_effective_snapshot(
    p_target  TEXT,
    p_region  TEXT,
    p_subject TEXT,
    p_env     pkg_env DEFAULT 'prod'
) RETURNS INTEGER
LANGUAGE sql STABLE
SET search_path = public, pg_temp AS $$
    SELECT coalesce(
        (SELECT x.snapshot_id
         FROM pkg_deployments AS d
         LEFT JOIN pkg_rollout_plans AS p
             ON p.target = d.target AND p.region = d.region AND p.state IN ('running', 'paused')
         CROSS JOIN LATERAL (VALUES
             (1, d.snapshot_id, d.percent),
             (2, p.from_snapshot_id, p.from_percent)) AS x (choice, snapshot_id, percent)
         JOIN pkg_snapshots AS s ON s.id = x.snapshot_id AND s.env = p_env
         WHERE d.target = p_target AND d.region IN (p_region, 'global')
           AND (d.is_active OR x.choice = 2)
           AND (x.percent = 100
                OR pkg_bucket(d.salt, d.target, d.region, p_subject) < x.percent * 100)
         ORDER BY d.region IS DISTINCT FROM p_region, x.choice
         LIMIT 1),
        pkg_active_snapshot_id(p_env))
$$;
COMMENT ON FUNCTION pkg_effective_snapshot(TEXT, TEXT, TEXT, pkg_env) IS
    'the snapshot for a subject: of its region''s lane, else of the global one, each if its percent reaches the subject (during a rollout: else what the lane served before), else the active one of the environment';
