-- Statements of `seedcore doctor`. Each runs as a plain owner of the database; what such a role may not
-- see comes back as null, and the check says so.

-- role --
-- Who asks, and whether it may see what sessions of other roles do.
SELECT current_user::text AS role, current_database()::text AS database,
       pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all

-- transactions --
-- Sessions of this database whose snapshot or transaction id keeps dead rows, longest first. Those of
-- other databases keep none of ours, and VACUUM's own does not count.
SELECT a.pid, a.usename::text AS role, a.application_name, a.state, host(a.client_addr) AS client,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds,
       greatest(age(a.backend_xmin), age(a.backend_xid)) AS age_xids,
       left(a.query, 200) AS query,
       a.query = '<insufficient privilege>' AS hidden
  FROM pg_stat_activity a
 WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
   AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)
   AND a.backend_type IS DISTINCT FROM 'walsender'
   AND a.backend_type IS DISTINCT FROM 'autovacuum worker'
   AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid = a.pid)
 ORDER BY a.xact_start NULLS LAST, age_xids DESC

-- prepared --
-- Transactions that were prepared and then forgotten outlive their session, and a restart.
SELECT p.gid, p.owner::text AS role, age(p.transaction) AS age_xids,
       extract(epoch FROM clock_timestamp() - p.prepared)::float8 AS seconds
  FROM pg_prepared_xacts p
 WHERE p.database = current_database()
 ORDER BY p.prepared

-- slots --
-- Replication slots keep rows (xmin, by hot_standby_feedback) and WAL, also when nobody reads them.
-- Since when one is inactive is known from PostgreSQL 17 on.
SELECT s.slot_name::text AS slot, s.slot_type AS kind, s.active, s.active_pid AS pid,
       age(s.xmin) AS age_xids, s.wal_status,
       extract(epoch FROM clock_timestamp()
               - (to_jsonb(s) ->> 'inactive_since')::timestamptz)::float8 AS inactive_s,
       CASE WHEN NOT pg_is_in_recovery()
            THEN pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::int8 END AS wal_bytes
  FROM pg_replication_slots s
 ORDER BY age(s.xmin) DESC NULLS LAST, 1

-- standbys --
-- Standbys without a slot hold the horizon through their connection.
SELECT r.pid, r.application_name, host(r.client_addr) AS client, age(r.backend_xmin) AS age_xids
  FROM pg_stat_replication r
 WHERE r.backend_xmin IS NOT NULL
 ORDER BY age(r.backend_xmin) DESC

-- tables --
-- The tables that a queue churns, partitions summed, with what their own statistics say.
SELECT w.name, count(*) AS partitions, sum(s.n_live_tup)::int8 AS live, sum(s.n_dead_tup)::int8 AS dead,
       sum(greatest(c.reltuples, 0))::int8 AS estimated,
       sum(pg_relation_size(c.oid))::int8 AS heap_bytes, sum(pg_indexes_size(c.oid))::int8 AS index_bytes
  FROM unnest(ARRAY['tasks', 'task_events']) AS w (name)
  JOIN pg_class c ON c.relkind = 'r'
   AND (c.oid = to_regclass('public.' || w.name)
        OR c.oid IN (SELECT i.inhrelid FROM pg_inherits i
                      WHERE i.inhparent = to_regclass('public.' || w.name)))
  JOIN pg_stat_user_tables s ON s.relid = c.oid
 GROUP BY w.name
 ORDER BY w.name DESC

-- index_sizes --
-- Indexes of the queue's tables: bytes, and entries as counted by the last VACUUM (-1: never).
SELECT x.relname::text AS name, c.relname::text AS "table", m.amname::text AS method,
       pg_relation_size(x.oid) AS bytes, x.reltuples::int8 AS entries
  FROM pg_index i
  JOIN pg_class x ON x.oid = i.indexrelid
  JOIN pg_class c ON c.oid = i.indrelid
  JOIN pg_am m ON m.oid = x.relam
 WHERE x.relkind = 'i' AND i.indisvalid
   AND (c.oid = to_regclass('public.tasks')
        OR c.oid IN (SELECT h.inhrelid FROM pg_inherits h
                      WHERE h.inhparent = to_regclass('public.task_events')))
 ORDER BY pg_relation_size(x.oid) DESC

