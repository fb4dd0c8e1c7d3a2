-- Rows of older dispatchers that the new rules would refuse, mended a batch at a time, so that nobody
-- waits long for a row. One statement, which commits by itself; on a table of ours it changes nothing.
-- A row is mended as a whole, because each update is held against every check.
DO $$
DECLARE
    v_batch    constant integer := 2000;
    v_ids      uuid[];
    v_after    uuid := '00000000-0000-0000-0000-000000000000';
    v_found    integer[];
    v_priority integer := 0;
    v_ended    integer := 0;
    v_orphans  integer := 0;
    v_limits   integer := 0;
BEGIN
    LOOP
        v_ids := ARRAY(
            SELECT t.id FROM tasks AS t
            WHERE t.id > v_after
              AND (t.priority IS NULL OR t.priority NOT BETWEEN 0 AND 10
                   OR t.max_attempts < 1 OR t.lapses < 0
                   OR (t.status = 'running') <> (t.owner_id IS NOT NULL))
            ORDER BY t.id LIMIT v_batch FOR NO KEY UPDATE);
        EXIT WHEN cardinality(v_ids) = 0;
        v_after := v_ids[cardinality(v_ids)];
        SELECT ARRAY[count(*) FILTER (WHERE t.priority IS NULL OR t.priority NOT BETWEEN 0 AND 10),
                     count(*) FILTER (WHERE t.status <> 'running' AND t.owner_id IS NOT NULL),
                     count(*) FILTER (WHERE t.status = 'running' AND t.owner_id IS NULL),
                     count(*) FILTER (WHERE t.max_attempts < 1 OR t.lapses < 0)]
        INTO v_found FROM tasks AS t WHERE t.id = ANY (v_ids);
        UPDATE tasks AS t
        SET priority = CASE WHEN t.priority IS NULL THEN 5 ELSE least(greatest(t.priority, 0), 10) END,
            max_attempts = CASE WHEN t.max_attempts >= 1 THEN t.max_attempts END,
            lapses = greatest(t.lapses, 0),
            -- A running task without an owner gets one whose lease has run out: the watchdog takes it
            -- back like any other, and counts the lapse. Dispatchers left their name on ended tasks.
            owner_id = CASE WHEN t.status = 'running'
                            THEN coalesce(t.owner_id, nullif(t.locked_by, ''), 'unknown') END,
            lease_expires_at = CASE WHEN t.status = 'running' THEN
                CASE WHEN t.owner_id IS NOT NULL THEN t.lease_expires_at
                     ELSE least(coalesce(t.lease_expires_at, t.last_heartbeat, t.locked_at, t.updated_at),
                                now()) END END,
            locked_by = CASE WHEN t.status = 'running' THEN t.locked_by END,
            locked_at = CASE WHEN t.status = 'running' THEN t.locked_at END,
            last_heartbeat = CASE WHEN t.status = 'running' THEN t.last_heartbeat END
        WHERE t.id = ANY (v_ids);
        v_priority := v_priority + v_found[1];
        v_ended := v_ended + v_found[2];
        v_orphans := v_orphans + v_found[3];
        v_limits := v_limits + v_found[4];
        COMMIT;
    END LOOP;
    IF v_priority > 0 THEN
        RAISE INFO 'tasks: % rows without a priority from 0 to 10 got one', v_priority;
    END IF;
    IF v_ended > 0 THEN
        RAISE INFO 'tasks: % rows that are not running lost the rest of a lease', v_ended;
    END IF;
    IF v_orphans > 0 THEN
        RAISE INFO 'tasks: % running rows without an owner got one whose lease has run out', v_orphans;
    END IF;
    IF v_limits > 0 THEN
        RAISE INFO 'tasks: % rows lost a max_attempts below 1, or lapses below 0', v_limits;
    END IF;
END
$$;
