-- For this session only: views hold on to the types of the columns they read, so a column can change its
-- type only while they are away. 004, 007 and 120 use these on databases that were made by other hands.

CREATE TEMPORARY TABLE IF NOT EXISTS seedcore_views (
    position integer, name text, definition text, comment text, grants text[]
);

CREATE OR REPLACE FUNCTION pg_temp.seedcore_take_down_views(p_table regclass) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_view record;
BEGIN
    DELETE FROM seedcore_views;
    INSERT INTO seedcore_views
    WITH RECURSIVE above (oid, depth) AS (
        SELECT r.ev_class, 1
        FROM pg_depend AS d JOIN pg_rewrite AS r ON r.oid = d.objid
        WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
          AND d.refobjid = p_table AND r.ev_class <> p_table
        UNION
        SELECT r.ev_class, above.depth + 1
        FROM above
        JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass
                           AND d.refclassid = 'pg_class'::regclass AND d.refobjid = above.oid
        JOIN pg_rewrite AS r ON r.oid = d.objid AND r.ev_class <> above.oid
        WHERE above.depth < 50
    )
    SELECT row_number() OVER (ORDER BY max(a.depth), a.oid), c.oid::regclass::text, pg_get_viewdef(c.oid),
           obj_description(c.oid, 'pg_class'),
           ARRAY(SELECT format('GRANT %s ON %s TO %s', acl.privilege_type, c.oid::regclass,
                               CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE acl.grantee::regrole::text END)
                 FROM aclexplode(c.relacl) AS acl WHERE acl.grantee <> c.relowner)
    FROM above AS a JOIN pg_class AS c ON c.oid = a.oid AND c.relkind = 'v'
    GROUP BY a.oid, c.oid, c.relacl, c.relowner;
    FOR v_view IN SELECT v.name FROM seedcore_views AS v ORDER BY v.position DESC LOOP
        EXECUTE format('DROP VIEW %s', v_view.name);
    END LOOP;
END
$$;

-- The words of a status are compared as they are now: in small letters, and with the type left open.
CREATE OR REPLACE FUNCTION pg_temp.seedcore_put_back_views() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_view  record;
    v_label text;
    v_text  text;
    v_grant text;
    v_error text;
BEGIN
    FOR v_view IN SELECT * FROM seedcore_views AS v ORDER BY v.position LOOP
        v_text := v_view.definition;
        FOREACH v_label IN ARRAY enum_range(NULL::taskstatus)::text[] LOOP
            v_text := regexp_replace(
                v_text, format('''%s''::(taskstatus|text|character varying|bpchar)', v_label),
                quote_literal(v_label) || '::taskstatus', 'gi');
        END LOOP;
        v_text := regexp_replace(v_text, '\((\w+\.)?status\)::text', '\1status', 'g');
        v_error := NULL;
        FOREACH v_text IN ARRAY ARRAY[
            v_view.definition,
            regexp_replace(v_view.definition, '\mlower\((\w+\.)?status\)', 'lower(\1status::text)', 'g'),
            v_text]
        LOOP
            BEGIN
                EXECUTE format('CREATE VIEW %s AS %s', v_view.name, v_text);
                v_error := NULL;
                EXIT;
            EXCEPTION WHEN syntax_error_or_access_rule_violation OR invalid_text_representation THEN
                v_error := SQLERRM;
            END;
        END LOOP;
        IF v_error IS NOT NULL THEN
            RAISE EXCEPTION 'view % can''t be made again over the converted tasks: %', v_view.name, v_error
                USING ERRCODE = 'SC409', DETAIL = 'migrate.view_in_the_way',
                      HINT = format('DROP VIEW %s, run the migration, make the view again', v_view.name);
        END IF;
        IF v_view.comment IS NOT NULL THEN
            EXECUTE format('COMMENT ON VIEW %s IS %L', v_view.name, v_view.comment);
        END IF;
        FOREACH v_grant IN ARRAY v_view.grants LOOP
            EXECUTE v_grant;
        END LOOP;
    END LOOP;
    DELETE FROM seedcore_views;
END
$$;
