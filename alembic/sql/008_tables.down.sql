DROP TABLE IF EXISTS
    task_depends_on_task, task_produces_artifact, task_uses_capability, task_reads_memory,
    task_writes_memory, task_executed_by_organ, task_owned_by_agent, organ_provides_capability,
    agent_owns_memory_cell;
ALTER TABLE graph_embeddings_128 DROP CONSTRAINT IF EXISTS graph_embeddings_128_node_id_fkey;
ALTER TABLE graph_embeddings_1024 DROP CONSTRAINT IF EXISTS graph_embeddings_1024_node_id_fkey;
DROP TABLE IF EXISTS organ_registry, agent_registry, artifact, capability, memory_cell, graph_node_map;
