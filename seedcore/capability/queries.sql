-- definitions --
-- What a snapshot can ask for.
SELECT t.name, t.default_params
  FROM pkg_subtask_types AS t
 WHERE t.snapshot_id = %(id)s
 ORDER BY t.name COLLATE "C"

-- state --
-- Which snapshot an environment serves.
SELECT s.id, s.version
  FROM pkg_snapshots AS s
 WHERE s.env::text = %(env)s AND s.is_active
