-- A database as somebody made it by hand from the later SQL files (source document 2: with PKG, cortex,
-- outbox and telemetry), and used for a while. How many tasks: SET seeds.tasks = '100000'.

-- 001 to 007: labels in both cases, results kept as text, a priority of its own.
CREATE TYPE taskstatus AS ENUM (
    'CREATED', 'created', 'QUEUED', 'queued', 'RUNNING', 'running', 'COMPLETED', 'completed', 'FAILED', 'failed',
    'CANCELLED', 'cancelled', 'RETRY', 'retry');
CREATE TABLE tasks (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    status taskstatus NOT NULL DEFAULT 'CREATED',
    attempts INTEGER,
    locked_by TEXT NULL,
    locked_at TIMESTAMP WITH TIME ZONE NULL,
    run_after TIMESTAMP WITH TIME ZONE NULL,
    type TEXT NOT NULL,
    description TEXT NULL,
    domain TEXT NULL,
    drift_score DOUBLE PRECISION NOT NULL DEFAULT 0.0,
    params JSONB NOT NULL DEFAULT '{}'::jsonb,
    result TEXT NULL,
    priority INTEGER NULL DEFAULT 5,
    error TEXT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    owner_id TEXT NULL,
    lease_expires_at TIMESTAMP WITH TIME ZONE NULL,
    last_heartbeat TIMESTAMP WITH TIME ZONE NULL,
    snapshot_id INTEGER NULL
);
CREATE INDEX ix_tasks_status_runafter ON tasks (status, run_after);
CREATE INDEX ix_tasks_created_at_desc ON tasks (created_at);
CREATE INDEX ix_tasks_type ON tasks (type);
CREATE INDEX ix_tasks_domain ON tasks (domain);
CREATE INDEX ix_tasks_params_gin ON tasks USING gin (params);
CREATE INDEX idx_tasks_claim ON tasks (status, run_after, created_at)
    WHERE status IN ('QUEUED', 'RETRY');
CREATE INDEX idx_tasks_lease_expires ON tasks (lease_expires_at) WHERE status = 'RUNNING';
CREATE INDEX idx_tasks_owner_status ON tasks (owner_id, status);
CREATE FUNCTION update_updated_at_column() RETURNS TRIGGER AS $$
BEGIN NEW.updated_at = NOW(); RETURN NEW; END; $$ LANGUAGE plpgsql;
CREATE TRIGGER update_tasks_updated_at BEFORE UPDATE ON tasks
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();

CREATE FUNCTION create_graph_embed_task(
    start_node_ids INTEGER[], k_hops INTEGER DEFAULT 2, description TEXT DEFAULT NULL) RETURNS UUID AS $$
DECLARE task_id UUID;
BEGIN
    INSERT INTO tasks (type, status, description, params)
    VALUES ('graph_embed', 'QUEUED', description,
            jsonb_build_object('start_node_ids', start_node_ids, 'k', k_hops))
    RETURNING id INTO task_id;
    RETURN task_id;
END; $$ LANGUAGE plpgsql;
CREATE FUNCTION cleanup_stale_running_tasks() RETURNS BIGINT AS $$
    WITH moved AS (UPDATE tasks SET status = 'RETRY', owner_id = NULL
                   WHERE status = 'RUNNING' AND lease_expires_at < NOW() RETURNING 1)
    SELECT count(*) FROM moved; $$ LANGUAGE sql;
CREATE VIEW graph_tasks AS
    SELECT id, type, status, attempts, created_at, updated_at, params, result,
           CASE status WHEN 'COMPLETED' THEN '✅' WHEN 'FAILED' THEN '❌' ELSE '⏳' END AS status_emoji
    FROM tasks WHERE type LIKE 'graph%';

-- 002: one table per size.
CREATE TABLE graph_embeddings_128 (
    node_id BIGINT NOT NULL,
    label TEXT NULL,
    props JSONB NULL,
    emb VECTOR(128) NOT NULL,
    model TEXT,
    content_sha256 TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);
CREATE TABLE graph_embeddings_1024 (
    node_id BIGINT NOT NULL,
    label TEXT NOT NULL DEFAULT 'default',
    props JSONB NULL,
    emb VECTOR(1024) NOT NULL,
    model TEXT,
    content_sha256 TEXT,
    snapshot_id INTEGER NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    PRIMARY KEY (node_id, label)
);
CREATE INDEX idx_graph_embeddings_128_emb ON graph_embeddings_128 USING ivfflat (emb vector_l2_ops) WITH (lists = 10);

