-- Run last: the indexes of a filled table are built after everything else.
COMMENT ON INDEX ix_organ_registry_agent_id IS 'organs of an agent';
COMMENT ON INDEX ix_artifact_uri IS 'an artifact by its address';
COMMENT ON INDEX idx_task_depends_on_task_rev IS 'the edge read backwards; deleting what it leads to';
COMMENT ON INDEX idx_task_produces_artifact_rev IS 'the edge read backwards; deleting what it leads to';
COMMENT ON INDEX idx_task_uses_capability_rev IS 'the edge read backwards; deleting what it leads to';
COMMENT ON INDEX idx_task_reads_memory_rev IS 'the edge read backwards; deleting what it leads to';
COMMENT ON INDEX idx_task_writes_memory_rev IS 'the edge read backwards; deleting what it leads to';
COMMENT ON INDEX idx_task_executed_by_organ_rev IS 'the edge read backwards; deleting what it leads to';
COMMENT ON INDEX idx_task_owned_by_agent_rev IS 'the edge read backwards; deleting what it leads to';
COMMENT ON INDEX idx_organ_provides_capability_rev IS 'the edge read backwards; deleting what it leads to';
COMMENT ON INDEX idx_agent_owns_memory_cell_rev IS 'the edge read backwards; deleting what it leads to';
