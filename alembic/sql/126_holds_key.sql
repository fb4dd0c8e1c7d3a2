-- How long a key stays taken is up to the task that has it.

-- Written into the index that keeps keys apart, so a function that can be inlined: no SET clauses. Each set
-- is one that no move of a task enters from outside, but an operator's retry: else the end of an attempt
-- could break the index.
CREATE OR REPLACE FUNCTION task_holds_key(p_status taskstatus, p_unique_while TEXT) RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE p_unique_while
               WHEN 'waiting' THEN p_status IN ('created', 'queued')
               WHEN 'unfinished' THEN p_status NOT IN ('completed', 'failed', 'cancelled')
               WHEN 'ever' THEN true
               ELSE p_status NOT IN ('failed', 'cancelled')
           END
$$;
COMMENT ON FUNCTION task_holds_key(taskstatus, TEXT) IS
    'whether a task in this status keeps its idempotency key taken; without a word: until it failed or was cancelled';
