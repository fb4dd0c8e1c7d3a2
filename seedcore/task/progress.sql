-- What running tasks report.

-- write --
-- Store reports and checkpoints of this owner's attempts; those whose lease is lost do not come back.
SELECT written::text
  FROM task_progress_write(
       p_owner => %(owner)s, p_ids => %(ids)s::uuid[], p_attempts => %(attempts)s::int[],
       p_calls => %(calls)s::int[], p_done => %(done)s::float8[], p_totals => %(totals)s::float8[],
       p_messages => %(messages)s::text[], p_checkpoints => %(checkpoints)s::jsonb[],
       p_keep => %(keep)s::bool[]) AS written

-- read --
-- What the latest attempt that reported has stored to go on from, and by which call.
SELECT p.call_index, p.checkpoint::text
  FROM task_progress p
 WHERE p.task_id = %(id)s::uuid AND p.checkpoint IS NOT NULL
