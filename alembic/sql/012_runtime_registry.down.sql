DROP VIEW IF EXISTS active_instance;
DROP VIEW IF EXISTS active_instances;

DROP FUNCTION IF EXISTS ensure_instance_node(UUID);
DROP FUNCTION IF EXISTS purge_dead_instances(INTERVAL);
DROP FUNCTION IF EXISTS expire_old_epoch_instances();
DROP FUNCTION IF EXISTS expire_stale_instances(DOUBLE PRECISION);
DROP FUNCTION IF EXISTS beat(UUID);
DROP FUNCTION IF EXISTS set_instance_status(UUID, instancestatus);
DROP FUNCTION IF EXISTS register_instance(UUID, TEXT, UUID, TEXT, TEXT, TEXT, INET, INTEGER, BOOLEAN);
DROP FUNCTION IF EXISTS ensure_current_epoch(UUID);
DROP FUNCTION IF EXISTS set_current_epoch(UUID, UUID, TEXT, TEXT);

DROP TABLE IF EXISTS registry_instance;
DROP TABLE IF EXISTS cluster_epoch_history;
DROP TABLE IF EXISTS cluster_metadata;
DROP TYPE IF EXISTS instancestatus;