-- 007 and 008
CREATE TABLE graph_node_map (
    node_id BIGSERIAL PRIMARY KEY,
    node_type TEXT NOT NULL,
    ext_table TEXT NOT NULL,
    ext_uuid UUID NULL,
    ext_text_id TEXT NULL,
    snapshot_id INTEGER NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);
CREATE TABLE agent_registry (
    agent_id TEXT PRIMARY KEY, display_name TEXT, props JSONB DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(), updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW());
CREATE TABLE organ_registry (
    organ_id TEXT PRIMARY KEY, agent_id TEXT REFERENCES agent_registry (agent_id) ON DELETE SET NULL,
    kind TEXT, props JSONB DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(), updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW());
CREATE TABLE artifact (
    artifact_id UUID PRIMARY KEY DEFAULT gen_random_uuid(), uri TEXT NOT NULL, kind TEXT,
    props JSONB DEFAULT '{}', created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW());
CREATE TABLE capability (
    capability_id UUID PRIMARY KEY DEFAULT gen_random_uuid(), name TEXT NOT NULL UNIQUE,
    props JSONB DEFAULT '{}', created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW());
CREATE TABLE memory_cell (
    memory_cell_id UUID PRIMARY KEY DEFAULT gen_random_uuid(), scope TEXT NOT NULL, mkey TEXT NOT NULL,
    version INT NOT NULL DEFAULT 1, props JSONB DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(), updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW());
CREATE TABLE task_depends_on_task (
    id BIGSERIAL PRIMARY KEY,
    src_task_id UUID NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    dst_task_id UUID NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW());
CREATE UNIQUE INDEX uq_task_depends_on_task ON task_depends_on_task (src_task_id, dst_task_id);
CREATE TABLE task_executed_by_organ (
    id BIGSERIAL PRIMARY KEY,
    task_id UUID NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    organ_id TEXT NOT NULL REFERENCES organ_registry (organ_id) ON DELETE CASCADE,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW());
CREATE UNIQUE INDEX uq_task_executed_by_organ ON task_executed_by_organ (task_id, organ_id);
CREATE TABLE model (
    model_name TEXT PRIMARY KEY, meta JSONB DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(), updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW());
CREATE TABLE agent_member_of_organ (
    agent_id TEXT NOT NULL REFERENCES agent_registry (agent_id) ON DELETE CASCADE,
    organ_id TEXT NOT NULL REFERENCES organ_registry (organ_id) ON DELETE CASCADE,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(), PRIMARY KEY (agent_id, organ_id));
CREATE FUNCTION ensure_task_node(p_task_id UUID) RETURNS BIGINT AS $$
DECLARE nid BIGINT;
BEGIN
    SELECT node_id INTO nid FROM graph_node_map WHERE node_type = 'task' AND ext_uuid = p_task_id LIMIT 1;
    IF nid IS NULL THEN
        INSERT INTO graph_node_map (node_type, ext_table, ext_uuid) VALUES ('task', 'tasks', p_task_id)
        RETURNING node_id INTO nid;
    END IF;
    RETURN nid;
END; $$ LANGUAGE plpgsql;
CREATE VIEW hgnn_edges AS
    SELECT ensure_task_node(d.src_task_id) AS src_node_id, ensure_task_node(d.dst_task_id) AS dst_node_id,
           'task__depends_on__task'::TEXT AS edge_type
    FROM task_depends_on_task d;
CREATE VIEW task_embeddings AS
    SELECT t.id AS task_id, g.node_id, g.emb FROM tasks t
    JOIN graph_node_map m ON m.node_type = 'task' AND m.ext_uuid = t.id
    JOIN graph_embeddings_128 g ON g.node_id = m.node_id;

-- 010, 011 and 016: facts may be triples that a policy made.
CREATE TABLE facts (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    text TEXT NOT NULL,
    tags TEXT[] DEFAULT '{}',
    meta_data JSONB DEFAULT '{}'::jsonb,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    snapshot_id INTEGER,
    namespace TEXT DEFAULT 'default',
    subject TEXT,
    predicate TEXT,
    object_data JSONB,
    valid_from TIMESTAMPTZ,
    valid_to TIMESTAMPTZ,
    created_by TEXT DEFAULT 'system',
    pkg_rule_id TEXT,
    pkg_provenance JSONB,
    validation_status TEXT
);
CREATE INDEX idx_facts_text_fts ON facts USING gin (to_tsvector('english', text));
CREATE TABLE task_reads_fact (
    id BIGSERIAL PRIMARY KEY,
    task_id UUID NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    fact_id UUID NOT NULL REFERENCES facts (id) ON DELETE CASCADE,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW());
CREATE UNIQUE INDEX uq_task_reads_fact ON task_reads_fact (task_id, fact_id);

