-- What of a task is embedded. Views, functions and the program ask these; nothing says it a second time.
-- Declared immutable though concat_ws and convert_to aren't: over texts, in UTF8, they are.

CREATE OR REPLACE FUNCTION task_content_text(p_description TEXT, p_type TEXT, p_params JSONB) RETURNS TEXT
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = public, pg_temp AS $$
    SELECT left(concat_ws(E'\n',
        nullif(nullif(btrim(p_description, E' \t\n\r\f\v'), ''), '{}'),
        nullif(nullif(btrim(p_type, E' \t\n\r\f\v'), ''), '{}'),
        nullif(CASE WHEN jsonb_typeof(p_params) = 'object' THEN p_params - '_router' ELSE p_params END::text,
               '{}')), 16000)
$$;
COMMENT ON FUNCTION task_content_text(TEXT, TEXT, JSONB) IS
    'the text of a task that is embedded: description, type, params without _router; at most 16,000 characters';

CREATE OR REPLACE FUNCTION task_content_sha256(p_description TEXT, p_type TEXT, p_params JSONB) RETURNS TEXT
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = public, pg_temp AS $$
    SELECT encode(sha256(convert_to(task_content_text(p_description, p_type, p_params), 'UTF8')), 'hex')
$$;
COMMENT ON FUNCTION task_content_sha256(TEXT, TEXT, JSONB) IS
    'SHA-256 of task_content_text over its UTF-8 bytes, in lower-case hexadecimal digits';

CREATE OR REPLACE FUNCTION task_multimodal_text(p_params JSONB) RETURNS TEXT
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = public, pg_temp AS $$
    SELECT left(coalesce(
        nullif(btrim(p_params #>> '{multimodal,scene_description}', E' \t\n\r\f\v'), ''),
        nullif(btrim(p_params #>> '{multimodal,transcription}', E' \t\n\r\f\v'), '')), 16000)
$$;
COMMENT ON FUNCTION task_multimodal_text(JSONB) IS
    'what the multimodal envelope says in words: the scene, else what was said; null without either';

CREATE OR REPLACE FUNCTION embedding_content(p_space TEXT, p_description TEXT, p_type TEXT, p_params JSONB)
RETURNS TEXT
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = public, pg_temp AS $$
    SELECT CASE WHEN p_space = 'multimodal' THEN coalesce(task_multimodal_text(p_params), '')
                ELSE task_content_text(p_description, p_type, p_params) END
$$;
COMMENT ON FUNCTION embedding_content(TEXT, TEXT, TEXT, JSONB) IS
    'the text of a task that is embedded in a space: of its multimodal envelope, or its own; empty when there is none';

CREATE OR REPLACE FUNCTION embedding_content_sha256(p_space TEXT, p_description TEXT, p_type TEXT, p_params JSONB)
RETURNS TEXT
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = public, pg_temp AS $$
    SELECT encode(sha256(convert_to(embedding_content(p_space, p_description, p_type, p_params), 'UTF8')), 'hex')
$$;
COMMENT ON FUNCTION embedding_content_sha256(TEXT, TEXT, TEXT, JSONB) IS
    'SHA-256 of embedding_content; in the spaces 128 and 1024 that of task_content_sha256';
