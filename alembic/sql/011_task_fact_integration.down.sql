DROP TABLE IF EXISTS task_reads_fact, task_produces_fact;
DROP FUNCTION IF EXISTS ensure_fact_node(UUID);
