-- What running tasks say about themselves. A table of its own, because it is written again and again
-- while a task runs: as columns of tasks each report would write all of that table's indexes anew.
-- Half of each page is free and nothing but the key is indexed, so a report stays on its page (HOT).

CREATE TABLE IF NOT EXISTS task_progress (
    task_id    UUID PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE,
    attempt    INTEGER     NOT NULL,
    call_index INTEGER     NOT NULL DEFAULT 0,
    done       DOUBLE PRECISION,
    total      DOUBLE PRECISION,
    message    TEXT,
    checkpoint JSONB,
    at         TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT ck_task_progress_attempt CHECK (attempt >= 1),
    CONSTRAINT ck_task_progress_call_index CHECK (call_index >= 0),
    CONSTRAINT ck_task_progress_done CHECK (done >= 0 AND done < 'Infinity'),
    CONSTRAINT ck_task_progress_total CHECK (total >= 0 AND total < 'Infinity')
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE task_progress IS 'what the latest attempt that reported said of itself: how far it is, and where a next attempt may go on';
COMMENT ON COLUMN task_progress.call_index IS 'which of the task''s tool calls it was; a checkpoint is of use to the same call only';
COMMENT ON COLUMN task_progress.done IS 'how much is done, in units of the tool''s choice';
COMMENT ON COLUMN task_progress.total IS 'how much there is to do, in the same units; null = not known';
COMMENT ON COLUMN task_progress.checkpoint IS 'what the tool stored to go on from';

-- The rows of tasks are locked until commit, so that an attempt that has lost its lease can't write
-- once the next one could have been claimed. What is only progress may still come in when the attempt
-- has completed: it was the last word of the attempt that counts.
CREATE OR REPLACE FUNCTION task_progress_write(
    p_owner       TEXT,
    p_ids         UUID[],
    p_attempts    INTEGER[],
    p_calls       INTEGER[],
    p_done        DOUBLE PRECISION[],
    p_totals      DOUBLE PRECISION[],
    p_messages    TEXT[],
    p_checkpoints JSONB[],
    p_keep        BOOLEAN[]
) RETURNS SETOF UUID
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_nth INTEGER[];
BEGIN
    v_nth := ARRAY(
        SELECT u.nth::int
        FROM unnest(p_ids, p_attempts, p_keep) WITH ORDINALITY AS u (id, attempt, keep, nth)
        JOIN tasks t ON t.id = u.id
        WHERE t.attempts = u.attempt
          AND (t.owner_id = p_owner OR u.keep AND t.status = 'completed')
        ORDER BY t.id
        FOR SHARE OF t);
    INSERT INTO task_progress AS p (task_id, attempt, call_index, done, total, message)
    SELECT p_ids[n], p_attempts[n], p_calls[n], p_done[n], p_totals[n], p_messages[n]
    FROM unnest(v_nth) AS n WHERE p_keep[n]
    ON CONFLICT (task_id) DO UPDATE
    SET attempt = excluded.attempt, call_index = excluded.call_index, done = excluded.done,
        total = excluded.total, message = excluded.message, at = clock_timestamp(),
        checkpoint = CASE WHEN p.call_index = excluded.call_index THEN p.checkpoint END;
    INSERT INTO task_progress AS p (task_id, attempt, call_index, done, total, message, checkpoint)
    SELECT p_ids[n], p_attempts[n], p_calls[n], p_done[n], p_totals[n], p_messages[n], p_checkpoints[n]
    FROM unnest(v_nth) AS n WHERE NOT p_keep[n]
    ON CONFLICT (task_id) DO UPDATE
    SET attempt = excluded.attempt, call_index = excluded.call_index, at = clock_timestamp(),
        checkpoint = excluded.checkpoint,
        done = coalesce(excluded.done, CASE WHEN p.attempt = excluded.attempt
                                             AND p.call_index = excluded.call_index THEN p.done END),
        total = CASE WHEN excluded.done IS NULL AND p.attempt = excluded.attempt
                      AND p.call_index = excluded.call_index THEN p.total ELSE excluded.total END,
        message = CASE WHEN excluded.done IS NULL AND p.attempt = excluded.attempt
                        AND p.call_index = excluded.call_index THEN p.message ELSE excluded.message END;
    RETURN QUERY SELECT p_ids[n] FROM unnest(v_nth) AS n;
END
$$;
COMMENT ON FUNCTION task_progress_write(TEXT, UUID[], INTEGER[], INTEGER[], DOUBLE PRECISION[], DOUBLE PRECISION[], TEXT[], JSONB[], BOOLEAN[]) IS
    'stores what attempts report, and checkpoints where keep is false; fenced by owner and attempt; returns the ids that were still this owner''s';
