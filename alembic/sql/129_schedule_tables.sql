-- Who changed a schedule and why, how it fares, and what was fired when.

ALTER TABLE task_schedules
    ADD COLUMN IF NOT EXISTS failures   INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS changed_by TEXT,
    ADD COLUMN IF NOT EXISTS reason     TEXT;
COMMENT ON COLUMN task_schedules.next_run_at IS 'the next time to fire; null while paused, or when there is none';
COMMENT ON COLUMN task_schedules.last_run_at IS 'the time that was fired last, by the clock of the schedule';
COMMENT ON COLUMN task_schedules.last_error IS 'why the last time could not be fired; null when it was';
COMMENT ON COLUMN task_schedules.failures IS 'how many times in a row could not be fired';
COMMENT ON COLUMN task_schedules.changed_by IS 'who paused or resumed it last';
COMMENT ON COLUMN task_schedules.reason IS 'why it was paused or resumed';

-- Names are typed into command lines. Written by hand before there was a command, one may be of any kind.
DO $$
DECLARE
    v_old TEXT;
BEGIN
    IF EXISTS (SELECT FROM pg_constraint
               WHERE conrelid = 'task_schedules'::regclass AND conname = 'ck_task_schedules_name') THEN
        RETURN;
    END IF;
    FOR v_old IN
        SELECT s.name FROM task_schedules s WHERE s.name !~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'
    LOOP
        RAISE INFO 'the schedule "%" is called schedule-<id> now', v_old;
    END LOOP;
    UPDATE task_schedules SET name = 'schedule-' || schedule_id
    WHERE name !~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$';
    ALTER TABLE task_schedules ADD CONSTRAINT ck_task_schedules_name
        CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$');
END
$$;

-- No foreign key to tasks: the history outlives them. The primary key is what makes a time fire once.
CREATE TABLE IF NOT EXISTS task_schedule_fires (
    schedule_id UUID        NOT NULL REFERENCES task_schedules (schedule_id) ON DELETE CASCADE,
    fire_at     TIMESTAMPTZ NOT NULL,
    fired_at    TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    outcome     TEXT        NOT NULL,
    task_id     UUID,
    error       TEXT,
    actor       TEXT        NOT NULL,
    CONSTRAINT pk_task_schedule_fires PRIMARY KEY (schedule_id, fire_at),
    CONSTRAINT ck_task_schedule_fires_outcome
        CHECK (outcome IN ('submitted', 'by_hand', 'skipped', 'missed', 'failed'))
);
COMMENT ON TABLE task_schedule_fires IS 'the last thousand times of each schedule, and what came of each';
COMMENT ON COLUMN task_schedule_fires.fire_at IS 'the time that the cron line names; when somebody ran it by hand: that moment';
COMMENT ON COLUMN task_schedule_fires.fired_at IS 'when a worker or a person got to it';
COMMENT ON COLUMN task_schedule_fires.outcome IS
    'submitted, by_hand; skipped: the task before still ran; missed: too late for its policy; failed: refused, see error';
COMMENT ON COLUMN task_schedule_fires.task_id IS 'the task that was submitted, or still ran';
COMMENT ON COLUMN task_schedule_fires.actor IS 'who fired it';
