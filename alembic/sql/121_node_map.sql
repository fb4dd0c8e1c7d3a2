-- The node map follows the tables. Tasks are the exception: their nodes come when an edge, an embedding or
-- somebody needs them, because a trigger on every insert would cost the queue a third of its speed.

CREATE OR REPLACE FUNCTION node_map_insert() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_kind  record;
    v_scope TEXT := '';
    v_value TEXT := '';
BEGIN
    IF seedcore_setting('skip_node_map', 'off') = 'on' THEN
        RETURN NULL;
    END IF;
    SELECT * INTO STRICT v_kind FROM graph_node_kinds() k WHERE k.node_type = TG_ARGV[0];
    IF 2 = (SELECT count(*) FROM pg_attribute a
            WHERE a.attrelid IN ('graph_node_map'::regclass, TG_RELID)
              AND a.attname = 'snapshot_id' AND NOT a.attisdropped) THEN
        v_scope := ', snapshot_id';
        v_value := ', n.snapshot_id';
    END IF;
    EXECUTE format(
        'INSERT INTO graph_node_map (node_type, ext_table, %1$I' || v_scope || ')
         SELECT %2$L, %3$L, n.%4$I' || v_value || ' FROM new_rows n
         ORDER BY n.%4$I
         ON CONFLICT DO NOTHING',
        CASE v_kind.key_type WHEN 'uuid' THEN 'ext_uuid' ELSE 'ext_text_id' END,
        v_kind.node_type, v_kind.ext_table, v_kind.key_column);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION node_map_insert() IS 'Trigger function: makes the nodes of new entities, unless the setting skip_node_map is on.';

CREATE OR REPLACE FUNCTION node_map_delete() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off AS $$
DECLARE
    v_kind record;
BEGIN
    SELECT * INTO STRICT v_kind FROM graph_node_kinds() k WHERE k.node_type = TG_ARGV[0];
    EXECUTE format(
        'DELETE FROM graph_node_map m
         WHERE m.node_type = %2$L AND m.ext_table = %3$L
           AND m.%1$I = ANY (ARRAY(SELECT o.%4$I FROM old_rows o))',
        CASE v_kind.key_type WHEN 'uuid' THEN 'ext_uuid' ELSE 'ext_text_id' END,
        v_kind.node_type, v_kind.ext_table, v_kind.key_column);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION node_map_delete() IS 'Trigger function: removes the nodes of deleted entities, and with them their vectors.';

CREATE OR REPLACE FUNCTION node_map_rename() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_kind record;
BEGIN
    SELECT * INTO STRICT v_kind FROM graph_node_kinds() k WHERE k.node_type = TG_ARGV[0];
    UPDATE graph_node_map m
    SET ext_text_id = to_jsonb(NEW) ->> v_kind.key_column
    WHERE m.node_type = v_kind.node_type AND m.ext_table = v_kind.ext_table
      AND m.ext_text_id = to_jsonb(OLD) ->> v_kind.key_column;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION node_map_rename() IS 'Trigger function: an entity that gets another name keeps its node.';

CREATE OR REPLACE FUNCTION node_map_edge() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_column TEXT;
    v_ids    TEXT[];
    v_more   TEXT[];
BEGIN
    IF seedcore_setting('skip_node_map', 'off') = 'on' THEN
        RETURN NULL;
    END IF;
    -- Both ends at once, so that all of them are made in id order.
    FOREACH v_column IN ARRAY TG_ARGV LOOP
        EXECUTE format('SELECT array_agg(DISTINCT n.%I::text) FROM new_rows n', v_column) INTO v_more;
        v_ids := v_ids || v_more;
    END LOOP;
    IF v_ids IS NOT NULL THEN
        PERFORM graph_nodes_add('task', v_ids);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION node_map_edge() IS 'Trigger function: makes the nodes of the tasks that new edges name.';