-- missing_indexes --
-- Of these indexes, those that are not there though their table is, and that nobody builds at the moment.
SELECT w.name, w.table
  FROM unnest(%(names)s::text[], %(tables)s::text[]) AS w (name, "table")
 WHERE to_regclass('public.' || w.table) IS NOT NULL AND to_regclass('public.' || w.name) IS NULL
   AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index AS p
                    WHERE p.relid = to_regclass('public.' || w.table))
 ORDER BY w.name

-- invalid_indexes --
-- Left behind by a build that failed: written to by every statement, read by none. While one is being
-- built whose name this role may not see, nothing can be said.
SELECT x.relname::text AS name, c.relname::text AS "table", pg_relation_size(x.oid) AS bytes,
       i.indisunique AS is_unique,
       x.relname ~ '_cc(new|old)[0-9]*$' AS is_transient,
       EXISTS (SELECT FROM pg_stat_progress_create_index p
                WHERE p.datname = current_database()
                  AND (p.index_relid IS NULL OR p.index_relid = x.oid OR p.relid = c.oid)) AS in_progress
  FROM pg_index i
  JOIN pg_class x ON x.oid = i.indexrelid
  JOIN pg_class c ON c.oid = i.indrelid
 WHERE NOT i.indisvalid AND x.relkind = 'i' AND c.relnamespace = 'public'::regnamespace
 ORDER BY 2, 1

-- vacuum_lag --
-- How far autovacuum is behind its own threshold, by table.
WITH option AS (
    SELECT c.oid, o.option_name AS name, o.option_value AS value
      FROM pg_class c CROSS JOIN LATERAL pg_options_to_table(c.reloptions) AS o
), setting AS (
    SELECT s.relid, s.relname::text AS name, s.n_dead_tup AS dead, c.reltuples,
           coalesce((SELECT value::bool FROM option o WHERE o.oid = c.oid AND o.name = 'autovacuum_enabled'),
                    true) AS enabled,
           coalesce((SELECT value::float8 FROM option o
                      WHERE o.oid = c.oid AND o.name = 'autovacuum_vacuum_threshold'),
                    current_setting('autovacuum_vacuum_threshold')::float8) AS threshold,
           coalesce((SELECT value::float8 FROM option o
                      WHERE o.oid = c.oid AND o.name = 'autovacuum_vacuum_scale_factor'),
                    current_setting('autovacuum_vacuum_scale_factor')::float8) AS scale,
           s.last_autovacuum, s.last_vacuum, s.autovacuum_count,
           age(c.relfrozenxid) AS age_xids,
           EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.relid = s.relid) AS being_vacuumed
      FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
     WHERE s.relid = to_regclass('public.tasks')
        OR s.relid IN (SELECT i.inhrelid FROM pg_inherits i
                        WHERE i.inhparent = to_regclass('public.task_events'))
        OR s.relid = to_regclass('public.queue_waiters')
)
SELECT t.*, (t.threshold + t.scale * greatest(t.reltuples, 0))::float8 AS due_at
  FROM setting t
 ORDER BY t.dead / (t.threshold + t.scale * greatest(t.reltuples, 0) + 1) DESC

-- vacuum_settings --
-- What switches autovacuum off for the whole server, and how near the transaction counter is to its end.
SELECT current_setting('autovacuum')::bool AS autovacuum, current_setting('track_counts')::bool AS track_counts,
       age(d.datfrozenxid) AS age_xids,
       (SELECT count(*) FROM pg_stat_activity a WHERE a.backend_type = 'autovacuum worker') AS workers,
       current_setting('autovacuum_max_workers')::int AS most_workers
  FROM pg_database d WHERE d.datname = current_database()

-- notifications --
-- The share of the notification queue in use: it empties only behind the slowest listener.
SELECT pg_notification_queue_usage() AS usage

-- settings --
-- Settings of the server that a queue depends on, as this session has them.
SELECT name, setting, source FROM pg_settings
 WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'default_transaction_read_only',
                'zero_damaged_pages', 'ignore_checksum_failure', 'wal_compression', 'data_checksums')

