DROP VIEW IF EXISTS facts_structured, facts_text_only, facts_with_capabilities,
                    active_temporal_facts, facts_current_truth;
DROP TABLE IF EXISTS facts;
