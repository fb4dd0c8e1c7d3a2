DROP FUNCTION IF EXISTS pkg_snapshot_digest(INTEGER);
DROP TABLE IF EXISTS pkg_device_versions;
DROP TABLE IF EXISTS pkg_promotions;
DROP TABLE IF EXISTS pkg_validation_runs;
DROP TABLE IF EXISTS pkg_validation_fixtures;
DROP TABLE IF EXISTS pkg_deployments;
