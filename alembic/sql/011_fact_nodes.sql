CREATE OR REPLACE FUNCTION ensure_fact_node(p_fact_id UUID) RETURNS BIGINT
LANGUAGE sql
SET search_path = public, pg_temp AS $$ SELECT ensure_entity_node('fact', p_fact_id::text) $$;
COMMENT ON FUNCTION ensure_fact_node(UUID) IS 'the node of a fact, made if it has none; the fact must exist';
