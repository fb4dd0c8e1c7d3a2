-- All edges in one place, 9 types: plain joins, so that reading writes nothing.

CREATE OR REPLACE VIEW hgnn_edges AS
SELECT s.node_id AS src_node_id, d.node_id AS dst_node_id, 'task__depends_on__task'::text AS edge_type,
       1.0::real AS weight, e.created_at
FROM task_depends_on_task AS e
JOIN graph_node_map AS s ON s.node_type = 'task' AND s.ext_table = 'tasks' AND s.ext_uuid = e.src_task_id
JOIN graph_node_map AS d ON d.node_type = 'task' AND d.ext_table = 'tasks' AND d.ext_uuid = e.dst_task_id
UNION ALL
SELECT s.node_id, d.node_id, 'task__produces__artifact'::text, 1.0::real, e.created_at
FROM task_produces_artifact AS e
JOIN graph_node_map AS s ON s.node_type = 'task' AND s.ext_table = 'tasks' AND s.ext_uuid = e.task_id
JOIN graph_node_map AS d ON d.node_type = 'artifact' AND d.ext_table = 'artifact' AND d.ext_uuid = e.artifact_id
UNION ALL
SELECT s.node_id, d.node_id, 'task__uses__capability'::text, 1.0::real, e.created_at
FROM task_uses_capability AS e
JOIN graph_node_map AS s ON s.node_type = 'task' AND s.ext_table = 'tasks' AND s.ext_uuid = e.task_id
JOIN graph_node_map AS d ON d.node_type = 'capability' AND d.ext_table = 'capability' AND d.ext_uuid = e.capability_id
UNION ALL
SELECT s.node_id, d.node_id, 'task__reads__memory_cell'::text, 1.0::real, e.created_at
FROM task_reads_memory AS e
JOIN graph_node_map AS s ON s.node_type = 'task' AND s.ext_table = 'tasks' AND s.ext_uuid = e.task_id
JOIN graph_node_map AS d ON d.node_type = 'memory_cell' AND d.ext_table = 'memory_cell' AND d.ext_uuid = e.memory_cell_id
UNION ALL
SELECT s.node_id, d.node_id, 'task__writes__memory_cell'::text, 1.0::real, e.created_at
FROM task_writes_memory AS e
JOIN graph_node_map AS s ON s.node_type = 'task' AND s.ext_table = 'tasks' AND s.ext_uuid = e.task_id
JOIN graph_node_map AS d ON d.node_type = 'memory_cell' AND d.ext_table = 'memory_cell' AND d.ext_uuid = e.memory_cell_id
UNION ALL
SELECT s.node_id, d.node_id, 'task__executed_by__organ'::text, 1.0::real, e.created_at
FROM task_executed_by_organ AS e
JOIN graph_node_map AS s ON s.node_type = 'task' AND s.ext_table = 'tasks' AND s.ext_uuid = e.task_id
JOIN graph_node_map AS d ON d.node_type = 'organ' AND d.ext_table = 'organ_registry' AND d.ext_text_id = e.organ_id
UNION ALL
SELECT s.node_id, d.node_id, 'task__owned_by__agent'::text, 1.0::real, e.created_at
FROM task_owned_by_agent AS e
JOIN graph_node_map AS s ON s.node_type = 'task' AND s.ext_table = 'tasks' AND s.ext_uuid = e.task_id
JOIN graph_node_map AS d ON d.node_type = 'agent' AND d.ext_table = 'agent_registry' AND d.ext_text_id = e.agent_id
UNION ALL
SELECT s.node_id, d.node_id, 'organ__provides__capability'::text, 1.0::real, e.created_at
FROM organ_provides_capability AS e
JOIN graph_node_map AS s ON s.node_type = 'organ' AND s.ext_table = 'organ_registry' AND s.ext_text_id = e.organ_id
JOIN graph_node_map AS d ON d.node_type = 'capability' AND d.ext_table = 'capability' AND d.ext_uuid = e.capability_id
UNION ALL
SELECT s.node_id, d.node_id, 'agent__owns__memory_cell'::text, 1.0::real, e.created_at
FROM agent_owns_memory_cell AS e
JOIN graph_node_map AS s ON s.node_type = 'agent' AND s.ext_table = 'agent_registry' AND s.ext_text_id = e.agent_id
JOIN graph_node_map AS d ON d.node_type = 'memory_cell' AND d.ext_table = 'memory_cell' AND d.ext_uuid = e.memory_cell_id;
COMMENT ON VIEW hgnn_edges IS 'every edge between two nodes of the graph, 9 types; what has no node yet is in hgnn_edges_unmapped';

CREATE OR REPLACE VIEW hgnn_edges_unmapped AS
SELECT u.edge_type, u.src_ext_id, u.dst_ext_id,
       CASE WHEN u.src_node_id IS NULL AND u.dst_node_id IS NULL THEN 'both'
            WHEN u.src_node_id IS NULL THEN 'src' ELSE 'dst' END AS missing
