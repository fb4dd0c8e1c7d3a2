DO $$
DECLARE
    v_trigger record;
BEGIN
    FOR v_trigger IN
        SELECT t.tgname AS name, t.tgrelid::regclass::text AS name_of_table
        FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
        WHERE p.pronamespace = 'public'::regnamespace
          AND p.proname IN ('node_map_insert', 'node_map_delete', 'node_map_rename', 'node_map_edge')
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', v_trigger.name, v_trigger.name_of_table);
    END LOOP;
END
$$;
DROP FUNCTION IF EXISTS node_map_edge();
DROP FUNCTION IF EXISTS node_map_rename();
DROP FUNCTION IF EXISTS node_map_delete();
DROP FUNCTION IF EXISTS node_map_insert();
