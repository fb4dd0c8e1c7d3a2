-- server_settings --
-- What somebody set; never texts that may hold paths, hosts or passwords of others.
SELECT name, setting, unit, source, pending_restart FROM pg_settings
 WHERE source NOT IN ('default', 'override', 'client', 'session') AND vartype <> 'string' ORDER BY name

-- table_statistics --
-- How the tables are used.
SELECT relname, n_live_tup, n_dead_tup, n_tup_ins, n_tup_upd, n_tup_del, n_tup_hot_upd, seq_scan, idx_scan,
       last_vacuum, last_autovacuum, last_analyze, last_autoanalyze, pg_total_relation_size(relid) AS bytes
  FROM pg_stat_user_tables WHERE schemaname = 'public' ORDER BY relname

-- index_statistics --
-- How the indexes of the queue are used.
SELECT relname, indexrelname, idx_scan, idx_tup_read, pg_relation_size(indexrelid) AS bytes
  FROM pg_stat_user_indexes WHERE schemaname = 'public' AND relname LIKE 'task%' ORDER BY 1, 2

-- database_settings --
-- What every client of the database agrees on.
SELECT name, value, changed_by, changed_at FROM seedcore_settings ORDER BY name

-- revisions --
-- What was applied, and when.
SELECT revision, file_hash, started_at, finished_at FROM seedcore_migrations ORDER BY revision

-- queue_lanes --
-- Which lanes are held back.
SELECT lane, paused, changed_by, changed_at FROM queue_lanes ORDER BY lane

-- tasks_by_status --
-- How many tasks stand where, as the statistics guess.
SELECT v.value AS status, (v.frequency * greatest(c.reltuples, 0))::int8 AS tasks
  FROM pg_class c
  JOIN pg_stats s ON s.schemaname = 'public' AND s.tablename = 'tasks' AND s.attname = 'status'
 CROSS JOIN LATERAL unnest(s.most_common_vals::text::text[], s.most_common_freqs) AS v (value, frequency)
 WHERE c.oid = 'public.tasks'::regclass ORDER BY 2 DESC

-- sessions --
-- Who is connected, without what they run.
SELECT pid, application_name, state, wait_event_type, wait_event, backend_start, xact_start, state_change,
       backend_type, backend_xid::text AS backend_xid, backend_xmin::text AS backend_xmin
  FROM pg_stat_activity WHERE datname = current_database() ORDER BY backend_start
