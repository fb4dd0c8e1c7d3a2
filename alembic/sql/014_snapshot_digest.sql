-- Names and contents, no ids: a copy of a snapshot has the digest of its original. Lists are ordered by
-- what they hold, so that the order of insertion makes no difference.
CREATE OR REPLACE FUNCTION pkg_snapshot_digest(p_snapshot_id INTEGER) RETURNS TEXT
LANGUAGE sql STABLE
SET search_path = public, pg_temp AS $$
    SELECT encode(sha256(convert_to(jsonb_build_object(
        'schema_version', s.schema_version,
        'entrypoint', s.entrypoint,
        'subtask_types', (
            SELECT jsonb_agg(jsonb_build_array(t.name, t.default_params) ORDER BY t.name COLLATE "C")
            FROM pkg_subtask_types AS t WHERE t.snapshot_id = s.id),
        'rules', (
            SELECT jsonb_agg(d.rule ORDER BY d.rule::text COLLATE "C")
            FROM pkg_policy_rules AS r
            LEFT JOIN LATERAL (
                SELECT jsonb_agg(d.condition ORDER BY d.condition::text COLLATE "C") AS list
                FROM pkg_rule_conditions AS c
                CROSS JOIN LATERAL (SELECT jsonb_build_array(
                    c.position, c.condition_type, c.condition_key, c.operator,
                    c.value, c.predicate, c.object) AS condition) AS d
                WHERE c.rule_id = r.id) AS conditions ON true
            LEFT JOIN LATERAL (
                SELECT jsonb_agg(d.emission ORDER BY d.emission::text COLLATE "C") AS list
                FROM pkg_rule_emissions AS e
                JOIN pkg_subtask_types AS t ON t.id = e.subtask_type_id
                CROSS JOIN LATERAL (SELECT jsonb_build_array(
                    e.position, e.relationship_type, t.name, e.params) AS emission) AS d
                WHERE e.rule_id = r.id) AS emissions ON true
            CROSS JOIN LATERAL (SELECT jsonb_build_array(
                r.rule_name, r.priority, r.engine, r.disabled, r.rule_source, r.compiled_rule,
                r.metadata, conditions.list, emissions.list) AS rule) AS d
            WHERE r.snapshot_id = s.id),
        'artifacts', (
            SELECT jsonb_agg(jsonb_build_array(a.artifact_type, a.sha256) ORDER BY a.artifact_type)
            FROM pkg_snapshot_artifacts AS a WHERE a.snapshot_id = s.id),
        'fixtures', (
            SELECT jsonb_agg(jsonb_build_array(f.name, f.input, f.expect) ORDER BY f.name COLLATE "C")
            FROM pkg_validation_fixtures AS f WHERE f.snapshot_id = s.id)
        )::text, 'UTF8')), 'hex')
    FROM pkg_snapshots AS s
    WHERE s.id = p_snapshot_id
$$;
COMMENT ON FUNCTION pkg_snapshot_digest(INTEGER) IS
    'sha256 over a snapshot''s definitions, artifacts and fixtures, which any edit changes; null when there is no such snapshot';