-- recovery --
-- Whether this is a standby, which takes no writes.
SELECT pg_is_in_recovery() AS is_standby

-- connections --
-- How many sessions there are, and how many an ordinary role may open.
SELECT (SELECT count(*) FROM pg_stat_activity a
         WHERE a.backend_type = 'client backend' OR a.datname IS NOT NULL) AS used,
       (SELECT count(*) FROM pg_stat_activity a WHERE a.datname = current_database()) AS here,
       current_setting('max_connections')::int AS most,
       current_setting('superuser_reserved_connections')::int
           + coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved,
       d.datconnlimit AS database_limit,
       r.rolconnlimit AS role_limit,
       (SELECT count(*) FROM pg_stat_activity a WHERE a.usename = current_user) AS of_role
  FROM pg_database d CROSS JOIN pg_roles r
 WHERE d.datname = current_database() AND r.rolname = current_user

-- clock --
-- The database's time, which is the queue's.
SELECT clock_timestamp() AS at

-- vector --
-- The vector extension: installed, and at hand on the server.
SELECT e.extversion AS installed, a.default_version AS available
  FROM (SELECT 1) AS one
  LEFT JOIN pg_extension e ON e.extname = 'vector'
  LEFT JOIN pg_available_extensions a ON a.name = 'vector'

-- stale --
-- Running tasks whose lease is past: their owner is gone, and no watchdog took them back.
SELECT count(*) AS tasks, max(extract(epoch FROM clock_timestamp() - t.lease_expires_at))::float8 AS oldest_s,
       (array_agg(t.id ORDER BY t.lease_expires_at))[1:5] AS ids,
       (array_agg(DISTINCT t.owner_id))[1:5] AS owners
  FROM tasks t
 WHERE t.status = 'running' AND t.lease_expires_at < clock_timestamp() - %(grace_s)s * interval '1 second'

-- due --
-- The oldest due task of each lane: the first row of each priority's range in the claim's own index. now()
-- and not clock_timestamp(), which no index condition can hold.
SELECT l.lane, l.paused, d.id, d.seconds,
       (SELECT count(*) FROM queue_waiters w WHERE w.lane = l.lane) AS waiting
  FROM queue_lanes l
  LEFT JOIN LATERAL (
       SELECT f.id, extract(epoch FROM clock_timestamp() - f.at)::float8 AS seconds
         FROM generate_series(10, 0, -1) AS p (priority)
        CROSS JOIN LATERAL (
              SELECT t.id, coalesce(t.run_after, t.created_at) AS at FROM tasks t
               WHERE t.status IN ('queued', 'retry') AND t.type <> 'graph'
                 AND t.concurrency_key IS NULL AND t.priority = p.priority
                 AND coalesce(t.run_after, t.created_at) <= now()
                 AND (t.expires_at IS NULL OR t.expires_at > now())
               ORDER BY coalesce(t.run_after, t.created_at) LIMIT 1) AS f
        WHERE l.lane = 'queue'
       UNION ALL
       SELECT f.id, extract(epoch FROM clock_timestamp() - f.at)::float8
         FROM generate_series(10, 0, -1) AS p (priority)
        CROSS JOIN LATERAL (
              SELECT t.id, coalesce(t.run_after, t.created_at) AS at FROM tasks t
               WHERE t.status IN ('queued', 'retry') AND t.type = 'graph'
                 AND t.concurrency_key IS NULL AND t.priority = p.priority
                 AND coalesce(t.run_after, t.created_at) <= now()
                 AND (t.expires_at IS NULL OR t.expires_at > now())
               ORDER BY coalesce(t.run_after, t.created_at) LIMIT 1) AS f
        WHERE l.lane = 'graph'
       UNION ALL
       -- Tasks with a concurrency key stand in an index of their own, by key: a sample of them.
       (SELECT k.id, extract(epoch FROM clock_timestamp() - k.at)::float8
          FROM (SELECT t.id, coalesce(t.run_after, t.created_at) AS at FROM tasks t
                 WHERE t.status IN ('queued', 'retry') AND t.concurrency_key IS NOT NULL
                   AND task_lane(t.type) = l.lane
                 ORDER BY t.concurrency_key LIMIT 1000) AS k
         WHERE k.at <= now())
        ORDER BY 2 DESC
        LIMIT 1) AS d ON true
 ORDER BY l.lane DESC

