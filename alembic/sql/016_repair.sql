-- A snapshot that is not there is moved to meta_data, so that the key holds for every row.
DO $$
DECLARE
    v_done bigint;
BEGIN
    UPDATE facts AS f
    SET snapshot_id = NULL, meta_data = f.meta_data || jsonb_build_object('lost_snapshot_id', f.snapshot_id)
    WHERE f.snapshot_id IS NOT NULL
      AND NOT EXISTS (SELECT FROM pkg_snapshots AS s WHERE s.id = f.snapshot_id)
      AND num_nulls(f.subject, f.predicate, f.object_data) IN (0, 3)
      AND (f.pkg_rule_id IS NULL OR f.subject IS NOT NULL)
      AND btrim(f.namespace) <> '' AND btrim(f.created_by) <> ''
      AND coalesce(f.valid_from <= f.valid_to, true)
      AND (f.pkg_rule_id IS NULL
           OR NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'facts'::regclass
                          AND conname = 'chk_facts_pkg_rule_requires_snapshot'));
    GET DIAGNOSTICS v_done = ROW_COUNT;
    IF v_done > 0 THEN
        RAISE WARNING 'facts: % rows named snapshots that are not there; the numbers are in meta_data.lost_snapshot_id now',
            v_done;
    END IF;
END
$$;

-- Facts begin to hold when they were written. One that ended before that keeps its open beginning, and
-- one that breaks a check of 010 can't be written at all.
DO $$
DECLARE
    v_done bigint;
BEGIN
    UPDATE facts SET valid_from = created_at
    WHERE valid_from IS NULL
      AND (subject IS NOT NULL OR pkg_rule_id IS NOT NULL)
      AND (valid_to IS NULL OR created_at <= valid_to)
      AND num_nulls(subject, predicate, object_data) IN (0, 3)
      AND (pkg_rule_id IS NULL OR subject IS NOT NULL)
      AND btrim(namespace) <> '' AND btrim(created_by) <> ''
      AND (pkg_rule_id IS NULL OR snapshot_id IS NOT NULL
           OR NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'facts'::regclass
                          AND conname = 'chk_facts_pkg_rule_requires_snapshot'));
    GET DIAGNOSTICS v_done = ROW_COUNT;
    IF v_done > 0 THEN
        RAISE INFO 'facts: % rows hold from their creation on', v_done;
    END IF;
END
$$;
