DROP TABLE IF EXISTS
    agent_member_of_organ, agent_collab_agent, organ_provides_skill, organ_uses_service,
    organ_governed_by_policy, agent_uses_model;
DROP FUNCTION IF EXISTS ensure_skill_node(TEXT);
DROP FUNCTION IF EXISTS ensure_service_node(TEXT);
DROP FUNCTION IF EXISTS ensure_policy_node(TEXT);
DROP FUNCTION IF EXISTS ensure_model_node(TEXT);
DROP TABLE IF EXISTS model, policy, service, skill;
