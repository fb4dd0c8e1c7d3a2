CREATE OR REPLACE VIEW task_queue_stats AS
SELECT task_lane(t.type) AS lane,
       t.status,
       count(*) AS tasks,
       count(*) FILTER (WHERE t.status IN ('queued', 'retry')
                          AND coalesce(t.run_after, t.created_at) <= now()) AS due_now,
       min(coalesce(t.run_after, t.created_at)) FILTER (WHERE t.status IN ('queued', 'retry')
                          AND coalesce(t.run_after, t.created_at) <= now()) AS oldest_due_at,
       bool_or(l.paused) AS paused
FROM tasks t
LEFT JOIN queue_lanes l ON l.lane = task_lane(t.type)
WHERE t.status <> 'completed'
GROUP BY 1, 2;
COMMENT ON VIEW task_queue_stats IS 'tasks by lane and status, without the completed ones: how many, how many due, since when, and whether the lane is paused';
