-- Drift of each domain as a cumulative sum: small steps are forgiven, many of them are not.

CREATE TABLE IF NOT EXISTS ocps_state (
    domain          TEXT             PRIMARY KEY,
    s_t             DOUBLE PRECISION NOT NULL DEFAULT 0,
    nu              DOUBLE PRECISION NOT NULL DEFAULT 0.1,
    h               DOUBLE PRECISION NOT NULL DEFAULT 0.5,
    reset_to        DOUBLE PRECISION NOT NULL DEFAULT 0,
    fast_count      BIGINT           NOT NULL DEFAULT 0,
    escalated_count BIGINT           NOT NULL DEFAULT 0,
    last_drift      DOUBLE PRECISION,
    last_task_id    UUID,
    created_at      TIMESTAMPTZ      NOT NULL DEFAULT now(),
    updated_at      TIMESTAMPTZ      NOT NULL DEFAULT now(),
    -- NaN sorts above infinity, so it is refused too.
    CONSTRAINT ck_ocps_state_s_t CHECK (s_t >= 0 AND s_t < 'Infinity'),
    CONSTRAINT ck_ocps_state_nu CHECK (nu > '-Infinity' AND nu < 'Infinity'),
    CONSTRAINT ck_ocps_state_h CHECK (h > 0 AND h < 'Infinity'),
    CONSTRAINT ck_ocps_state_reset_to CHECK (reset_to >= 0 AND reset_to <= 1)
) WITH (fillfactor = 50);
COMMENT ON TABLE ocps_state IS 'Drift sum per domain: s = max(0, s + drift - nu); above h the task is escalated.';
COMMENT ON COLUMN ocps_state.domain IS 'domain of the tasks; default for those without one';
COMMENT ON COLUMN ocps_state.s_t IS 'the sum';
COMMENT ON COLUMN ocps_state.nu IS 'drift that each task may have for nothing';
COMMENT ON COLUMN ocps_state.h IS 'threshold above which a task is escalated';
COMMENT ON COLUMN ocps_state.reset_to IS 'share of h that is left after an escalation, 0 to 1';
COMMENT ON COLUMN ocps_state.last_task_id IS 'no foreign key: the state outlives the task';

CREATE OR REPLACE TRIGGER trigger_ocps_state_updated_at
    BEFORE UPDATE ON ocps_state
    FOR EACH ROW WHEN (NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at)
    EXECUTE FUNCTION set_updated_at();
