-- epoch --
-- The current epoch, and who lives in it; no row before the first one.
SELECT m.current_epoch AS epoch, m.updated_at AS since,
       count(*) FILTER (WHERE i.status = 'alive' AND i.cluster_epoch = m.current_epoch) AS alive,
       count(*) FILTER (WHERE i.status = 'starting' AND i.cluster_epoch = m.current_epoch) AS starting,
       count(*) FILTER (WHERE i.status = 'draining' AND i.cluster_epoch = m.current_epoch) AS draining,
       count(*) FILTER (WHERE i.cluster_epoch <> m.current_epoch) AS of_old_epochs
  FROM cluster_metadata AS m
  LEFT JOIN registry_instance AS i ON i.status <> 'dead'
 WHERE m.id = 1
 GROUP BY m.current_epoch, m.updated_at

-- current_epoch --
SELECT current_epoch AS epoch FROM cluster_metadata WHERE id = 1

-- lock_epoch --
-- Rotations follow each other; whoever registers waits for them.
SELECT pg_advisory_xact_lock(hashtextextended('seedcore.epoch', 0))

-- ensure_epoch --
SELECT ensure_current_epoch(%(candidate)s::uuid) AS epoch

-- rotate_epoch --
SELECT set_current_epoch(%(new)s::uuid, %(expected)s::uuid, %(actor)s, %(reason)s) AS previous

-- announce_epoch --
-- In the rotation's own transaction; the event speaks of no task.
SELECT outbox_enqueue('00000000-0000-0000-0000-000000000000', 'registry.epoch_rotated',
                      %(payload)s::jsonb, 'registry.epoch_rotated:' || %(epoch)s) AS id

-- expire_old_epochs --
SELECT expire_old_epoch_instances() AS expired

-- epoch_history --
SELECT epoch, previous_epoch, set_at, actor, reason
  FROM cluster_epoch_history
 ORDER BY id DESC
 LIMIT %(limit)s

-- drain_epoch --
-- Everybody of the current epoch is asked to finish; instances end by themselves.
UPDATE registry_instance AS i
   SET status = 'draining'
  FROM cluster_metadata AS m
 WHERE m.id = 1 AND i.cluster_epoch = m.current_epoch AND i.status IN ('starting', 'alive')
RETURNING i.instance_id

-- register --
SELECT register_instance(%(instance_id)s::uuid, %(logical_id)s, %(epoch)s::uuid, %(actor_name)s,
                         %(serve_route)s, %(node_id)s, %(ip_address)s::inet, %(pid)s::int,
                         %(adopt)s::boolean) AS epoch

-- beat --
-- A beat that a crash of the server forgets is made up for by the next one, so its commit need not
-- wait for the disk. The setting ends with the statement's transaction, also behind a pooler.
SELECT b.status::text AS status, b.epoch_current
  FROM (SELECT set_config('synchronous_commit', 'off', true)) AS quick,
       beat(%(instance_id)s::uuid) AS b

-- set_status --
SELECT set_instance_status(%(instance_id)s::uuid, %(status)s::instancestatus) AS accepted

-- lock_instance --
SELECT status::text AS status
  FROM registry_instance
 WHERE instance_id = %(instance_id)s
   FOR NO KEY UPDATE

-- find_instances --
-- Instances whose ids begin with some digits.
SELECT instance_id
  FROM registry_instance
 WHERE instance_id BETWEEN %(low)s AND %(high)s
 ORDER BY instance_id
 LIMIT 11

-- instances --
-- The owner of a lease names its instance: <logical id>@<first 8 digits of its id>.
SELECT i.instance_id, i.logical_id, i.status::text AS status, i.cluster_epoch AS epoch,
       coalesce(i.cluster_epoch = m.current_epoch, false) AS epoch_current,
       extract(epoch FROM clock_timestamp() - i.last_heartbeat)::float8 AS heartbeat_age_s,
       i.actor_name, i.serve_route, i.node_id, host(i.ip_address) AS ip_address, i.pid,
       i.started_at, i.stopped_at, i.last_heartbeat
  FROM registry_instance AS i
  LEFT JOIN cluster_metadata AS m ON m.id = 1
 WHERE (%(ids)s::uuid[] IS NULL OR i.instance_id = ANY (%(ids)s::uuid[]))
   AND (%(statuses)s::text[] IS NULL OR i.status = ANY (%(statuses)s::text[]::instancestatus[]))
   AND (%(logical_id)s::text IS NULL OR i.logical_id = %(logical_id)s::text)
   AND (%(node_id)s::text IS NULL OR i.node_id = %(node_id)s::text)
   AND (%(all_epochs)s OR i.cluster_epoch = m.current_epoch)
   AND (%(stale_s)s::float8 IS NULL
        OR i.last_heartbeat < clock_timestamp() - make_interval(secs => %(stale_s)s::float8))
 ORDER BY i.logical_id, i.started_at, i.instance_id

