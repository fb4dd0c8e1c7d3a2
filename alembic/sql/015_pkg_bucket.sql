-- The parts are kept apart by a character that names don't hold. At least 1,000 subjects fall evenly.
CREATE OR REPLACE FUNCTION pkg_bucket(p_salt TEXT, p_target TEXT, p_region TEXT, p_subject TEXT)
RETURNS INTEGER
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = public, pg_temp AS $$
    SELECT (('x' || left(encode(sha256(convert_to(
        p_salt || E'\x1f' || p_target || E'\x1f' || p_region || E'\x1f' || p_subject, 'UTF8')), 'hex'), 8)
        )::bit(32)::bigint % 10000)::integer
$$;
COMMENT ON FUNCTION pkg_bucket(TEXT, TEXT, TEXT, TEXT) IS
    'bucket 0..9999 of a subject in a lane: the first 4 bytes of sha256 over the parts, joined by U+001F, modulo 10000';
