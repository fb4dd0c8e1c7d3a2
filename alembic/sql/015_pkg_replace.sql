-- Older functions of these names take other arguments: left there, they would make calls ambiguous. Older
-- views have other columns. Nothing of ours depends on either.
DO $$
DECLARE
    v_function regprocedure;
BEGIN
    FOR v_function IN
        SELECT p.oid FROM pg_proc AS p
        WHERE p.pronamespace = 'public'::regnamespace
          AND p.proname IN ('pkg_active_snapshot_id', 'pkg_promote_snapshot', 'pkg_check_integrity')
    LOOP
        EXECUTE format('DROP FUNCTION %s', v_function);
    END LOOP;
END
$$;
DROP VIEW IF EXISTS pkg_active_artifact, pkg_rules_expanded, pkg_deployment_coverage;
