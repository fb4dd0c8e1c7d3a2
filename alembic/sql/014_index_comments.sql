-- Run last: the indexes of a filled table are built after everything else.
COMMENT ON INDEX ix_pkg_deployments_snapshot IS 'lanes that serve a snapshot; deleting one';
COMMENT ON INDEX ix_pkg_validation_runs_snapshot_started IS 'newest run of a snapshot';
COMMENT ON INDEX ix_pkg_promotions_env_created IS 'newest promotions of an environment';
COMMENT ON INDEX ix_pkg_promotions_snapshot IS 'promotions of a snapshot; deleting one';
COMMENT ON INDEX ix_pkg_device_versions_type_region IS 'devices of a lane';
COMMENT ON INDEX ix_pkg_device_versions_snapshot IS 'devices on a snapshot; deleting one';
