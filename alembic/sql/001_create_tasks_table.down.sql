DROP TABLE IF EXISTS tasks;
DROP FUNCTION IF EXISTS set_updated_at();
DROP TYPE IF EXISTS taskstatus;
DROP FUNCTION IF EXISTS seedcore_setting(text, text);
DROP TABLE IF EXISTS seedcore_settings;
