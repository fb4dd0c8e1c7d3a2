-- A view of these names that was made by hand may have other columns, which can't be replaced.
DROP VIEW IF EXISTS active_instance;
DROP VIEW IF EXISTS active_instances;

CREATE OR REPLACE VIEW active_instances AS
SELECT i.instance_id, i.logical_id, i.cluster_epoch, i.status, i.actor_name, i.serve_route, i.node_id,
       i.ip_address, i.pid, i.started_at, i.stopped_at, i.last_heartbeat
FROM registry_instance AS i
WHERE i.cluster_epoch = (SELECT m.current_epoch FROM cluster_metadata AS m WHERE m.id = 1)
  AND i.status = 'alive'
  -- In a query of its own, so that the setting is read once and not for every row.
  AND i.last_heartbeat > (
      SELECT now() - make_interval(secs => seedcore_setting('instance_window_s', '15')::double precision));
COMMENT ON VIEW active_instances IS
    'Instances that can be called: alive, of the current epoch, heard of within the setting instance_window_s.';

CREATE OR REPLACE VIEW active_instance AS
SELECT DISTINCT ON (a.logical_id)
       a.instance_id, a.logical_id, a.cluster_epoch, a.status, a.actor_name, a.serve_route, a.node_id,
       a.ip_address, a.pid, a.started_at, a.stopped_at, a.last_heartbeat
FROM active_instances AS a
ORDER BY a.logical_id, a.last_heartbeat DESC, a.started_at, a.instance_id;
COMMENT ON VIEW active_instance IS
    'The best active instance of each logical id: newest heartbeat, then earliest start, then lowest id.';
