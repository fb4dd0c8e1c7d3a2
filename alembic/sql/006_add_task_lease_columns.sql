ALTER TABLE tasks
    ADD COLUMN IF NOT EXISTS owner_id         text,
    ADD COLUMN IF NOT EXISTS lease_expires_at timestamptz,
    ADD COLUMN IF NOT EXISTS last_heartbeat   timestamptz;
