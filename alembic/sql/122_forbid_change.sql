-- Shared by every table that only grows; 125 puts its audit tables under it as well.
CREATE OR REPLACE FUNCTION forbid_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'SC409', DETAIL = 'audit.append_only',
              HINT = 'book a correction as a new row';
END
$$;
COMMENT ON FUNCTION forbid_change() IS
    'Trigger function: refuses UPDATE, DELETE and TRUNCATE on tables that only grow.';
