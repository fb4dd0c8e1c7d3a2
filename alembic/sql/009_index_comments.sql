-- Run last: the indexes of a filled table are built after everything else.
COMMENT ON INDEX idx_agent_member_of_organ_rev IS 'the edge read backwards; deleting what it leads to';
COMMENT ON INDEX idx_agent_collab_agent_rev IS 'the edge read backwards; deleting what it leads to';
COMMENT ON INDEX idx_organ_provides_skill_rev IS 'the edge read backwards; deleting what it leads to';
COMMENT ON INDEX idx_organ_uses_service_rev IS 'the edge read backwards; deleting what it leads to';
COMMENT ON INDEX idx_organ_governed_by_policy_rev IS 'the edge read backwards; deleting what it leads to';
COMMENT ON INDEX idx_agent_uses_model_rev IS 'the edge read backwards; deleting what it leads to';
