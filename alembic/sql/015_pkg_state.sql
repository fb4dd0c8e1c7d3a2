-- What is in force, and may something else be?

CREATE OR REPLACE FUNCTION pkg_active_snapshot_id(p_env pkg_env DEFAULT 'prod') RETURNS INTEGER
LANGUAGE sql STABLE
SET search_path = public, pg_temp AS $$
    SELECT s.id FROM pkg_snapshots AS s WHERE s.env = p_env AND s.is_active
$$;
COMMENT ON FUNCTION pkg_active_snapshot_id(pkg_env) IS 'the active snapshot of an environment; null when there is none';

CREATE OR REPLACE FUNCTION pkg_validation_status(
    p_snapshot_id INTEGER,
    OUT ok        BOOLEAN,
    OUT run_id    BIGINT,
    OUT msg       TEXT
)
LANGUAGE plpgsql STABLE
SET search_path = public, pg_temp AS $$
DECLARE
    v_digest TEXT := pkg_snapshot_digest(p_snapshot_id);
    v_run    pkg_validation_runs;
BEGIN
    IF v_digest IS NULL THEN
        RAISE EXCEPTION 'there is no snapshot %', coalesce(p_snapshot_id::text, 'null')
            USING ERRCODE = 'SC404', DETAIL = 'pkg.snapshot_not_found';
    END IF;
    SELECT r.* INTO v_run FROM pkg_validation_runs AS r
    WHERE r.snapshot_id = p_snapshot_id AND r.finished_at IS NOT NULL
    ORDER BY r.started_at DESC, r.id DESC
    LIMIT 1;
    run_id := v_run.id;
    msg := CASE
        WHEN v_run.id IS NULL THEN 'never validated'
        WHEN v_run.subject_digest IS DISTINCT FROM v_digest THEN 'changed since it was validated'
        WHEN v_run.cases_total = 0 THEN 'validated without a single case'
        WHEN v_run.success IS NOT TRUE OR v_run.cases_failed > 0
            THEN format('%s of %s cases failed', v_run.cases_failed, v_run.cases_total)
    END;
    ok := msg IS NULL;
    msg := coalesce(msg, format('%s cases passed', v_run.cases_total));
END
$$;
COMMENT ON FUNCTION pkg_validation_status(INTEGER) IS
    'whether the newest finished validation run of a snapshot succeeded, had cases, and tested what the snapshot is now';

CREATE OR REPLACE FUNCTION pkg_check_integrity(p_snapshot_id INTEGER DEFAULT NULL)
RETURNS TABLE (ok BOOLEAN, msg TEXT)
LANGUAGE sql STABLE
SET search_path = public, pg_temp AS $$
    WITH snapshots AS (
        SELECT s.id, format('%s (%s)', s.version, s.env) AS label FROM pkg_snapshots AS s
    ), faults AS (
        SELECT format('rule %s of snapshot %s emits %s, which belongs to snapshot %s',
                      r.rule_name, rs.label, t.name, ts.label) AS msg
        FROM pkg_rule_emissions AS e
        JOIN pkg_policy_rules AS r ON r.id = e.rule_id
        JOIN pkg_subtask_types AS t ON t.id = e.subtask_type_id
        JOIN snapshots AS rs ON rs.id = r.snapshot_id
        JOIN snapshots AS ts ON ts.id = t.snapshot_id
        WHERE r.snapshot_id <> t.snapshot_id
          AND (p_snapshot_id IS NULL OR p_snapshot_id IN (r.snapshot_id, t.snapshot_id))
        UNION ALL
        SELECT format('rule %s of snapshot %s has the condition %s %s %s %s times',
                      r.rule_name, s.label, c.condition_type, c.condition_key, c.operator, count(*))
        FROM pkg_rule_conditions AS c
        JOIN pkg_policy_rules AS r ON r.id = c.rule_id
        JOIN snapshots AS s ON s.id = r.snapshot_id
        WHERE p_snapshot_id IS NULL OR r.snapshot_id = p_snapshot_id
        GROUP BY r.id, s.label, c.condition_type, c.condition_key, c.operator, c.value, c.predicate, c.object
        HAVING count(*) > 1
        UNION ALL
        SELECT format('rule %s of snapshot %s asks for a fact about %s without a predicate',
                      r.rule_name, s.label, c.condition_key)
        FROM pkg_rule_conditions AS c
        JOIN pkg_policy_rules AS r ON r.id = c.rule_id
        JOIN snapshots AS s ON s.id = r.snapshot_id
        WHERE c.condition_type = 'FACT' AND c.predicate IS NULL
          AND (p_snapshot_id IS NULL OR r.snapshot_id = p_snapshot_id)
        UNION ALL
        SELECT format('snapshot %s has nothing to run: no enabled rule, no bundle and no pack', s.label)
        FROM snapshots AS s
        WHERE (p_snapshot_id IS NULL OR s.id = p_snapshot_id)
          AND NOT EXISTS (SELECT FROM pkg_policy_rules AS r WHERE r.snapshot_id = s.id AND NOT r.disabled)
          AND NOT EXISTS (SELECT FROM pkg_snapshot_artifacts AS a
                          WHERE a.snapshot_id = s.id AND a.artifact_type <> 'source_tar')
    )
    SELECT false, f.msg FROM faults AS f
    UNION ALL
    SELECT true, 'no faults' WHERE NOT EXISTS (SELECT FROM faults)
$$;
COMMENT ON FUNCTION pkg_check_integrity(INTEGER) IS
    'one true row, or a row for each fault: emissions across snapshots, equal conditions, facts without predicate, nothing to run; of one snapshot, or of all';