-- leases --
-- How many running tasks each of these instances holds.
SELECT i.instance_id, count(t.id) AS leases
  FROM registry_instance AS i
  LEFT JOIN tasks AS t
    ON t.status = 'running'
   AND t.owner_id = i.logical_id || '@' || left(replace(i.instance_id::text, '-', ''), 8)
 WHERE i.instance_id = ANY (%(ids)s::uuid[])
 GROUP BY i.instance_id

-- active --
-- The best active instance of each logical id, or of one.
SELECT a.instance_id, a.logical_id, a.cluster_epoch AS epoch, a.status::text AS status, a.actor_name,
       a.serve_route, a.node_id, host(a.ip_address) AS ip_address, a.pid, a.started_at,
       a.last_heartbeat
  FROM active_instance AS a
 WHERE %(logical_id)s::text IS NULL OR a.logical_id = %(logical_id)s::text

-- drain --
UPDATE registry_instance
   SET status = 'draining'
 WHERE instance_id = ANY (%(ids)s::uuid[]) AND status IN ('starting', 'alive')
RETURNING instance_id

-- bury_drained --
-- Who was asked to drain, holds nothing and says nothing more, has gone without a word.
UPDATE registry_instance AS i
   SET status = 'dead', stopped_at = clock_timestamp()
 WHERE i.instance_id = ANY (%(ids)s::uuid[]) AND i.status = 'draining'
   AND i.last_heartbeat < clock_timestamp()
       - make_interval(secs => seedcore_setting('instance_window_s', '15')::float8)
   AND NOT EXISTS (
       SELECT FROM tasks AS t
        WHERE t.status = 'running'
          AND t.owner_id = i.logical_id || '@' || left(replace(i.instance_id::text, '-', ''), 8))
RETURNING i.instance_id

-- lead --
-- One reaper of a database leads; the lock ends with its session.
SELECT pg_try_advisory_lock(hashtextextended('seedcore.registry_reaper', 0)) AS leads

-- judge --
-- Who would be expired, out of how many; nothing is locked, nothing changes.
SELECT i.instance_id, i.logical_id, i.status::text AS status, i.node_id,
       i.cluster_epoch IS DISTINCT FROM m.current_epoch AS old_epoch,
       extract(epoch FROM clock_timestamp() - i.last_heartbeat)::float8 AS heartbeat_age_s,
       i.last_heartbeat < clock_timestamp() - make_interval(secs => %(stale_s)s::float8) AS silent
  FROM registry_instance AS i
  LEFT JOIN cluster_metadata AS m ON m.id = 1
 WHERE i.status <> 'dead'
 ORDER BY i.last_heartbeat

-- expire --
-- Of those judged, the ones that are still silent, or still of an old epoch. Whoever beats right now
-- is not silent, so locked rows are passed by.
WITH doomed AS (
    SELECT i.instance_id
      FROM registry_instance AS i
      LEFT JOIN cluster_metadata AS m ON m.id = 1
     WHERE i.instance_id = ANY (%(ids)s::uuid[])
       AND i.status <> 'dead'
       AND (i.last_heartbeat < clock_timestamp() - make_interval(secs => %(stale_s)s::float8)
            OR (%(old_epochs)s AND i.cluster_epoch IS DISTINCT FROM m.current_epoch))
       FOR NO KEY UPDATE OF i SKIP LOCKED
)
UPDATE registry_instance AS i
   SET status = 'dead', stopped_at = clock_timestamp()
  FROM doomed AS d
 WHERE i.instance_id = d.instance_id
RETURNING i.instance_id

-- purge --
SELECT purge_dead_instances(make_interval(secs => %(older_s)s::float8)) AS purged
