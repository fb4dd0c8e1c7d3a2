-- Numbers for entities. Nothing here writes when the number is there already, so that it can be asked for
-- in a read-only transaction.

CREATE OR REPLACE FUNCTION graph_node_kinds()
RETURNS TABLE (node_type TEXT, ext_table TEXT, key_column TEXT, key_type TEXT)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = public, pg_temp AS $$
    VALUES ('task', 'tasks', 'id', 'uuid'),
           ('artifact', 'artifact', 'artifact_id', 'uuid'),
           ('capability', 'capability', 'capability_id', 'uuid'),
           ('memory_cell', 'memory_cell', 'memory_cell_id', 'uuid'),
           ('fact', 'facts', 'id', 'uuid'),
           ('instance', 'registry_instance', 'instance_id', 'uuid'),
           ('agent', 'agent_registry', 'agent_id', 'text'),
           ('organ', 'organ_registry', 'organ_id', 'text'),
           ('model', 'model', 'model_name', 'text'),
           ('policy', 'policy', 'policy_name', 'text'),
           ('service', 'service', 'service_name', 'text'),
           ('skill', 'skill', 'skill_name', 'text')
$$;
COMMENT ON FUNCTION graph_node_kinds() IS 'the types of nodes: which table, by which column, with what kind of id';

CREATE OR REPLACE FUNCTION ensure_node(p_node_type TEXT, p_ext_table TEXT, p_uuid UUID, p_text TEXT)
RETURNS BIGINT
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_node BIGINT;
BEGIN
    LOOP
        IF p_uuid IS NOT NULL THEN
            SELECT m.node_id INTO v_node FROM graph_node_map m
            WHERE m.node_type = p_node_type AND m.ext_table = p_ext_table AND m.ext_uuid = p_uuid;
        ELSE
            SELECT m.node_id INTO v_node FROM graph_node_map m
            WHERE m.node_type = p_node_type AND m.ext_table = p_ext_table AND m.ext_text_id = p_text;
        END IF;
        IF FOUND THEN
            RETURN v_node;
        END IF;
        INSERT INTO graph_node_map (node_type, ext_table, ext_uuid, ext_text_id)
        VALUES (p_node_type, p_ext_table, p_uuid, p_text)
        ON CONFLICT DO NOTHING
        RETURNING node_id INTO v_node;
        IF FOUND THEN
            RETURN v_node;
        END IF;
        -- Somebody else made it between the two statements; the next look sees it.
    END LOOP;
END
$$;
COMMENT ON FUNCTION ensure_node(TEXT, TEXT, UUID, TEXT) IS
    'the node of an entity, given by exactly one of the two ids, made if there is none; does not ask whether the entity exists';

-- The SET clauses leave one way to look a node up, by its id. While a map that grows in this transaction has
-- no statistics yet, reading all nodes of the type once and comparing each id with each of them looks as cheap.
CREATE OR REPLACE FUNCTION graph_nodes_add(p_node_type TEXT, p_ids TEXT[]) RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_material = off
SET enable_hashjoin = off
SET enable_mergejoin = off AS $$
DECLARE
    v_kind   record;
    v_scoped BOOLEAN;
    v_added  INTEGER;
BEGIN
    SELECT * INTO v_kind FROM graph_node_kinds() k WHERE k.node_type = p_node_type;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no type of node "%"', p_node_type
            USING ERRCODE = 'SC422', DETAIL = 'graph.unknown_node_type',
                  HINT = 'known are ' || (SELECT string_agg(k.node_type, ', ') FROM graph_node_kinds() k);
    END IF;
    -- From 017 on a node inherits the scope of its entity, if that has one.
    v_scoped := 2 = (SELECT count(*) FROM pg_attribute a
                     WHERE a.attrelid IN ('graph_node_map'::regclass, to_regclass(v_kind.ext_table))
                       AND a.attname = 'snapshot_id' AND NOT a.attisdropped);
    -- The entities are held until this commits, so that none is deleted between the look and its node.
    -- In id order, so that two of these never wait for each other.
    EXECUTE format(
        'INSERT INTO graph_node_map (node_type, ext_table, %1$I' || CASE WHEN v_scoped THEN ', snapshot_id' ELSE '' END || ')
         SELECT %2$L, %3$L, e.%4$I' || CASE WHEN v_scoped THEN ', e.snapshot_id' ELSE '' END || ' FROM %3$I e
         WHERE e.%4$I = ANY ($1::%5$s[])
           AND NOT EXISTS (SELECT FROM graph_node_map m
                           WHERE m.node_type = %2$L AND m.ext_table = %3$L AND m.%1$I = e.%4$I)
         ORDER BY e.%4$I
         FOR KEY SHARE OF e
         ON CONFLICT DO NOTHING',
        CASE v_kind.key_type WHEN 'uuid' THEN 'ext_uuid' ELSE 'ext_text_id' END,
        v_kind.node_type, v_kind.ext_table, v_kind.key_column, v_kind.key_type) USING p_ids;
    GET DIAGNOSTICS v_added = ROW_COUNT;
    RETURN v_added;