-- workers --
-- Sessions of workers, owners that beat lately, and workers that wait.
SELECT (SELECT count(*) FROM pg_stat_activity a
         WHERE a.datname = current_database() AND a.application_name LIKE 'seedcore worker%%') AS sessions,
       (SELECT count(DISTINCT t.owner_id) FROM tasks t
         WHERE t.status = 'running'
           AND t.last_heartbeat > clock_timestamp() - %(alive_s)s * interval '1 second') AS owners

-- lanes --
-- Lanes, and domains of lanes, that somebody holds back.
SELECT h.lane, h.domain, h.reason, h.changed_by,
       extract(epoch FROM clock_timestamp() - h.changed_at)::float8 AS seconds
  FROM (SELECT l.lane, '' AS domain, l.reason, l.changed_by, l.changed_at FROM queue_lanes l WHERE l.paused
        UNION ALL
        SELECT c.lane, c.domain, c.reason, c.changed_by, c.changed_at FROM queue_controls c WHERE c.paused) AS h
 ORDER BY h.lane, h.domain

-- waiting_types --
-- Types of tasks that are claimed next and name no calls of their own: a tool has to handle the type.
-- Only the head of each lane is read, so that a backlog of millions costs no more.
SELECT h.type, count(*) AS tasks, (array_agg(h.id))[1] AS id
  FROM ((SELECT t.id, t.type, t.params FROM tasks t
          WHERE t.status IN ('queued', 'retry') AND t.type <> 'graph' AND t.concurrency_key IS NULL
          ORDER BY t.priority DESC, coalesce(t.run_after, t.created_at), t.id LIMIT %(limit)s)
        UNION ALL
        (SELECT t.id, t.type, t.params FROM tasks t
          WHERE t.status IN ('queued', 'retry') AND t.concurrency_key IS NOT NULL
          ORDER BY task_lane(t.type), t.concurrency_key LIMIT %(limit)s)
        UNION ALL
        (SELECT t.id, t.type, t.params FROM tasks t
          WHERE t.status IN ('queued', 'retry') AND t.type = 'graph' AND t.concurrency_key IS NULL
          ORDER BY t.priority DESC, coalesce(t.run_after, t.created_at), t.id LIMIT %(limit)s)) AS h
 WHERE jsonb_typeof(h.params -> 'tool_calls') IS DISTINCT FROM 'array'
    OR h.params -> 'tool_calls' = '[]'
 GROUP BY h.type
 ORDER BY 2 DESC

-- called_tools --
-- Tools that tasks about to be claimed call by name.
SELECT c.call ->> 'name' AS name, count(*) AS tasks, (array_agg(h.id))[1] AS id
  FROM ((SELECT t.id, t.params FROM tasks t
          WHERE t.status IN ('queued', 'retry') AND t.type <> 'graph' AND t.concurrency_key IS NULL
          ORDER BY t.priority DESC, coalesce(t.run_after, t.created_at), t.id LIMIT %(limit)s)
        UNION ALL
        (SELECT t.id, t.params FROM tasks t
          WHERE t.status IN ('queued', 'retry') AND t.concurrency_key IS NOT NULL
          ORDER BY task_lane(t.type), t.concurrency_key LIMIT %(limit)s)
        UNION ALL
        (SELECT t.id, t.params FROM tasks t
          WHERE t.status IN ('queued', 'retry') AND t.type = 'graph' AND t.concurrency_key IS NULL
          ORDER BY t.priority DESC, coalesce(t.run_after, t.created_at), t.id LIMIT %(limit)s)) AS h
 CROSS JOIN LATERAL jsonb_array_elements(
       CASE WHEN jsonb_typeof(h.params -> 'tool_calls') = 'array' THEN h.params -> 'tool_calls' ELSE '[]' END)
       AS c (call)
 WHERE c.call ->> 'name' IS NOT NULL
 GROUP BY 1
 ORDER BY 2 DESC
