DROP FUNCTION IF EXISTS facts_apply_triples(UUID[], TEXT);
DROP FUNCTION IF EXISTS facts_preview_triples(TEXT, INTEGER);
DROP FUNCTION IF EXISTS fact_text_to_triple(TEXT);
DROP FUNCTION IF EXISTS get_fact_statistics(TEXT);
DROP FUNCTION IF EXISTS cleanup_expired_facts(TEXT, BOOLEAN);
DROP FUNCTION IF EXISTS get_facts_at_time(TEXT, TIMESTAMPTZ);
DROP FUNCTION IF EXISTS get_facts_by_subject(TEXT, TEXT, BOOLEAN);
ALTER TABLE facts DROP CONSTRAINT IF EXISTS fk_facts_snapshot_id;
