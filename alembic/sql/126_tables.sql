-- What holds a lane back, and whose turn it is.

ALTER TABLE queue_lanes
    ADD COLUMN IF NOT EXISTS fair       BOOLEAN NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS restricted BOOLEAN NOT NULL DEFAULT false;
COMMENT ON COLUMN queue_lanes.fair IS 'domains take turns inside each priority';
COMMENT ON COLUMN queue_lanes.restricted IS 'kept by triggers: fair, or there is a row in queue_controls; without it a claim looks at nothing else';

CREATE TABLE IF NOT EXISTS queue_controls (
    lane        TEXT        NOT NULL,
    domain      TEXT        NOT NULL DEFAULT '',
    paused      BOOLEAN     NOT NULL DEFAULT false,
    reason      TEXT,
    rate_per_s  DOUBLE PRECISION,
    burst       DOUBLE PRECISION,
    tokens      DOUBLE PRECISION,
    filled_at   TIMESTAMPTZ,
    concurrency INTEGER,
    changed_by  TEXT,
    changed_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT pk_queue_controls PRIMARY KEY (lane, domain),
    CONSTRAINT ck_queue_controls_lane CHECK (lane IN ('queue', 'graph')),
    CONSTRAINT ck_queue_controls_rate CHECK (rate_per_s > 0 AND rate_per_s < 'infinity'),
    CONSTRAINT ck_queue_controls_burst CHECK (burst >= 1 AND burst < 'infinity'),
    CONSTRAINT ck_queue_controls_tokens CHECK (tokens >= 0 AND tokens <= burst),
    CONSTRAINT ck_queue_controls_bucket CHECK (num_nulls(rate_per_s, burst, tokens, filled_at) IN (0, 4)),
    CONSTRAINT ck_queue_controls_concurrency CHECK (concurrency >= 1),
    -- A lane's own pause is in queue_lanes, where a claim looks first.
    CONSTRAINT ck_queue_controls_pause CHECK (domain <> '' OR NOT paused)
) WITH (fillfactor = 50);
COMMENT ON TABLE queue_controls IS 'what holds claims back: per lane (domain '''') or per domain of a lane, a pause, a rate, a number at once';
COMMENT ON COLUMN queue_controls.domain IS 'empty: the whole lane';
COMMENT ON COLUMN queue_controls.rate_per_s IS 'tokens that come in per second; a claimed task takes one';
COMMENT ON COLUMN queue_controls.burst IS 'tokens that the bucket holds at most';
COMMENT ON COLUMN queue_controls.tokens IS 'tokens in the bucket at filled_at';
COMMENT ON COLUMN queue_controls.concurrency IS 'tasks that may run at once';

-- Unlogged: after a crash the turns begin anew.
CREATE UNLOGGED TABLE IF NOT EXISTS queue_turns (
    lane       TEXT NOT NULL,
    kind       TEXT NOT NULL,
    last_taken TEXT NOT NULL,
    CONSTRAINT pk_queue_turns PRIMARY KEY (lane, kind),
    CONSTRAINT ck_queue_turns_kind CHECK (kind IN ('domain', 'key'))
) WITH (fillfactor = 50);
COMMENT ON TABLE queue_turns IS 'which domain or key of a lane had the last turn; the next claim begins after it';

-- A row in queue_controls is a restriction, whatever it says: the functions delete a row that says nothing.
-- The lane's lock makes the second of two changes see the first.
CREATE OR REPLACE FUNCTION queue_lane_restrict() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    v_lane TEXT := CASE WHEN TG_OP = 'DELETE' THEN OLD.lane ELSE NEW.lane END;
BEGIN
    PERFORM FROM queue_lanes l WHERE l.lane = v_lane FOR NO KEY UPDATE;
    UPDATE queue_lanes l
    SET restricted = l.fair OR EXISTS (SELECT FROM queue_controls c WHERE c.lane = l.lane)
    WHERE l.lane = v_lane;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION queue_lane_restrict() IS 'Trigger function: a lane is restricted while it is fair or has a row in queue_controls.';

DROP TRIGGER IF EXISTS queue_controls_restrict ON queue_controls;
CREATE TRIGGER queue_controls_restrict
    AFTER INSERT OR DELETE ON queue_controls
    FOR EACH ROW EXECUTE FUNCTION queue_lane_restrict();
DROP TRIGGER IF EXISTS queue_lanes_restrict ON queue_lanes;
CREATE TRIGGER queue_lanes_restrict
    AFTER UPDATE OF fair ON queue_lanes
    FOR EACH ROW WHEN (NEW.fair <> OLD.fair) EXECUTE FUNCTION queue_lane_restrict();
