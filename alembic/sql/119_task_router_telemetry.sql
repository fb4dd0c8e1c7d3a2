-- One row per routing decision: what it was made from and where it led.

CREATE TABLE IF NOT EXISTS task_router_telemetry (
    id             BIGSERIAL        PRIMARY KEY,
    task_id        UUID             NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    surprise_score DOUBLE PRECISION NOT NULL DEFAULT 0.0,
    x_vector       JSONB            NOT NULL DEFAULT '[]',
    weights        JSONB            NOT NULL DEFAULT '[]',
    ocps_metadata  JSONB            NOT NULL DEFAULT '{}',
    chosen_route   TEXT             NOT NULL DEFAULT 'unknown',
    created_at     TIMESTAMPTZ      NOT NULL DEFAULT now()
);
COMMENT ON TABLE task_router_telemetry IS 'Routing decisions: their surprise, the six signals and weights behind it, the drift sum, the route.';
COMMENT ON COLUMN task_router_telemetry.surprise_score IS 'weighted mean of the signals; the higher, the less expected';
COMMENT ON COLUMN task_router_telemetry.x_vector IS 'cache_novelty, semantic_drift, multimodal_anomaly, graph_context_drift, logic_uncertainty, cost_risk';
COMMENT ON COLUMN task_router_telemetry.weights IS 'weights of the six signals, in the same order';
COMMENT ON COLUMN task_router_telemetry.ocps_metadata IS 'state of the drift sum: S_t, h_threshold, drift_flag and what else decided';
COMMENT ON COLUMN task_router_telemetry.chosen_route IS 'fast, planner, hgnn, or unknown';

DO $$
DECLARE
    v_check record;
BEGIN
    FOR v_check IN
        SELECT * FROM (VALUES
            -- NaN sorts above infinity, so it is refused too.
            ('ck_task_router_telemetry_surprise',
             'CHECK (surprise_score >= 0 AND surprise_score < ''Infinity'')'),
            ('ck_task_router_telemetry_route',
             'CHECK (chosen_route IN (''fast'', ''planner'', ''hgnn'', ''unknown''))'),
            -- CASE, because the length of what is no array is an error and not a no.
            ('ck_task_router_telemetry_vectors',
             'CHECK (CASE WHEN jsonb_typeof(x_vector) <> ''array'' OR jsonb_typeof(weights) <> ''array''
                          THEN false
                          WHEN jsonb_array_length(x_vector) = 6 AND jsonb_array_length(weights) = 6
                          THEN true
                          ELSE jsonb_array_length(x_vector) = 0 AND jsonb_array_length(weights) = 0
                               AND chosen_route = ''unknown'' END)')
        ) AS c (name, definition)
    LOOP
        IF NOT EXISTS (
            SELECT FROM pg_constraint
            WHERE conrelid = 'task_router_telemetry'::regclass AND conname = v_check.name
        ) THEN
            EXECUTE format('ALTER TABLE task_router_telemetry ADD CONSTRAINT %I %s NOT VALID',
                           v_check.name, v_check.definition);
        END IF;
        BEGIN
            EXECUTE format('ALTER TABLE task_router_telemetry VALIDATE CONSTRAINT %I', v_check.name);
        EXCEPTION WHEN check_violation THEN
            RAISE WARNING 'task_router_telemetry has rows that violate %, so it holds for new rows only',
                v_check.name
                USING HINT = 'seedcore db verify lists the rows';
        END;
    END LOOP;
END
$$;

DROP VIEW IF EXISTS task_router_route_stats;
CREATE OR REPLACE VIEW task_router_route_stats AS
SELECT date_trunc('hour', r.created_at, 'UTC') AS hour,
       r.chosen_route,
       count(*) AS decisions,
       avg(r.surprise_score) AS avg_surprise,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY r.surprise_score) AS p95_surprise
FROM task_router_telemetry AS r
GROUP BY date_trunc('hour', r.created_at, 'UTC'), r.chosen_route;
COMMENT ON VIEW task_router_route_stats IS 'Routing decisions per hour and route, and how surprising the tasks were.';
