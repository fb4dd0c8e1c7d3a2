-- Epochs and instances. Whoever registers or rotates holds the epoch's advisory lock to the end of the
-- transaction: a rotation alone, registrations shared. So nobody registers for an epoch that is being
-- left, and a rotation waits instead of failing.

CREATE OR REPLACE FUNCTION set_current_epoch(
    new_epoch      UUID,
    expected_epoch UUID DEFAULT NULL,
    actor          TEXT DEFAULT NULL,
    reason         TEXT DEFAULT NULL
) RETURNS UUID
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_current UUID;
BEGIN
    IF new_epoch IS NULL THEN
        RAISE EXCEPTION 'a rotation needs a new epoch'
            USING ERRCODE = 'SC422', DETAIL = 'registry.bad_epoch';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('seedcore.epoch', 0));
    v_current := (SELECT m.current_epoch FROM cluster_metadata m WHERE m.id = 1);
    IF expected_epoch IS NOT NULL AND v_current IS DISTINCT FROM expected_epoch THEN
        RAISE EXCEPTION 'the epoch is %, not %', coalesce(v_current::text, 'not set'), expected_epoch
            USING ERRCODE = 'SC409', DETAIL = 'registry.epoch_changed',
                  HINT = 'look at it with ''seedcore registry epoch show'', then decide again';
    END IF;
    IF new_epoch IS NOT DISTINCT FROM v_current THEN
        RETURN v_current;
    END IF;
    INSERT INTO cluster_metadata AS m (id, current_epoch, updated_at)
    VALUES (1, new_epoch, clock_timestamp())
    ON CONFLICT (id) DO UPDATE
        SET current_epoch = excluded.current_epoch, updated_at = excluded.updated_at;
    INSERT INTO cluster_epoch_history (epoch, previous_epoch, set_at, actor, reason)
    VALUES (new_epoch, v_current, clock_timestamp(),
            coalesce(set_current_epoch.actor, nullif(current_setting('seedcore.actor', true), ''),
                     current_user::text),
            coalesce(set_current_epoch.reason, nullif(current_setting('seedcore.reason', true), '')));
    RETURN v_current;
END
$$;
COMMENT ON FUNCTION set_current_epoch(UUID, UUID, TEXT, TEXT) IS
    'makes an epoch the current one and writes history; waits for another rotation; refuses when an expected epoch is no longer current; returns the previous epoch';

CREATE OR REPLACE FUNCTION ensure_current_epoch(p_candidate UUID) RETURNS UUID
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_current UUID := (SELECT m.current_epoch FROM cluster_metadata m WHERE m.id = 1);
BEGIN
    IF v_current IS NOT NULL THEN
        RETURN v_current;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('seedcore.epoch', 0));
    v_current := (SELECT m.current_epoch FROM cluster_metadata m WHERE m.id = 1);
    IF v_current IS NULL THEN
        PERFORM set_current_epoch(p_candidate, reason => 'first epoch');
        v_current := p_candidate;
    END IF;
    RETURN v_current;
END
$$;
COMMENT ON FUNCTION ensure_current_epoch(UUID) IS
    'the current epoch; where there is none yet, the candidate becomes it';