-- 011 and 012
CREATE TYPE InstanceStatus AS ENUM ('starting', 'alive', 'draining', 'dead');
CREATE TABLE cluster_metadata (
    id INT PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    current_epoch UUID NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);
CREATE TABLE registry_instance (
    instance_id UUID PRIMARY KEY,
    logical_id TEXT NOT NULL,
    cluster_epoch UUID NOT NULL,
    status InstanceStatus NOT NULL DEFAULT 'starting',
    actor_name TEXT,
    serve_route TEXT,
    node_id TEXT,
    ip_address INET,
    pid INT,
    started_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    stopped_at TIMESTAMPTZ,
    last_heartbeat TIMESTAMPTZ NOT NULL DEFAULT NOW()
);
CREATE VIEW active_instances AS
    SELECT r.* FROM registry_instance r JOIN cluster_metadata c ON r.cluster_epoch = c.current_epoch
    WHERE r.status = 'alive';
CREATE VIEW active_instance AS
    SELECT DISTINCT ON (logical_id) * FROM active_instances ORDER BY logical_id, last_heartbeat DESC;
CREATE FUNCTION beat(p_instance_id UUID) RETURNS VOID AS $$
    UPDATE registry_instance SET last_heartbeat = NOW() WHERE instance_id = p_instance_id; $$ LANGUAGE sql;
CREATE FUNCTION set_current_epoch(p_epoch UUID) RETURNS VOID AS $$
    UPDATE cluster_metadata SET current_epoch = p_epoch; $$ LANGUAGE sql;
CREATE FUNCTION register_instance(p_instance_id UUID, p_logical_id TEXT, p_epoch UUID) RETURNS VOID AS $$
    INSERT INTO registry_instance (instance_id, logical_id, cluster_epoch)
    VALUES (p_instance_id, p_logical_id, p_epoch); $$ LANGUAGE sql;

