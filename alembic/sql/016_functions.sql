-- What is known of a subject, what held when, and triples out of texts. Validity is half-open: a fact
-- holds from valid_from on and no more at valid_to.

CREATE OR REPLACE FUNCTION get_facts_by_subject(
    p_subject         TEXT,
    p_namespace       TEXT    DEFAULT 'default',
    p_include_expired BOOLEAN DEFAULT false
) RETURNS TABLE (
    id UUID, text TEXT, tags TEXT[], meta_data JSONB, namespace TEXT, created_by TEXT, subject TEXT,
    predicate TEXT, object_data JSONB, valid_from TIMESTAMPTZ, valid_to TIMESTAMPTZ, snapshot_id INTEGER,
    pkg_rule_id TEXT, pkg_provenance JSONB, validation_status TEXT, created_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ, is_temporal BOOLEAN, is_expired BOOLEAN)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = public, pg_temp AS $$
    SELECT f.id, f.text, f.tags, f.meta_data, f.namespace, f.created_by, f.subject, f.predicate, f.object_data,
           f.valid_from, f.valid_to, f.snapshot_id, f.pkg_rule_id, f.pkg_provenance, f.validation_status,
           f.created_at, f.updated_at,
           f.valid_from IS NOT NULL OR f.valid_to IS NOT NULL,
           coalesce(f.valid_to <= now(), false)
    FROM facts AS f
    WHERE f.namespace = p_namespace AND f.subject = p_subject
      AND (p_include_expired OR f.valid_to IS NULL OR f.valid_to > now())
    ORDER BY coalesce(f.valid_from, f.created_at) DESC, f.created_at DESC, f.id
$$;
COMMENT ON FUNCTION get_facts_by_subject(TEXT, TEXT, BOOLEAN) IS
    'triples of a subject in a namespace, newest first; those that hold no more only when asked for';

CREATE OR REPLACE FUNCTION get_facts_at_time(
    p_namespace     TEXT        DEFAULT NULL,
    p_point_in_time TIMESTAMPTZ DEFAULT now()
) RETURNS TABLE (
    id UUID, namespace TEXT, subject TEXT, predicate TEXT, object_data JSONB, valid_from TIMESTAMPTZ,
    valid_to TIMESTAMPTZ, created_at TIMESTAMPTZ)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = public, pg_temp AS $$
    SELECT f.id, f.namespace, f.subject, f.predicate, f.object_data, f.valid_from, f.valid_to, f.created_at
    FROM facts AS f
    WHERE f.subject IS NOT NULL
      AND (p_namespace IS NULL OR f.namespace = p_namespace)
      AND (f.valid_from IS NULL OR f.valid_from <= p_point_in_time)
      AND (f.valid_to IS NULL OR f.valid_to > p_point_in_time)
    ORDER BY f.namespace, f.subject, f.predicate, coalesce(f.valid_from, f.created_at) DESC, f.id
$$;
COMMENT ON FUNCTION get_facts_at_time(TEXT, TIMESTAMPTZ) IS
    'triples that held at a moment, in one namespace or in all';

CREATE OR REPLACE FUNCTION cleanup_expired_facts(
    p_namespace TEXT    DEFAULT NULL,
    p_dry_run   BOOLEAN DEFAULT false
) RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_done INTEGER;
BEGIN
    IF p_dry_run THEN
        SELECT count(*) INTO v_done FROM facts AS f
        WHERE f.valid_to <= now() AND (p_namespace IS NULL OR f.namespace = p_namespace);
    ELSE
        DELETE FROM facts AS f
        WHERE f.valid_to <= now() AND (p_namespace IS NULL OR f.namespace = p_namespace);
        GET DIAGNOSTICS v_done = ROW_COUNT;
    END IF;
    RETURN v_done;
END
$$;
COMMENT ON FUNCTION cleanup_expired_facts(TEXT, BOOLEAN) IS
    'deletes facts that hold no more, in one namespace or in all; a dry run only counts them';

CREATE OR REPLACE FUNCTION get_fact_statistics(p_namespace TEXT DEFAULT NULL) RETURNS TABLE (
    total_facts BIGINT, temporal_facts BIGINT, pkg_governed_facts BIGINT, expired_facts BIGINT,
    active_temporal_facts BIGINT, namespaces TEXT[])
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = public, pg_temp AS $$
    SELECT coalesce(sum(n.total), 0)::bigint, coalesce(sum(n.temporal), 0)::bigint,
           coalesce(sum(n.governed), 0)::bigint, coalesce(sum(n.expired), 0)::bigint,
           coalesce(sum(n.active), 0)::bigint,
           coalesce(array_agg(n.namespace ORDER BY n.namespace), '{}')
    FROM (
        SELECT f.namespace, count(*) AS total,
               count(*) FILTER (WHERE num_nonnulls(f.valid_from, f.valid_to) > 0) AS temporal,
               count(f.pkg_rule_id) AS governed,
               count(*) FILTER (WHERE f.valid_to <= now()) AS expired,
               count(*) FILTER (WHERE num_nonnulls(f.valid_from, f.valid_to) > 0
                                  AND coalesce(f.valid_from <= now(), true)
                                  AND coalesce(f.valid_to > now(), true)) AS active
        FROM facts AS f
        WHERE p_namespace IS NULL OR f.namespace = p_namespace
        GROUP BY f.namespace) AS n