CREATE OR REPLACE FUNCTION register_instance(
    p_instance_id   UUID,
    p_logical_id    TEXT,
    p_cluster_epoch UUID    DEFAULT NULL,
    p_actor_name    TEXT    DEFAULT NULL,
    p_serve_route   TEXT    DEFAULT NULL,
    p_node_id       TEXT    DEFAULT NULL,
    p_ip_address    INET    DEFAULT NULL,
    p_pid           INTEGER DEFAULT NULL,
    p_adopt         BOOLEAN DEFAULT false
) RETURNS UUID
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_current UUID;
BEGIN
    IF p_instance_id IS NULL OR coalesce(p_logical_id, '') = '' THEN
        RAISE EXCEPTION 'an instance needs an id and a logical id'
            USING ERRCODE = 'SC422', DETAIL = 'registry.bad_instance';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('seedcore.epoch', 0));
    v_current := (SELECT m.current_epoch FROM cluster_metadata m WHERE m.id = 1);
    IF v_current IS NULL THEN
        RAISE EXCEPTION 'there is no epoch to register for'
            USING ERRCODE = 'SC404', DETAIL = 'registry.no_epoch',
                  HINT = 'seedcore registry epoch init';
    END IF;
    IF p_cluster_epoch <> v_current AND NOT p_adopt THEN
        RAISE EXCEPTION 'epoch % is not current, % is', p_cluster_epoch, v_current
            USING ERRCODE = 'SC409', DETAIL = 'registry.epoch_changed',
                  HINT = 'register for the current epoch, or leave the epoch out';
    END IF;
    INSERT INTO registry_instance AS i (
        instance_id, logical_id, cluster_epoch, actor_name, serve_route, node_id, ip_address, pid,
        started_at, last_heartbeat)
    VALUES (
        p_instance_id, p_logical_id, v_current, p_actor_name, p_serve_route, p_node_id, p_ip_address,
        p_pid, clock_timestamp(), clock_timestamp())
    ON CONFLICT (instance_id) DO UPDATE
        SET logical_id = excluded.logical_id, cluster_epoch = excluded.cluster_epoch,
            status = 'starting', stopped_at = NULL, last_heartbeat = excluded.last_heartbeat,
            actor_name = excluded.actor_name, serve_route = excluded.serve_route,
            node_id = excluded.node_id, ip_address = excluded.ip_address, pid = excluded.pid;
    RETURN v_current;
END
$$;
COMMENT ON FUNCTION register_instance(UUID, TEXT, UUID, TEXT, TEXT, TEXT, INET, INTEGER, BOOLEAN) IS
    'stores an instance as starting, or revives its row; returns the current epoch, for which it now stands; refuses another epoch unless told to adopt the current one instead';

CREATE OR REPLACE FUNCTION set_instance_status(p_instance_id UUID, p_status instancestatus)
RETURNS BOOLEAN
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_before instancestatus;
BEGIN
    IF p_status IS NULL THEN
        RAISE EXCEPTION 'an instance needs a status'
            USING ERRCODE = 'SC422', DETAIL = 'registry.bad_status';
    END IF;
    SELECT i.status INTO v_before FROM registry_instance i
    WHERE i.instance_id = p_instance_id
    FOR NO KEY UPDATE;
    IF v_before IS NULL OR v_before = 'dead' THEN
        RETURN false;
    END IF;
    IF p_status = v_before THEN
        RETURN true;
    END IF;
    -- The labels are in the order of a life, and a life has no way back.
    IF p_status < v_before THEN
        RAISE EXCEPTION 'instance % is %, which can''t become %', p_instance_id, v_before, p_status
            USING ERRCODE = 'SC409', DETAIL = 'registry.bad_transition',
                  HINT = 'only registering again brings an instance back to starting';
    END IF;
    UPDATE registry_instance i
    SET status = p_status,
        stopped_at = CASE WHEN p_status = 'dead' THEN clock_timestamp() END
    WHERE i.instance_id = p_instance_id;
    RETURN true;
END
$$;
COMMENT ON FUNCTION set_instance_status(UUID, instancestatus) IS
    'moves an instance on: starting, alive, draining, dead, in this order; false when it is unknown or dead and must register again';

CREATE OR REPLACE FUNCTION beat(p_instance_id UUID)
RETURNS TABLE (status instancestatus, epoch_current BOOLEAN)
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    UPDATE registry_instance i
    SET last_heartbeat = clock_timestamp()
    WHERE i.instance_id = p_instance_id AND i.status <> 'dead'
    RETURNING i.status,
              EXISTS (SELECT FROM cluster_metadata m WHERE m.id = 1 AND m.current_epoch = i.cluster_epoch);
    IF NOT FOUND THEN
        RETURN QUERY
        SELECT i.status,
               EXISTS (SELECT FROM cluster_metadata m WHERE m.id = 1 AND m.current_epoch = i.cluster_epoch)
        FROM registry_instance i
        WHERE i.instance_id = p_instance_id;
    END IF;
