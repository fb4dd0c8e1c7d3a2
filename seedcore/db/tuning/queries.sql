-- Statements of `seedcore db tune`.

-- rights --
-- What tuning takes: owning the table, room for indexes in the schema, the settings, and for
-- synchronous_commit the database.
SELECT current_user::text AS role, pg_get_userbyid(c.relowner)::text AS owner,
       pg_has_role(c.relowner, 'USAGE') AS owns,
       has_schema_privilege('public', 'CREATE') AS creates,
       has_table_privilege('public.seedcore_settings', 'INSERT')
           AND has_table_privilege('public.seedcore_settings', 'UPDATE')
           AND has_table_privilege('public.seedcore_settings', 'DELETE') AS settles,
       pg_has_role(d.datdba, 'USAGE') AS owns_database, pg_get_userbyid(d.datdba)::text AS database_owner,
       current_database()::text AS database
  FROM pg_class c CROSS JOIN pg_database d
 WHERE c.oid = 'public.tasks'::regclass AND d.datname = current_database()

-- indexes --
-- Those of the optional indexes that are there.
SELECT x.relname::text AS name, i.indisvalid AND i.indisready AS valid,
       i.indrelid = 'public.tasks'::regclass AS ours,
       split_part(pg_get_indexdef(i.indexrelid), ' USING ', 2) AS definition,
       i.indisunique AS is_unique, pg_relation_size(x.oid) AS bytes
  FROM pg_class x JOIN pg_index i ON i.indexrelid = x.oid
 WHERE x.relnamespace = 'public'::regnamespace AND x.relname = ANY (%(names)s)

-- storage --
-- Storage parameters of the table that somebody set.
SELECT o.option_name AS name, o.option_value AS value
  FROM pg_class c CROSS JOIN LATERAL pg_options_to_table(c.reloptions) AS o
 WHERE c.oid = 'public.tasks'::regclass

-- profile --
-- Which profile was chosen last.
SELECT value FROM public.seedcore_settings WHERE name = 'tuning_profile'

-- keep_profile --
-- Written before the first change, so that an interrupted run is known by what is missing.
INSERT INTO public.seedcore_settings (name, value, changed_by) VALUES ('tuning_profile', %(value)s, %(actor)s)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_by = excluded.changed_by, changed_at = now()

-- forget_profile --
-- The default needs no row.
DELETE FROM public.seedcore_settings WHERE name = 'tuning_profile'

-- commit_setting --
-- What new sessions of this database get; null = the server's own.
SELECT (SELECT split_part(s.entry, '=', 2)
          FROM pg_db_role_setting r CROSS JOIN LATERAL unnest(r.setconfig) AS s (entry)
         WHERE r.setdatabase = d.oid AND r.setrole = 0 AND s.entry LIKE 'synchronous\_commit=%%') AS value
  FROM pg_database d WHERE d.datname = current_database()
