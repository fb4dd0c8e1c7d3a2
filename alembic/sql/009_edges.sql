-- How agents and organs hang together.

CREATE TABLE IF NOT EXISTS agent_member_of_organ (
    agent_id   TEXT        NOT NULL REFERENCES agent_registry (agent_id) ON DELETE CASCADE,
    organ_id   TEXT        NOT NULL REFERENCES organ_registry (organ_id) ON DELETE CASCADE,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (agent_id, organ_id)
);
COMMENT ON TABLE agent_member_of_organ IS 'which organs an agent belongs to';

CREATE TABLE IF NOT EXISTS agent_collab_agent (
    src_agent  TEXT        NOT NULL REFERENCES agent_registry (agent_id) ON DELETE CASCADE,
    dst_agent  TEXT        NOT NULL REFERENCES agent_registry (agent_id) ON DELETE CASCADE,
    weight     REAL        NOT NULL DEFAULT 0.5,
    bond_kind  TEXT        NOT NULL DEFAULT 'functional',
    meta       JSONB       NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (src_agent, dst_agent),
    CONSTRAINT ck_agent_collab_agent_self CHECK (src_agent <> dst_agent),
    CONSTRAINT ck_agent_collab_agent_weight CHECK (weight >= 0 AND weight < 'Infinity')
);
ALTER TABLE agent_collab_agent
    ADD COLUMN IF NOT EXISTS weight    REAL  NOT NULL DEFAULT 0.5,
    ADD COLUMN IF NOT EXISTS bond_kind TEXT  NOT NULL DEFAULT 'functional',
    ADD COLUMN IF NOT EXISTS meta      JSONB NOT NULL DEFAULT '{}';
COMMENT ON TABLE agent_collab_agent IS 'how strongly two agents work together';

CREATE TABLE IF NOT EXISTS organ_provides_skill (
    organ_id   TEXT        NOT NULL REFERENCES organ_registry (organ_id) ON DELETE CASCADE,
    skill_name TEXT        NOT NULL REFERENCES skill (skill_name) ON DELETE CASCADE,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (organ_id, skill_name)
);
COMMENT ON TABLE organ_provides_skill IS 'which skills an organ has';

CREATE TABLE IF NOT EXISTS organ_uses_service (
    organ_id     TEXT        NOT NULL REFERENCES organ_registry (organ_id) ON DELETE CASCADE,
    service_name TEXT        NOT NULL REFERENCES service (service_name) ON DELETE CASCADE,
    created_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (organ_id, service_name)
);
COMMENT ON TABLE organ_uses_service IS 'which services an organ calls';

CREATE TABLE IF NOT EXISTS organ_governed_by_policy (
    organ_id    TEXT        NOT NULL REFERENCES organ_registry (organ_id) ON DELETE CASCADE,
    policy_name TEXT        NOT NULL REFERENCES policy (policy_name) ON DELETE CASCADE,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (organ_id, policy_name)
);
COMMENT ON TABLE organ_governed_by_policy IS 'which policies hold for an organ';

CREATE TABLE IF NOT EXISTS agent_uses_model (
    agent_id   TEXT        NOT NULL REFERENCES agent_registry (agent_id) ON DELETE CASCADE,
    model_name TEXT        NOT NULL REFERENCES model (model_name) ON DELETE CASCADE,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (agent_id, model_name)
);
COMMENT ON TABLE agent_uses_model IS 'which models an agent uses';

-- Tables made by hand: what they lack, and rules that are there under another name or in another form.
-- Pairs that are there twice are dropped but for one, and counted; an edge says nothing the second time.
DO $$
DECLARE
    v_rule  record;
    v_same  text;
    v_pair  text;
    v_rows  bigint;
