-- What is there already, tasks left out; and the ends of the edges that are there.
DO $$
DECLARE
    v_kind  text;
    v_rows  integer;
    v_total bigint := 0;
BEGIN
    FOR v_kind IN SELECT k.node_type FROM graph_node_kinds() AS k WHERE k.node_type <> 'task' LOOP
        SELECT coalesce(sum(b.inserted), 0) INTO v_rows FROM backfill_nodes(v_kind) AS b;
        v_total := v_total + v_rows;
    END LOOP;
    LOOP
        v_rows := graph_edges_map();
        EXIT WHEN v_rows = 0;
        v_total := v_total + v_rows;
    END LOOP;
    IF v_total > 0 THEN
        RAISE INFO '% entities got their nodes', v_total;
    END IF;
END
$$;
