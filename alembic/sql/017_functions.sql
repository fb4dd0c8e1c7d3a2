CREATE OR REPLACE FUNCTION pkg_default_snapshot_id() RETURNS INTEGER
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = public, pg_temp AS $$
    -- The name is compared as text: a setting that names no environment finds none, and raises nothing.
    SELECT s.id FROM pkg_snapshots AS s
    WHERE s.is_active AND s.env::text = seedcore_setting('env', 'prod')
$$;
COMMENT ON FUNCTION pkg_default_snapshot_id() IS
    'the active snapshot of the environment that the setting env names; null when none is active';

CREATE OR REPLACE FUNCTION fill_snapshot_id() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    NEW.snapshot_id := pkg_default_snapshot_id();
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION fill_snapshot_id() IS 'Trigger function: new rows without a snapshot get the active one.';

CREATE OR REPLACE TRIGGER fill_snapshot_id BEFORE INSERT ON graph_node_map
    FOR EACH ROW WHEN (NEW.snapshot_id IS NULL) EXECUTE FUNCTION fill_snapshot_id();
CREATE OR REPLACE TRIGGER fill_snapshot_id BEFORE INSERT ON graph_embeddings_128
    FOR EACH ROW WHEN (NEW.snapshot_id IS NULL) EXECUTE FUNCTION fill_snapshot_id();
CREATE OR REPLACE TRIGGER fill_snapshot_id BEFORE INSERT ON graph_embeddings_1024
    FOR EACH ROW WHEN (NEW.snapshot_id IS NULL) EXECUTE FUNCTION fill_snapshot_id();
CREATE OR REPLACE TRIGGER fill_snapshot_id BEFORE INSERT ON facts
    FOR EACH ROW WHEN (NEW.snapshot_id IS NULL) EXECUTE FUNCTION fill_snapshot_id();

-- On tasks a row trigger would cost every COPY a third of its speed, so a default does it for foreign
-- writers; the engine's own statements look the snapshot up once.
ALTER TABLE tasks ALTER COLUMN snapshot_id SET DEFAULT pkg_default_snapshot_id();

CREATE OR REPLACE FUNCTION pkg_enforce_snapshot_scoping(p_enable BOOLEAN DEFAULT true) RETURNS TEXT
LANGUAGE plpgsql
SET search_path = public, pg_temp, seedcore_engine AS $$
DECLARE
    v_snapshot INTEGER;
    v_filled   BIGINT;
    v_late     BIGINT;
BEGIN
    IF NOT p_enable THEN
        ALTER TABLE tasks ALTER COLUMN snapshot_id DROP NOT NULL;
        RETURN 'tasks may be without a snapshot';
    END IF;
    v_snapshot := pkg_default_snapshot_id();
    IF v_snapshot IS NULL THEN
        RAISE EXCEPTION 'no snapshot of environment % is active', seedcore_setting('env', 'prod')
            USING ERRCODE = 'SC409', DETAIL = 'pkg.no_active_snapshot',
                  HINT = 'promote one first: without it no task could be submitted';
    END IF;
    -- Most rows beside the writers, those that came meanwhile under the lock. A microsecond keeps
    -- updated_at in its order: nothing was done to the task.
    UPDATE tasks SET snapshot_id = v_snapshot, updated_at = updated_at + interval '1 microsecond'
    WHERE snapshot_id IS NULL;
    GET DIAGNOSTICS v_filled = ROW_COUNT;
    LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE;
    UPDATE tasks SET snapshot_id = v_snapshot, updated_at = updated_at + interval '1 microsecond'
    WHERE snapshot_id IS NULL;
    GET DIAGNOSTICS v_late = ROW_COUNT;
    ALTER TABLE tasks ALTER COLUMN snapshot_id SET NOT NULL;
    RETURN format('every task has a snapshot; %s got snapshot %s', v_filled + v_late, v_snapshot);
END
$$;
COMMENT ON FUNCTION pkg_enforce_snapshot_scoping(BOOLEAN) IS
    'demands a snapshot of every task, after giving those without one the active snapshot; false lifts the demand';
