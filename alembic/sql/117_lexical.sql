-- Words to look for. A question is an OR of its stems: the AND that websearch_to_tsquery makes of it finds
-- nothing in which a single one is missing.
CREATE OR REPLACE FUNCTION lexemes_query(p_text TEXT) RETURNS tsquery
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = public, pg_temp AS $$
    SELECT string_agg('''' || replace(replace(w.lexeme, '\', '\\'), '''', '''''') || '''', ' | ')::tsquery
    FROM unnest(to_tsvector('english', p_text)) AS w
$$;
COMMENT ON FUNCTION lexemes_query(TEXT) IS
    'any of the stems of a text, as a query; null for a text of stop words alone';