$$;
COMMENT ON FUNCTION get_fact_statistics(TEXT) IS
    'one row: how many facts there are, say when they hold, belong to a rule, hold no more, hold now; in which namespaces';

-- One sentence with one of three verbs, the first of which counts; anything else is left alone, because
-- a wrong triple is worse than none.
CREATE OR REPLACE FUNCTION fact_text_to_triple(
    p_text TEXT, OUT subject TEXT, OUT predicate TEXT, OUT object_data JSONB, OUT pattern TEXT)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = public, pg_temp AS $$
    SELECT m.parts[1],
           CASE m.verb WHEN 'is' THEN 'hasType' ELSE m.verb END,
           CASE WHEN m.verb = 'is' THEN jsonb_build_object('type', m.parts[3])
                WHEN m.verb IS NOT NULL THEN jsonb_build_object('capabilities', jsonb_build_array(m.parts[3]))
           END,
           CASE m.verb WHEN 'is' THEN 'X is a Y' WHEN 'provides' THEN 'X provides Y'
                       WHEN 'offers' THEN 'X offers Y' END
    FROM (SELECT s.parts, split_part(lower(s.parts[2]), ' ', 1) AS verb
          FROM (SELECT CASE WHEN p_text !~ '[\n\r]|[.!?;]\s+\S' THEN
                    regexp_match(p_text, '^\s*(\S.*?) +(is an?|provides|offers) +(\S.*?)[\s.!]*$', 'i')
                END AS parts) AS s) AS m
$$;
COMMENT ON FUNCTION fact_text_to_triple(TEXT) IS
    'the triple that a sentence of the form X is a Y, X provides Y or X offers Y says; nulls for any other text';

CREATE OR REPLACE FUNCTION facts_preview_triples(
    p_namespace TEXT    DEFAULT 'default',
    p_limit     INTEGER DEFAULT 100
) RETURNS TABLE (id UUID, text TEXT, subject TEXT, predicate TEXT, object_data JSONB, pattern TEXT)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = public, pg_temp AS $$
    SELECT f.id, f.text, t.subject, t.predicate, t.object_data, t.pattern
    FROM facts AS f CROSS JOIN LATERAL fact_text_to_triple(f.text) AS t
    WHERE f.namespace = p_namespace AND f.subject IS NULL AND t.pattern IS NOT NULL
    ORDER BY f.created_at, f.id
    LIMIT p_limit
$$;
COMMENT ON FUNCTION facts_preview_triples(TEXT, INTEGER) IS
    'what facts_apply_triples would make of the texts of a namespace, oldest first; writes nothing';

CREATE OR REPLACE FUNCTION facts_apply_triples(p_ids UUID[], p_actor TEXT) RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_done INTEGER;
BEGIN
    IF btrim(coalesce(p_actor, '')) = '' THEN
        RAISE EXCEPTION 'turning texts into triples needs an actor'
            USING ERRCODE = 'SC422', DETAIL = 'fact.actor_required';
    END IF;
    UPDATE facts AS f
    SET subject = t.subject, predicate = t.predicate,
        object_data = t.object_data || jsonb_build_object('text', f.text, 'tags', to_jsonb(f.tags)),
        meta_data = f.meta_data || jsonb_build_object('triple',
            jsonb_build_object('pattern', t.pattern, 'actor', p_actor, 'at', clock_timestamp())),
        -- A fact that ended before it was written keeps its open beginning.
        valid_from = CASE WHEN f.valid_from IS NULL AND (f.valid_to IS NULL OR f.created_at <= f.valid_to)
                          THEN f.created_at ELSE f.valid_from END
    FROM facts AS o CROSS JOIN LATERAL fact_text_to_triple(o.text) AS t
    WHERE o.id = ANY (p_ids) AND f.id = o.id AND f.text = o.text
      AND f.subject IS NULL AND t.pattern IS NOT NULL;
    GET DIAGNOSTICS v_done = ROW_COUNT;
    RETURN v_done;
END
$$;
COMMENT ON FUNCTION facts_apply_triples(UUID[], TEXT) IS
    'makes triples of those of the facts whose text is one and that are none yet; returns how many';
