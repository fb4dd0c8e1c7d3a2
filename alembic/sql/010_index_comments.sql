-- Run last: the indexes of a filled table are built after everything else.
COMMENT ON INDEX idx_facts_text_fts IS 'full-text search';
COMMENT ON INDEX idx_facts_tags IS 'facts with a tag';
COMMENT ON INDEX idx_facts_meta_data IS 'facts by what their metadata contain';
COMMENT ON INDEX idx_facts_object_data IS 'facts by what their objects contain';
COMMENT ON INDEX idx_facts_spo_namespace IS 'what is true of a subject now';
COMMENT ON INDEX idx_facts_created_at IS 'newest facts of a namespace';
COMMENT ON INDEX idx_facts_valid_to IS 'sweep of expired facts';
COMMENT ON INDEX idx_facts_snapshot_id IS 'facts of a snapshot; deleting one';
COMMENT ON INDEX idx_facts_pkg_rule_id IS 'facts that a rule made';
COMMENT ON INDEX idx_facts_validation_status IS 'facts by the outcome of their validation';
