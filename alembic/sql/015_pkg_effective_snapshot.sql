-- A lane at 100 % needs no bucket, so it also serves a caller that names no subject. 125 replaces this
-- function, and its downgrade runs this file to put it back.
CREATE OR REPLACE FUNCTION pkg_effective_snapshot(
    p_target  TEXT,
    p_region  TEXT,
    p_subject TEXT,
    p_env     pkg_env DEFAULT 'prod'
) RETURNS INTEGER
LANGUAGE sql STABLE
SET search_path = public, pg_temp AS $$
    SELECT coalesce(
        (SELECT d.snapshot_id
         FROM pkg_deployments AS d
         JOIN pkg_snapshots AS s ON s.id = d.snapshot_id AND s.env = p_env
         WHERE d.target = p_target AND d.region IN (p_region, 'global') AND d.is_active
           AND (d.percent = 100
                OR pkg_bucket(d.salt, d.target, d.region, p_subject) < d.percent * 100)
         ORDER BY d.region IS DISTINCT FROM p_region
         LIMIT 1),
        pkg_active_snapshot_id(p_env))
$$;
COMMENT ON FUNCTION pkg_effective_snapshot(TEXT, TEXT, TEXT, pkg_env) IS
    'the snapshot for a subject: of its region''s lane, else of the global one, each if its percent reaches the subject, else the active one of the environment';