END
$$;
COMMENT ON FUNCTION beat(UUID) IS
    'a sign of life: its status and whether its epoch is current; a dead instance stays dead, an unknown one gets no row; both must register again';

CREATE OR REPLACE FUNCTION expire_stale_instances(p_timeout_seconds DOUBLE PRECISION DEFAULT NULL)
RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_timeout DOUBLE PRECISION :=
        coalesce(p_timeout_seconds, seedcore_setting('instance_window_s', '15')::double precision);
    v_expired INTEGER;
BEGIN
    IF NOT (v_timeout > 0 AND v_timeout < 'Infinity') THEN
        RAISE EXCEPTION 'an instance can''t be stale after % s', v_timeout
            USING ERRCODE = 'SC422', DETAIL = 'registry.bad_timeout';
    END IF;
    -- Whoever is beating right now is not stale, so rows that are locked are passed by.
    WITH stale AS (
        SELECT i.instance_id FROM registry_instance i
        WHERE i.status <> 'dead'
          AND i.last_heartbeat < clock_timestamp() - make_interval(secs => v_timeout)
        FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE registry_instance i
    SET status = 'dead', stopped_at = clock_timestamp()
    FROM stale s
    WHERE i.instance_id = s.instance_id;
    GET DIAGNOSTICS v_expired = ROW_COUNT;
    RETURN v_expired;
END
$$;
COMMENT ON FUNCTION expire_stale_instances(DOUBLE PRECISION) IS
    'declares instances dead that have been silent for so many seconds, by default the setting instance_window_s; returns how many';

CREATE OR REPLACE FUNCTION expire_old_epoch_instances() RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_expired INTEGER;
BEGIN
    -- Waits where the other one passes by: a beat does not save an instance of an epoch that is over.
    WITH old AS (
        SELECT i.instance_id FROM registry_instance i
        JOIN cluster_metadata m ON m.id = 1 AND i.cluster_epoch <> m.current_epoch
        WHERE i.status <> 'dead'
        ORDER BY i.instance_id
        FOR NO KEY UPDATE OF i
    )
    UPDATE registry_instance i
    SET status = 'dead', stopped_at = clock_timestamp()
    FROM old o
    WHERE i.instance_id = o.instance_id;
    GET DIAGNOSTICS v_expired = ROW_COUNT;
    RETURN v_expired;
END
$$;
COMMENT ON FUNCTION expire_old_epoch_instances() IS
    'declares instances dead that registered for an epoch that is not current; returns how many';

CREATE OR REPLACE FUNCTION purge_dead_instances(p_older_than INTERVAL DEFAULT '7 days') RETURNS INTEGER
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_purged INTEGER;
BEGIN
    IF p_older_than IS NULL OR p_older_than < interval '0' THEN
        RAISE EXCEPTION 'instances can''t be dead for %', coalesce(p_older_than::text, 'null')
            USING ERRCODE = 'SC422', DETAIL = 'registry.bad_age';
    END IF;
    DELETE FROM registry_instance i
    WHERE i.status = 'dead'
      AND coalesce(i.stopped_at, i.last_heartbeat) < clock_timestamp() - p_older_than;
    GET DIAGNOSTICS v_purged = ROW_COUNT;
    RETURN v_purged;
END
$$;
COMMENT ON FUNCTION purge_dead_instances(INTERVAL) IS
    'deletes instances that have been dead for longer than that; returns how many';

-- Uses the node map of 008.
CREATE OR REPLACE FUNCTION ensure_instance_node(p_instance_id UUID) RETURNS BIGINT
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    -- Held, so that no purge comes between the look and the node.
    PERFORM FROM registry_instance i WHERE i.instance_id = p_instance_id FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no instance %', p_instance_id
            USING ERRCODE = 'foreign_key_violation', DETAIL = 'registry.instance_not_found';
    END IF;
    RETURN ensure_node('instance', 'registry_instance', p_instance_id, NULL);
END
$$;
COMMENT ON FUNCTION ensure_instance_node(UUID) IS 'the graph node of an instance, made if it has none';
