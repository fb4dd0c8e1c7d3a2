-- Failed tasks back into the queue, by what went wrong.

CREATE OR REPLACE FUNCTION task_error_group(p_error TEXT) RETURNS TEXT
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = public, pg_temp AS $$
    -- Ids before numbers, or numbers would eat them. What comes after a line end is a traceback or a body.
    SELECT left(
        regexp_replace(
            regexp_replace(
                regexp_replace(
                    left(split_part(coalesce(nullif(ltrim(p_error, E' \t\r\n'), ''), 'no error'), E'\n', 1), 1000),
                    '[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}', '<id>', 'g'),
                '\m(0x)?(?=[0-9a-fA-F]*[0-9])[0-9a-fA-F]{8,}\M', '<id>', 'g'),
            '[0-9]+([.,:][0-9]+)*', '<n>', 'g'),
        200)
$$;
COMMENT ON FUNCTION task_error_group(TEXT) IS
    'the first line of an error with ids and numbers folded, so that errors of one kind are equal';

CREATE OR REPLACE FUNCTION tasks_redrive(
    p_ids   UUID[],
    p_extra INTEGER,
    p_start TIMESTAMPTZ,
    p_first INTEGER          DEFAULT 0,
    p_gap_s DOUBLE PRECISION DEFAULT 0
) RETURNS SETOF UUID
LANGUAGE plpgsql
SET search_path = public, pg_temp, seedcore_engine
SET enable_seqscan = off
SET jit = off AS $$
DECLARE
    v_ids UUID[];
BEGIN
    v_ids := ARRAY(
        SELECT u.id
        FROM (SELECT i.id, min(i.n) AS n FROM unnest(p_ids) WITH ORDINALITY AS i (id, n) GROUP BY i.id) AS u
        JOIN tasks_requeue(p_ids, p_extra, extract(epoch FROM greatest(p_start - clock_timestamp(), interval '0'))) AS r
             ON r.id = u.id
        ORDER BY u.n);
    IF p_gap_s > 0 THEN
        UPDATE tasks t
        -- Never in the past: claims look for what has become due from where they were.
        SET run_after = greatest(p_start + (p_first + u.n - 1) * p_gap_s * interval '1 second', clock_timestamp())
        FROM unnest(v_ids) WITH ORDINALITY AS u (id, n)
        WHERE t.id = u.id;
    END IF;
    RETURN QUERY SELECT unnest(v_ids);
END
$$;
COMMENT ON FUNCTION tasks_redrive(UUID[], INTEGER, TIMESTAMPTZ, INTEGER, DOUBLE PRECISION) IS
    'as tasks_requeue, but the tasks become due one after another: from a start on, so many places after it, with a gap; returns what moved, in that order';
