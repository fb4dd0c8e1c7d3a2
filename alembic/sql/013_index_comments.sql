-- Run last: the indexes of a filled table are built after everything else.
COMMENT ON INDEX ux_pkg_active_per_env IS 'at most one active snapshot per environment';
COMMENT ON INDEX ux_pkg_subtask_name_snapshot IS 'a name once per snapshot';
COMMENT ON INDEX ix_pkg_policy_rules_snapshot_priority IS 'rules of a snapshot in their order';
COMMENT ON INDEX ix_pkg_policy_rules_rule_name IS 'a rule across snapshots';
COMMENT ON INDEX ix_pkg_rule_conditions_rule_position IS 'conditions of a rule in their order';
COMMENT ON INDEX ix_pkg_rule_conditions_key_operator IS 'rules that look at a key';
COMMENT ON INDEX ix_pkg_rule_emissions_subtask_type IS 'rules that emit a subtask; deleting its type';