END
$$;
COMMENT ON FUNCTION graph_nodes_add(TEXT, TEXT[]) IS
    'internal: makes nodes for those of these entities that exist and have none; returns how many';

CREATE OR REPLACE FUNCTION ensure_nodes(p_node_type TEXT, p_ids TEXT[])
RETURNS TABLE (ext_id TEXT, node_id BIGINT)
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_kind    record;
    v_lookup  TEXT;
    v_missing TEXT[];
BEGIN
    SELECT * INTO v_kind FROM graph_node_kinds() k WHERE k.node_type = p_node_type;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no type of node "%"', p_node_type
            USING ERRCODE = 'SC422', DETAIL = 'graph.unknown_node_type',
                  HINT = 'known are ' || (SELECT string_agg(k.node_type, ', ') FROM graph_node_kinds() k);
    END IF;
    IF '' = ANY (p_ids) OR array_position(p_ids, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'an id of type % is empty', p_node_type
            USING ERRCODE = 'SC422', DETAIL = 'graph.bad_id';
    END IF;
    v_lookup := format(
        'SELECT i.id, m.node_id
         FROM (SELECT u.id, min(u.nth) AS nth FROM unnest($1) WITH ORDINALITY AS u (id, nth) GROUP BY u.id) AS i
         LEFT JOIN graph_node_map m
                ON m.node_type = %L AND m.ext_table = %L AND m.%I = i.id::%s
         ORDER BY i.nth',
        v_kind.node_type, v_kind.ext_table,
        CASE v_kind.key_type WHEN 'uuid' THEN 'ext_uuid' ELSE 'ext_text_id' END, v_kind.key_type);
    EXECUTE format('SELECT array_agg(l.id) FROM (%s) AS l (id, node_id) WHERE l.node_id IS NULL', v_lookup)
    INTO v_missing USING p_ids;
    IF v_missing IS NOT NULL THEN
        IF v_kind.key_type = 'text' THEN
            EXECUTE format('INSERT INTO %I (%I) SELECT i.id FROM unnest($1) AS i (id) ORDER BY i.id
                            ON CONFLICT DO NOTHING', v_kind.ext_table, v_kind.key_column) USING v_missing;
        END IF;
        PERFORM graph_nodes_add(p_node_type, v_missing);
    END IF;
    RETURN QUERY EXECUTE v_lookup USING p_ids;
END
$$;
COMMENT ON FUNCTION ensure_nodes(TEXT, TEXT[]) IS
    'the nodes of many entities of one type, in the order of the ids; entities with text ids are made if missing, other unknown ones have a null node';

CREATE OR REPLACE FUNCTION ensure_entity_node(p_node_type TEXT, p_id TEXT) RETURNS BIGINT
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_node BIGINT;
BEGIN
    SELECT n.node_id INTO v_node FROM ensure_nodes(p_node_type, ARRAY[p_id]) n;
    IF v_node IS NULL THEN
        RAISE EXCEPTION 'there is no % %', replace(p_node_type, '_', ' '), p_id
            USING ERRCODE = 'foreign_key_violation', DETAIL = format('graph.%s_not_found', p_node_type);
    END IF;
    RETURN v_node;
END
$$;
COMMENT ON FUNCTION ensure_entity_node(TEXT, TEXT) IS 'internal: the node of one entity, which must exist unless it has a text id';

CREATE OR REPLACE FUNCTION ensure_task_node(p_task_id UUID) RETURNS BIGINT
LANGUAGE sql
SET search_path = public, pg_temp AS $$ SELECT ensure_entity_node('task', p_task_id::text) $$;
COMMENT ON FUNCTION ensure_task_node(UUID) IS 'the node of a task, made if it has none; the task must exist';

CREATE OR REPLACE FUNCTION ensure_artifact_node(p_artifact_id UUID) RETURNS BIGINT
LANGUAGE sql
SET search_path = public, pg_temp AS $$ SELECT ensure_entity_node('artifact', p_artifact_id::text) $$;
COMMENT ON FUNCTION ensure_artifact_node(UUID) IS 'the node of an artifact, made if it has none; the artifact must exist';

CREATE OR REPLACE FUNCTION ensure_capability_node(p_capability_id UUID) RETURNS BIGINT
LANGUAGE sql
SET search_path = public, pg_temp AS $$ SELECT ensure_entity_node('capability', p_capability_id::text) $$;
COMMENT ON FUNCTION ensure_capability_node(UUID) IS 'the node of a capability, made if it has none; the capability must exist';

CREATE OR REPLACE FUNCTION ensure_memory_cell_node(p_memory_cell_id UUID) RETURNS BIGINT
LANGUAGE sql
SET search_path = public, pg_temp AS $$ SELECT ensure_entity_node('memory_cell', p_memory_cell_id::text) $$;
COMMENT ON FUNCTION ensure_memory_cell_node(UUID) IS 'the node of a memory cell, made if it has none; the cell must exist';

CREATE OR REPLACE FUNCTION ensure_agent_node(p_agent_id TEXT) RETURNS BIGINT
LANGUAGE sql
SET search_path = public, pg_temp AS $$ SELECT ensure_entity_node('agent', p_agent_id) $$;
COMMENT ON FUNCTION ensure_agent_node(TEXT) IS 'the node of an agent; agent and node are made if missing';

CREATE OR REPLACE FUNCTION ensure_organ_node(p_organ_id TEXT) RETURNS BIGINT
LANGUAGE sql
SET search_path = public, pg_temp AS $$ SELECT ensure_entity_node('organ', p_organ_id) $$;
COMMENT ON FUNCTION ensure_organ_node(TEXT) IS 'the node of an organ; organ and node are made if missing';

-- Page by page in key order, whatever the size of the table; what a page needs is found by index.
CREATE OR REPLACE FUNCTION backfill_nodes(p_node_type TEXT DEFAULT NULL, p_limit INTEGER DEFAULT NULL)
RETURNS TABLE (node_type TEXT, inserted INTEGER)
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_material = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off AS $$
#variable_conflict use_column
DECLARE
    v_page CONSTANT INTEGER := 10000;
    v_kind    record;
    v_read    TEXT;
    v_keys    TEXT[];
    v_missing TEXT[];
    v_left    INTEGER := p_limit;
BEGIN
    IF p_limit <= 0 THEN
        RAISE EXCEPTION 'the limit is %, and must be at least 1', p_limit
            USING ERRCODE = 'SC422', DETAIL = 'graph.bad_limit';
    END IF;
    IF p_node_type IS NOT NULL AND NOT EXISTS (
        SELECT FROM graph_node_kinds() k WHERE k.node_type = p_node_type) THEN
        PERFORM graph_nodes_add(p_node_type, '{}');
    END IF;
    FOR v_kind IN
        SELECT k.* FROM graph_node_kinds() k
        WHERE k.node_type = coalesce(p_node_type, k.node_type)
          AND to_regclass('public.' || quote_ident(k.ext_table)) IS NOT NULL
    LOOP
        node_type := v_kind.node_type;
        inserted := 0;
        v_keys := NULL;
        v_read := format(
            'WITH page AS MATERIALIZED (
                 SELECT e.%1$I AS key FROM %2$I e WHERE $1 IS NULL OR e.%1$I > $1::%3$s
                 ORDER BY e.%1$I LIMIT %4$s)
             SELECT array_agg(p.key::text ORDER BY p.key),
                    array_agg(p.key::text ORDER BY p.key) FILTER (WHERE m.node_id IS NULL)
             FROM page p
             LEFT JOIN graph_node_map m ON m.node_type = %5$L AND m.ext_table = %2$L AND m.%6$I = p.key',
            v_kind.key_column, v_kind.ext_table, v_kind.key_type, v_page, v_kind.node_type,
            CASE v_kind.key_type WHEN 'uuid' THEN 'ext_uuid' ELSE 'ext_text_id' END);
        WHILE v_left IS NULL OR v_left > 0 LOOP
            EXECUTE v_read INTO v_keys, v_missing USING v_keys[cardinality(v_keys)];
            EXIT WHEN v_keys IS NULL;
            IF v_missing IS NOT NULL THEN
                inserted := inserted + graph_nodes_add(node_type, v_missing[1:coalesce(v_left, v_page)]);
                v_left := p_limit - inserted;
            END IF;
            EXIT WHEN cardinality(v_keys) < v_page;
        END LOOP;
        RETURN NEXT;
        p_limit := p_limit - inserted;
        EXIT WHEN p_limit <= 0;
    END LOOP;
END
$$;
COMMENT ON FUNCTION backfill_nodes(TEXT, INTEGER) IS
    'makes nodes for entities that have none, of one type or all, at most so many; returns how many of each';

CREATE OR REPLACE FUNCTION backfill_task_nodes() RETURNS INTEGER
LANGUAGE sql
SET search_path = public, pg_temp AS $$ SELECT b.inserted FROM backfill_nodes('task') b $$;
COMMENT ON FUNCTION backfill_task_nodes() IS 'makes nodes for all tasks that have none; returns how many';