BEGIN
    FOR v_rule IN
        SELECT * FROM (VALUES
            ('agent_member_of_organ', 'agent_member_of_organ_pkey',
             'PRIMARY KEY (agent_id, organ_id)'),
            ('agent_member_of_organ', 'agent_member_of_organ_agent_id_fkey',
             'FOREIGN KEY (agent_id) REFERENCES agent_registry(agent_id) ON DELETE CASCADE'),
            ('agent_member_of_organ', 'agent_member_of_organ_organ_id_fkey',
             'FOREIGN KEY (organ_id) REFERENCES organ_registry(organ_id) ON DELETE CASCADE'),
            ('agent_collab_agent', 'agent_collab_agent_pkey', 'PRIMARY KEY (src_agent, dst_agent)'),
            ('agent_collab_agent', 'agent_collab_agent_src_agent_fkey',
             'FOREIGN KEY (src_agent) REFERENCES agent_registry(agent_id) ON DELETE CASCADE'),
            ('agent_collab_agent', 'agent_collab_agent_dst_agent_fkey',
             'FOREIGN KEY (dst_agent) REFERENCES agent_registry(agent_id) ON DELETE CASCADE'),
            ('agent_collab_agent', 'ck_agent_collab_agent_self',
             'CHECK ((src_agent <> dst_agent))'),
            ('agent_collab_agent', 'ck_agent_collab_agent_weight',
             'CHECK (((weight >= (0)::double precision) AND (weight < ''Infinity''::real)))'),
            ('organ_provides_skill', 'organ_provides_skill_pkey',
             'PRIMARY KEY (organ_id, skill_name)'),
            ('organ_provides_skill', 'organ_provides_skill_organ_id_fkey',
             'FOREIGN KEY (organ_id) REFERENCES organ_registry(organ_id) ON DELETE CASCADE'),
            ('organ_provides_skill', 'organ_provides_skill_skill_name_fkey',
             'FOREIGN KEY (skill_name) REFERENCES skill(skill_name) ON DELETE CASCADE'),
            ('organ_uses_service', 'organ_uses_service_pkey',
             'PRIMARY KEY (organ_id, service_name)'),
            ('organ_uses_service', 'organ_uses_service_organ_id_fkey',
             'FOREIGN KEY (organ_id) REFERENCES organ_registry(organ_id) ON DELETE CASCADE'),
            ('organ_uses_service', 'organ_uses_service_service_name_fkey',
             'FOREIGN KEY (service_name) REFERENCES service(service_name) ON DELETE CASCADE'),
            ('organ_governed_by_policy', 'organ_governed_by_policy_pkey',
             'PRIMARY KEY (organ_id, policy_name)'),
            ('organ_governed_by_policy', 'organ_governed_by_policy_organ_id_fkey',
             'FOREIGN KEY (organ_id) REFERENCES organ_registry(organ_id) ON DELETE CASCADE'),
            ('organ_governed_by_policy', 'organ_governed_by_policy_policy_name_fkey',
             'FOREIGN KEY (policy_name) REFERENCES policy(policy_name) ON DELETE CASCADE'),
            ('agent_uses_model', 'agent_uses_model_pkey', 'PRIMARY KEY (agent_id, model_name)'),
            ('agent_uses_model', 'agent_uses_model_agent_id_fkey',
             'FOREIGN KEY (agent_id) REFERENCES agent_registry(agent_id) ON DELETE CASCADE'),
            ('agent_uses_model', 'agent_uses_model_model_name_fkey',
             'FOREIGN KEY (model_name) REFERENCES model(model_name) ON DELETE CASCADE')
        ) AS r (name_of_table, name, definition)
    LOOP
        EXECUTE format('ALTER TABLE %I ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now()',
                       v_rule.name_of_table);
        SELECT replace(pg_get_constraintdef(k.oid), ' NOT VALID', '') INTO v_same FROM pg_constraint AS k
        WHERE k.conrelid = v_rule.name_of_table::regclass AND k.conname = v_rule.name;
        CONTINUE WHEN v_same = v_rule.definition;
        IF FOUND THEN
            EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', v_rule.name_of_table, v_rule.name);
        END IF;
        SELECT k.conname INTO v_same FROM pg_constraint AS k
        WHERE k.conrelid = v_rule.name_of_table::regclass
          AND replace(pg_get_constraintdef(k.oid), ' NOT VALID', '') = v_rule.definition LIMIT 1;
        IF FOUND THEN
            EXECUTE format('ALTER TABLE %I RENAME CONSTRAINT %I TO %I',
                           v_rule.name_of_table, v_same, v_rule.name);
            CONTINUE;
        END IF;
        v_pair := substring(v_rule.definition FROM '^(?:UNIQUE|PRIMARY KEY) \((.*)\)$');
        IF v_pair IS NOT NULL THEN
            EXECUTE format('DELETE FROM %1$I AS e USING (
                SELECT ctid AS place, row_number() OVER (PARTITION BY %2$s ORDER BY ctid) AS nth FROM %1$I
            ) AS r WHERE e.ctid = r.place AND r.nth > 1', v_rule.name_of_table, v_pair);
            GET DIAGNOSTICS v_rows = ROW_COUNT;
            IF v_rows > 0 THEN
                RAISE WARNING '% rows of % that said the same as another were dropped', v_rows, v_rule.name_of_table;
            END IF;
        END IF;
        EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I %s%s', v_rule.name_of_table, v_rule.name,
                       v_rule.definition, CASE WHEN v_pair IS NULL THEN ' NOT VALID' ELSE '' END);
    END LOOP;
END
$$;
