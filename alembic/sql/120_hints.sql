-- What params.routing.hints says about columns. A hint that can't be read is ignored here; the linter
-- is what reports it.

CREATE OR REPLACE FUNCTION task_hint_priority(p_params JSONB) RETURNS SMALLINT
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_typeof(p_params #> '{routing,hints,priority}') = 'number'
                 AND (p_params #>> '{routing,hints,priority}')::numeric % 1 = 0
                THEN least(greatest((p_params #>> '{routing,hints,priority}')::numeric, 0), 10)::smallint
           END
$$;
COMMENT ON FUNCTION task_hint_priority(JSONB) IS 'routing.hints.priority, moved into 0..10; null when absent or not a whole number';

CREATE OR REPLACE FUNCTION task_read_time(p_text TEXT) RETURNS TIMESTAMPTZ
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = public, pg_temp AS $$
BEGIN
    -- 'now', 'tomorrow' and the like are times to PostgreSQL, but not in a document; without an offset
    -- a time means something else to each reader.
    IF p_text !~ '^\d{4}-\d\d-\d\d[T ].*(Z|[+-]\d\d(:?\d\d)?)$' THEN
        RETURN NULL;
    END IF;
    RETURN p_text::timestamptz;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION task_read_time(TEXT) IS 'the ISO 8601 time with an offset in a text, or null when there is none';

CREATE OR REPLACE FUNCTION task_hint_deadline(p_params JSONB) RETURNS TIMESTAMPTZ
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_typeof(p_params #> '{routing,hints,deadline_at}') = 'string'
                THEN task_read_time(p_params #>> '{routing,hints,deadline_at}')
           END
$$;
COMMENT ON FUNCTION task_hint_deadline(JSONB) IS 'routing.hints.deadline_at; null when absent or not a time';

CREATE OR REPLACE FUNCTION task_hint_ttl(p_params JSONB) RETURNS INTERVAL
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_typeof(p_params #> '{routing,hints,ttl_seconds}') = 'number'
                 -- A hundred years: a larger number would leave the calendar.
                 AND (p_params #>> '{routing,hints,ttl_seconds}')::numeric > 0
                 AND (p_params #>> '{routing,hints,ttl_seconds}')::numeric <= 3162240000
                THEN (p_params #>> '{routing,hints,ttl_seconds}')::float8 * interval '1 second'
           END
$$;
COMMENT ON FUNCTION task_hint_ttl(JSONB) IS 'routing.hints.ttl_seconds; null when absent or not a number of seconds within a century';
