DO $$
DECLARE
    v_kind record;
BEGIN
    FOR v_kind IN
        SELECT * FROM graph_node_kinds() AS k
        WHERE k.node_type <> 'task' AND to_regclass('public.' || k.ext_table) IS NOT NULL
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER node_map_inserted AFTER INSERT ON %I
            REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT
            EXECUTE FUNCTION node_map_insert(%L)', v_kind.ext_table, v_kind.node_type);
        EXECUTE format('CREATE OR REPLACE TRIGGER node_map_deleted AFTER DELETE ON %I
            REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT
            EXECUTE FUNCTION node_map_delete(%L)', v_kind.ext_table, v_kind.node_type);
        IF v_kind.key_type = 'text' THEN
            EXECUTE format('CREATE OR REPLACE TRIGGER node_map_renamed AFTER UPDATE OF %2$I ON %1$I
                FOR EACH ROW WHEN (NEW.%2$I <> OLD.%2$I)
                EXECUTE FUNCTION node_map_rename(%3$L)', v_kind.ext_table, v_kind.key_column, v_kind.node_type);
        END IF;
    END LOOP;
END
$$;
