-- Dropped first: views of these names that someone made by hand may have other columns.
DROP VIEW IF EXISTS facts_structured, facts_text_only, facts_with_capabilities,
                    active_temporal_facts, facts_current_truth;

CREATE VIEW facts_structured AS
SELECT f.id, f.text, f.tags, f.meta_data, f.namespace, f.created_by, f.subject, f.predicate, f.object_data,
       f.valid_from, f.valid_to, f.snapshot_id, f.pkg_rule_id, f.pkg_provenance, f.validation_status,
       f.created_at, f.updated_at,
       f.object_data ->> 'type' AS extracted_type,
       f.object_data -> 'capabilities' AS extracted_capabilities,
       f.object_data -> 'contact' AS extracted_contact,
       f.object_data ->> 'description' AS extracted_description
FROM facts AS f
WHERE f.subject IS NOT NULL;
COMMENT ON VIEW facts_structured IS 'facts that are triples, with the usual parts of their object as columns';

CREATE VIEW facts_text_only AS
SELECT f.id, f.text, f.tags, f.meta_data, f.namespace, f.created_by, f.valid_from, f.valid_to,
       f.snapshot_id, f.created_at, f.updated_at
FROM facts AS f
WHERE f.subject IS NULL;
COMMENT ON VIEW facts_text_only IS 'facts that are free text and no triple';

CREATE VIEW facts_with_capabilities AS
SELECT f.id, f.namespace, f.subject, f.predicate, f.text,
       f.object_data ->> 'type' AS extracted_type,
       f.object_data -> 'capabilities' AS extracted_capabilities,
       f.object_data, f.tags, f.valid_from, f.valid_to, f.snapshot_id, f.created_at, f.updated_at
FROM facts AS f
WHERE f.subject IS NOT NULL AND f.object_data ? 'capabilities';
COMMENT ON VIEW facts_with_capabilities IS 'facts whose object names capabilities';

CREATE VIEW active_temporal_facts AS
SELECT f.id, f.text, f.tags, f.meta_data, f.namespace, f.created_by, f.subject, f.predicate, f.object_data,
       f.valid_from, f.valid_to, f.snapshot_id, f.pkg_rule_id, f.pkg_provenance, f.validation_status,
       f.created_at, f.updated_at,
       f.valid_to - now() AS expires_in
FROM facts AS f
WHERE (f.valid_from IS NOT NULL OR f.valid_to IS NOT NULL)
  AND (f.valid_from IS NULL OR f.valid_from <= now())
  AND (f.valid_to IS NULL OR f.valid_to > now());
COMMENT ON VIEW active_temporal_facts IS 'facts that say when they hold and hold now, with the time that is left to them';

CREATE VIEW facts_current_truth AS
SELECT DISTINCT ON (f.namespace, f.subject, f.predicate)
       f.namespace, f.subject, f.predicate, f.object_data, f.id, f.text, f.tags, f.meta_data, f.created_by,
       f.valid_from, f.valid_to, f.snapshot_id, f.pkg_rule_id, f.pkg_provenance, f.validation_status,
       f.created_at, f.updated_at
FROM facts AS f
WHERE f.subject IS NOT NULL
  AND (f.valid_from IS NULL OR f.valid_from <= now())
  AND (f.valid_to IS NULL OR f.valid_to > now())
ORDER BY f.namespace, f.subject, f.predicate, coalesce(f.valid_from, f.created_at) DESC, f.created_at DESC, f.id;
COMMENT ON VIEW facts_current_truth IS
    'what holds now of each subject and predicate in a namespace: of several triples the one that began last';
