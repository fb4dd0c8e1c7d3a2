-- save_agent --
-- An agent, its organ and its membership. What others keep in props stays.
WITH agent AS (
    INSERT INTO agent_registry (agent_id, props)
    VALUES (%(agent_id)s, %(props)s::jsonb)
    ON CONFLICT (agent_id) DO UPDATE SET props = agent_registry.props || excluded.props
     WHERE NOT agent_registry.props @> excluded.props
), organ AS (
    INSERT INTO organ_registry (organ_id)
    SELECT %(organ_id)s::text WHERE %(organ_id)s::text IS NOT NULL
    ON CONFLICT (organ_id) DO NOTHING
), left_organ AS (
    -- The organ that it belonged to when it was saved last; memberships made by others are theirs.
    DELETE FROM agent_member_of_organ AS e
     USING agent_registry AS a
     WHERE a.agent_id = %(agent_id)s AND e.agent_id = a.agent_id
       AND e.organ_id = a.props ->> 'organ_id' AND e.organ_id IS DISTINCT FROM %(organ_id)s::text
)
INSERT INTO agent_member_of_organ (agent_id, organ_id)
SELECT %(agent_id)s, %(organ_id)s::text WHERE %(organ_id)s::text IS NOT NULL
ON CONFLICT (agent_id, organ_id) DO NOTHING

-- save_state --
-- Only the agent's own keys; somebody who deleted the row meanwhile wins.
UPDATE agent_registry
   SET props = props || %(props)s::jsonb
 WHERE agent_id = %(agent_id)s

-- load_state --
-- What an earlier start of the agent has left, and its vector, the newest one if several encoders made one.
SELECT a.props -> 'state' AS state, e.emb::text AS h
  FROM agent_registry AS a
  LEFT JOIN graph_node_map AS m
    ON m.node_type = 'agent' AND m.ext_table = 'agent_registry' AND m.ext_text_id = a.agent_id
  LEFT JOIN LATERAL (
       SELECT g.emb FROM graph_embeddings_128 AS g
        WHERE g.node_id = m.node_id
        ORDER BY g.updated_at DESC
        LIMIT 1) AS e ON true
 WHERE a.agent_id = %(agent_id)s

-- agents --
-- Agents that were started at some time, each with its best instance: one that lives, else the latest.
SELECT a.agent_id, a.props ->> 'organ_id' AS organ, a.props ->> 'specialization' AS specialization,
       a.props ->> 'lifecycle' AS lifecycle,
       (a.props -> 'state' ->> 'c')::float8 AS c,
       (a.props -> 'state' ->> 'mem_util')::float8 AS mem_util,
       (a.props ->> 'load')::float8 AS load,
       (a.props -> 'state' ->> 'tasks_processed')::bigint AS tasks_processed,
       (a.props -> 'state' ->> 'successful_tasks')::bigint AS successful_tasks,
       a.props -> 'capacity' AS capacity,
       a.props -> 'state' -> 'p' AS role_probs,
       a.props -> 'state' -> 'skill_deltas' AS skill_deltas,
       CASE WHEN i.actor_name IS NOT NULL THEN 'ray'
            WHEN i.instance_id IS NOT NULL THEN 'local' END AS "where",
       CASE WHEN i.instance_id IS NULL THEN NULL
            WHEN i.is_active THEN 'alive'
            WHEN i.status = 'alive' THEN 'silent'
            ELSE i.status::text END AS status,
       i.instance_id, i.node_id, host(i.ip_address) AS ip_address, i.pid, i.actor_name, i.serve_route,
       i.heartbeat_age_s, i.started_at
  FROM agent_registry AS a
  LEFT JOIN LATERAL (
       SELECT r.*,
              extract(epoch FROM clock_timestamp() - r.last_heartbeat)::float8 AS heartbeat_age_s,
              EXISTS (SELECT FROM active_instances AS v WHERE v.instance_id = r.instance_id) AS is_active
         FROM registry_instance AS r
        WHERE r.logical_id = a.agent_id
        ORDER BY (r.status <> 'dead') DESC, r.last_heartbeat DESC, r.instance_id
        LIMIT 1) AS i ON true
 WHERE a.props ? 'capacity'
   AND (%(agent_id)s::text IS NULL OR a.agent_id = %(agent_id)s::text)
   AND (%(organ)s::text IS NULL OR a.props ->> 'organ_id' = %(organ)s::text)
   AND (%(where)s::text IS NULL OR (i.actor_name IS NOT NULL) = (%(where)s::text = 'ray'))
   AND (%(all)s OR (i.instance_id IS NOT NULL AND i.status <> 'dead'))
 ORDER BY a.agent_id