-- 013 to 015
CREATE TYPE pkg_env AS ENUM ('prod', 'staging', 'dev');
CREATE TYPE pkg_engine AS ENUM ('wasm', 'native');
CREATE TYPE pkg_condition_type AS ENUM ('TAG', 'SIGNAL', 'VALUE', 'FACT');
CREATE TYPE pkg_relation AS ENUM ('EMITS', 'ORDERS', 'GATE');
CREATE TYPE pkg_operator AS ENUM ('=', '!=', '>=', '<=', '>', '<', 'EXISTS', 'IN', 'MATCHES');
CREATE TYPE pkg_artifact_type AS ENUM ('rego_bundle', 'wasm_pack');
CREATE TABLE pkg_snapshots (
    id SERIAL PRIMARY KEY,
    version TEXT NOT NULL UNIQUE,
    env pkg_env NOT NULL DEFAULT 'prod',
    entrypoint TEXT DEFAULT 'data.pkg',
    schema_version TEXT DEFAULT '1',
    checksum TEXT NOT NULL CHECK (length(checksum) = 64),
    size_bytes BIGINT,
    signature TEXT,
    is_active BOOLEAN NOT NULL DEFAULT FALSE,
    notes TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE pkg_subtask_types (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    snapshot_id INTEGER NOT NULL REFERENCES pkg_snapshots (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    default_params JSONB,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE pkg_policy_rules (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    snapshot_id INTEGER NOT NULL REFERENCES pkg_snapshots (id) ON DELETE CASCADE,
    rule_name TEXT NOT NULL,
    priority INTEGER NOT NULL DEFAULT 100,
    rule_source TEXT NOT NULL,
    compiled_rule TEXT,
    engine pkg_engine NOT NULL DEFAULT 'wasm',
    rule_hash TEXT,
    metadata JSONB,
    disabled BOOLEAN NOT NULL DEFAULT FALSE,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE FUNCTION pkg_active_snapshot_id(p_env pkg_env) RETURNS INTEGER AS $$
    SELECT id FROM pkg_snapshots WHERE env = p_env AND is_active LIMIT 1; $$ LANGUAGE sql STABLE;
ALTER TABLE tasks ADD CONSTRAINT fk_tasks_snapshot_id
    FOREIGN KEY (snapshot_id) REFERENCES pkg_snapshots (id) ON DELETE SET NULL;

-- 117
CREATE TABLE task_multimodal_embeddings (
    task_id UUID NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    source_modality TEXT NOT NULL,
    emb VECTOR(1024) NOT NULL,
    model_version TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    PRIMARY KEY (task_id, source_modality)
);
CREATE VIEW v_unified_cortex_memory AS
    SELECT t.id::text AS id, t.type AS category, t.description AS content, 'event_working'::text AS memory_tier
    FROM task_multimodal_embeddings m JOIN tasks t ON t.id = m.task_id;

-- 118
CREATE TABLE task_outbox (
    id BIGSERIAL PRIMARY KEY,
    task_id UUID NOT NULL,
    event_type TEXT NOT NULL,
    payload JSONB NOT NULL,
    dedupe_key TEXT UNIQUE,
    available_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    attempts INTEGER NOT NULL DEFAULT 0,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);
CREATE INDEX idx_task_outbox_available ON task_outbox (available_at);
CREATE INDEX idx_task_outbox_event_type ON task_outbox (event_type);
CREATE INDEX idx_task_outbox_task_id ON task_outbox (task_id);

-- 119
CREATE TABLE task_router_telemetry (
    id BIGSERIAL PRIMARY KEY,
    task_id UUID NOT NULL REFERENCES tasks(id) ON DELETE CASCADE,
    surprise_score DOUBLE PRECISION NOT NULL DEFAULT 0.0,
    x_vector JSONB NOT NULL DEFAULT '[]'::jsonb,
    weights JSONB NOT NULL DEFAULT '[]'::jsonb,
    ocps_metadata JSONB NOT NULL DEFAULT '{}'::jsonb,
    chosen_route TEXT NOT NULL DEFAULT 'unknown',
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);
CREATE INDEX idx_task_router_telemetry_task_id ON task_router_telemetry (task_id);

-- What has come together.
INSERT INTO tasks (id, status, attempts, locked_by, locked_at, type, description, domain, params, result, priority,
                   created_at, owner_id, lease_expires_at, last_heartbeat)
SELECT uuid_in(md5('task ' || n)::cstring),
       (ARRAY['COMPLETED', 'completed', 'COMPLETED', 'completed', 'queued', 'CREATED', 'FAILED', 'CANCELLED',
              'RETRY', 'RUNNING'])[1 + n % 10]::taskstatus,
       CASE n % 1000 WHEN 7 THEN NULL WHEN 14 THEN -3 ELSE n % 3 END,
       -- Stale ones, with and without an owner; and names left on tasks that have ended.
       CASE WHEN n % 10 IN (3, 9) THEN 'dispatcher-' || n % 4 END,
       CASE WHEN n % 10 IN (3, 9) THEN now() - interval '3 days' END,
       (ARRAY['chat', 'query', 'graph_embed', 'graph_rag_query', 'action'])[1 + n / 10 % 5],
       'task ' || n, CASE WHEN n % 2 = 0 THEN 'house' END,
       CASE WHEN n / 10 % 5 IN (2, 3)
            THEN jsonb_build_object('start_node_ids', ARRAY[n, n + 1], 'k', 2, 'top_k', 10, 'note', n)
            ELSE jsonb_build_object('n', n, 'routing', jsonb_build_object('hints', jsonb_build_object('priority', 7)))
       END,
       CASE WHEN n % 10 < 4 THEN jsonb_build_object('ok', true, 'n', n)::text WHEN n % 10 = 6 THEN '' END,
       CASE n % 100 WHEN 0 THEN NULL WHEN 1 THEN 99 WHEN 2 THEN -1 ELSE n % 11 END,
       now() - n * interval '1 minute',
       CASE WHEN n % 10 IN (3, 9) AND n % 20 < 10 THEN 'dispatcher-' || n % 4 END,
       CASE WHEN n % 20 = 9 THEN now() - interval '2 days' END,
       CASE WHEN n % 20 = 9 THEN now() - interval '2 days' END
FROM generate_series(1, current_setting('seeds.tasks')::int) AS n;

INSERT INTO agent_registry (agent_id, props) SELECT 'agent-' || n, NULL FROM generate_series(1, 20) AS n;
INSERT INTO organ_registry (organ_id, agent_id) SELECT 'organ-' || n, 'agent-' || n FROM generate_series(1, 5) AS n;
INSERT INTO agent_member_of_organ (agent_id, organ_id)
SELECT 'agent-' || n, 'organ-' || 1 + n % 5 FROM generate_series(1, 20) AS n;
INSERT INTO capability (name) VALUES ('summarize'), ('embed');
INSERT INTO memory_cell (scope, mkey) VALUES ('house', 'temperature');
INSERT INTO artifact (uri) VALUES ('s3://bucket/a'), ('s3://bucket/b');
INSERT INTO model (model_name) VALUES ('small'), ('large');
-- 500 tasks are mapped, 20 of them twice, 3 of those three times.
INSERT INTO graph_node_map (node_type, ext_table, ext_uuid)
SELECT 'task', 'tasks', uuid_in(md5('task ' || n)::cstring) FROM generate_series(1, 500) AS n;
INSERT INTO graph_node_map (node_type, ext_table, ext_uuid)
SELECT 'task', 'tasks', uuid_in(md5('task ' || n)::cstring) FROM generate_series(1, 20) AS n;
INSERT INTO graph_node_map (node_type, ext_table, ext_uuid)
SELECT 'task', 'tasks', uuid_in(md5('task ' || n)::cstring) FROM generate_series(1, 3) AS n;
INSERT INTO graph_node_map (node_type, ext_table, ext_text_id)
SELECT 'agent', 'agent_registry', 'agent-' || n FROM generate_series(1, 20) AS n;
-- 400 vectors: 7 are zero, some labels empty or missing.
INSERT INTO graph_embeddings_128 (node_id, label, props, emb)
SELECT n, CASE n % 3 WHEN 0 THEN '' WHEN 1 THEN 'default' END, jsonb_build_object('name', 'node ' || n),
       CASE WHEN n % 55 = 0 THEN array_fill(0.0, ARRAY[128])::vector
            ELSE (SELECT array_agg(sin(n * i)) FROM generate_series(1, 128) AS i)::vector END
FROM generate_series(1, 400) AS n;
INSERT INTO task_depends_on_task (src_task_id, dst_task_id)
SELECT uuid_in(md5('task ' || n)::cstring), uuid_in(md5('task ' || n + 1)::cstring)
FROM generate_series(1, 50) AS n;
INSERT INTO task_executed_by_organ (task_id, organ_id)
SELECT uuid_in(md5('task ' || n)::cstring), 'organ-' || 1 + n % 5 FROM generate_series(1, 50) AS n;
INSERT INTO facts (id, text, tags, meta_data)
SELECT uuid_in(md5('fact ' || n)::cstring), 'Room ' || n || ' is a lab',
       CASE WHEN n % 4 > 0 THEN ARRAY['room'] END, CASE WHEN n % 5 > 0 THEN '{"a": 1}'::jsonb END
FROM generate_series(1, 300) AS n;
INSERT INTO task_reads_fact (task_id, fact_id)
SELECT uuid_in(md5('task ' || n)::cstring), uuid_in(md5('fact ' || n)::cstring) FROM generate_series(1, 30) AS n;
INSERT INTO cluster_metadata (current_epoch) VALUES (uuid_in(md5('epoch')::cstring));
INSERT INTO registry_instance (instance_id, logical_id, cluster_epoch, status)
SELECT uuid_in(md5('instance ' || n)::cstring), 'organ_' || n, uuid_in(md5('epoch')::cstring), 'alive'
FROM generate_series(1, 4) AS n;
INSERT INTO pkg_snapshots (version, checksum) VALUES ('1.0.0', repeat('a', 64)), ('1.1.0', repeat('b', 64));
INSERT INTO pkg_subtask_types (snapshot_id, name) SELECT 1, 'type-' || n FROM generate_series(1, 5) AS n;
INSERT INTO pkg_policy_rules (snapshot_id, rule_name, rule_source)
SELECT 1, 'rule-' || n, 'allow' FROM generate_series(1, 5) AS n;
UPDATE facts SET subject = 'room ' || id, predicate = 'hasType', object_data = '{"type": "lab"}'
WHERE id = uuid_in(md5('fact 1')::cstring);
INSERT INTO graph_embeddings_1024 (node_id, label, emb, model)
SELECT n, 'task.primary', CASE WHEN n % 50 = 0 THEN array_fill(0.0, ARRAY[1024])::vector
                               ELSE (SELECT array_agg(sin(n * i)) FROM generate_series(1, 1024) AS i)::vector END,
       'nvidia/nv-embedqa-e5-v5'
FROM generate_series(1, 100) AS n;
INSERT INTO task_multimodal_embeddings (task_id, source_modality, emb, model_version)
SELECT uuid_in(md5('task ' || n)::cstring), 'vision',
       (SELECT array_agg(sin(n * i)) FROM generate_series(1, 1024) AS i)::vector, 'v1'
FROM generate_series(1, 30) AS n;
INSERT INTO task_outbox (task_id, event_type, payload, dedupe_key)
SELECT uuid_in(md5('task ' || n)::cstring), 'nim_embed', '{}', 'key-' || n FROM generate_series(1, 100) AS n;
INSERT INTO task_router_telemetry (task_id, surprise_score, chosen_route)
SELECT uuid_in(md5('task ' || n)::cstring), 0.5, 'unknown' FROM generate_series(1, 100) AS n;