FROM (
    SELECT 'task__depends_on__task'::text AS edge_type, e.src_task_id::text AS src_ext_id, e.dst_task_id::text AS dst_ext_id,
           s.node_id AS src_node_id, d.node_id AS dst_node_id
    FROM task_depends_on_task AS e
    LEFT JOIN graph_node_map AS s ON s.node_type = 'task' AND s.ext_table = 'tasks' AND s.ext_uuid = e.src_task_id
    LEFT JOIN graph_node_map AS d ON d.node_type = 'task' AND d.ext_table = 'tasks' AND d.ext_uuid = e.dst_task_id
    WHERE s.node_id IS NULL OR d.node_id IS NULL
    UNION ALL
    SELECT 'task__produces__artifact'::text, e.task_id::text, e.artifact_id::text, s.node_id, d.node_id
    FROM task_produces_artifact AS e
    LEFT JOIN graph_node_map AS s ON s.node_type = 'task' AND s.ext_table = 'tasks' AND s.ext_uuid = e.task_id
    LEFT JOIN graph_node_map AS d ON d.node_type = 'artifact' AND d.ext_table = 'artifact' AND d.ext_uuid = e.artifact_id
    WHERE s.node_id IS NULL OR d.node_id IS NULL
    UNION ALL
    SELECT 'task__uses__capability'::text, e.task_id::text, e.capability_id::text, s.node_id, d.node_id
    FROM task_uses_capability AS e
    LEFT JOIN graph_node_map AS s ON s.node_type = 'task' AND s.ext_table = 'tasks' AND s.ext_uuid = e.task_id
    LEFT JOIN graph_node_map AS d ON d.node_type = 'capability' AND d.ext_table = 'capability' AND d.ext_uuid = e.capability_id
    WHERE s.node_id IS NULL OR d.node_id IS NULL
    UNION ALL
    SELECT 'task__reads__memory_cell'::text, e.task_id::text, e.memory_cell_id::text, s.node_id, d.node_id
    FROM task_reads_memory AS e
    LEFT JOIN graph_node_map AS s ON s.node_type = 'task' AND s.ext_table = 'tasks' AND s.ext_uuid = e.task_id
    LEFT JOIN graph_node_map AS d ON d.node_type = 'memory_cell' AND d.ext_table = 'memory_cell' AND d.ext_uuid = e.memory_cell_id
    WHERE s.node_id IS NULL OR d.node_id IS NULL
    UNION ALL
    SELECT 'task__writes__memory_cell'::text, e.task_id::text, e.memory_cell_id::text, s.node_id, d.node_id
    FROM task_writes_memory AS e
    LEFT JOIN graph_node_map AS s ON s.node_type = 'task' AND s.ext_table = 'tasks' AND s.ext_uuid = e.task_id
    LEFT JOIN graph_node_map AS d ON d.node_type = 'memory_cell' AND d.ext_table = 'memory_cell' AND d.ext_uuid = e.memory_cell_id
    WHERE s.node_id IS NULL OR d.node_id IS NULL
    UNION ALL
    SELECT 'task__executed_by__organ'::text, e.task_id::text, e.organ_id::text, s.node_id, d.node_id
    FROM task_executed_by_organ AS e
    LEFT JOIN graph_node_map AS s ON s.node_type = 'task' AND s.ext_table = 'tasks' AND s.ext_uuid = e.task_id
    LEFT JOIN graph_node_map AS d ON d.node_type = 'organ' AND d.ext_table = 'organ_registry' AND d.ext_text_id = e.organ_id
    WHERE s.node_id IS NULL OR d.node_id IS NULL
    UNION ALL
    SELECT 'task__owned_by__agent'::text, e.task_id::text, e.agent_id::text, s.node_id, d.node_id
    FROM task_owned_by_agent AS e
    LEFT JOIN graph_node_map AS s ON s.node_type = 'task' AND s.ext_table = 'tasks' AND s.ext_uuid = e.task_id
    LEFT JOIN graph_node_map AS d ON d.node_type = 'agent' AND d.ext_table = 'agent_registry' AND d.ext_text_id = e.agent_id
    WHERE s.node_id IS NULL OR d.node_id IS NULL
    UNION ALL
    SELECT 'organ__provides__capability'::text, e.organ_id::text, e.capability_id::text, s.node_id, d.node_id
    FROM organ_provides_capability AS e
    LEFT JOIN graph_node_map AS s ON s.node_type = 'organ' AND s.ext_table = 'organ_registry' AND s.ext_text_id = e.organ_id
    LEFT JOIN graph_node_map AS d ON d.node_type = 'capability' AND d.ext_table = 'capability' AND d.ext_uuid = e.capability_id
    WHERE s.node_id IS NULL OR d.node_id IS NULL
    UNION ALL
    SELECT 'agent__owns__memory_cell'::text, e.agent_id::text, e.memory_cell_id::text, s.node_id, d.node_id
    FROM agent_owns_memory_cell AS e
    LEFT JOIN graph_node_map AS s ON s.node_type = 'agent' AND s.ext_table = 'agent_registry' AND s.ext_text_id = e.agent_id
    LEFT JOIN graph_node_map AS d ON d.node_type = 'memory_cell' AND d.ext_table = 'memory_cell' AND d.ext_uuid = e.memory_cell_id
    WHERE s.node_id IS NULL OR d.node_id IS NULL
) AS u;
COMMENT ON VIEW hgnn_edges_unmapped IS 'edges of which an end has no node yet, so that hgnn_edges does not show them; graph_edges_map() mends that';
