-- settings --
-- As the engine's functions have them: only an index that fits leaves a plan without a disabled step.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
       set_config('enable_sort', 'off', true), set_config('jit', 'off', true)

-- state --
-- What is there under a name.
SELECT i.indisvalid, i.indisready, pg_get_indexdef(i.indexrelid)
  FROM pg_index AS i
 WHERE i.indexrelid = to_regclass(%(name)s)

-- claim_queue --
EXPLAIN (FORMAT JSON)
SELECT id FROM tasks
 WHERE status IN ('queued', 'retry') AND type <> 'graph' AND concurrency_key IS NULL
   AND priority = 5 AND coalesce(run_after, created_at) <= now()
 ORDER BY coalesce(run_after, created_at), id
 LIMIT 8

-- claim_graph --
EXPLAIN (FORMAT JSON)
SELECT id FROM tasks
 WHERE status IN ('queued', 'retry') AND type = 'graph' AND concurrency_key IS NULL
   AND priority = 5 AND coalesce(run_after, created_at) <= now()
 ORDER BY coalesce(run_after, created_at), id
 LIMIT 8

-- claim_keyed --
EXPLAIN (FORMAT JSON)
SELECT id FROM tasks
 WHERE status IN ('queued', 'retry') AND concurrency_key IS NOT NULL
   AND task_lane(type) = 'queue' AND concurrency_key > 'a'
 ORDER BY concurrency_key, priority DESC, coalesce(run_after, created_at), id
 LIMIT 1

-- running_keyed --
EXPLAIN (FORMAT JSON)
SELECT id FROM tasks WHERE status = 'running' AND concurrency_key = 'a'

-- reap --
EXPLAIN (FORMAT JSON)
SELECT id FROM tasks WHERE status = 'running'

-- expire --
EXPLAIN (FORMAT JSON)
SELECT id FROM tasks
 WHERE expires_at <= now() AND status IN ('created', 'queued', 'retry')
 ORDER BY expires_at
 LIMIT 8

-- end --
EXPLAIN (FORMAT JSON)
SELECT attempts FROM tasks WHERE id = '00000000-0000-0000-0000-000000000000'

-- release --
EXPLAIN (FORMAT JSON)
SELECT src_task_id FROM task_depends_on_task WHERE dst_task_id = '00000000-0000-0000-0000-000000000000'
