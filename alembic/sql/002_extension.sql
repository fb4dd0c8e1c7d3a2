-- pgvector 0.8 or later, in schema public. Whatever is wrong with it is said in one line: what, where, cure.
-- It stays when this revision is taken back: other programs may use it, and only its owner could drop it.

DO $$
DECLARE
    v_oldest  constant text := '0.8';
    v_where   constant text := format('database %I of %s, PostgreSQL %s', current_database(),
        coalesce(host(inet_server_addr()) || ' port ' || inet_server_port(), 'this host'),
        current_setting('server_version'));
    v_major   constant integer := current_setting('server_version_num')::integer / 10000;
    v_version text;
    v_schema  text;
    v_shipped text := (SELECT a.default_version FROM pg_available_extensions AS a WHERE a.name = 'vector');
    v_ready   boolean;
BEGIN
    SELECT e.extversion, n.nspname INTO v_version, v_schema
    FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
    WHERE e.extname = 'vector';
    -- Versions are compared number by number: as text, 0.10 is older than 0.8.
    v_ready := string_to_array(substring(v_shipped FROM '^\d+(?:\.\d+)*'), '.')::integer[]
               >= string_to_array(v_oldest, '.')::integer[];

    IF v_version IS NULL AND v_shipped IS NULL THEN
        RAISE EXCEPTION 'pgvector is missing: %', v_where
            USING ERRCODE = 'SC478', DETAIL = 'db.no_pgvector',
                  HINT = format('install pgvector %s or later on the server (Debian: postgresql-%s-pgvector), then repeat',
                                v_oldest, v_major);
    ELSIF v_version IS NULL AND NOT v_ready THEN
        RAISE EXCEPTION 'pgvector % is too old: %', v_shipped, v_where
            USING ERRCODE = 'SC478', DETAIL = 'db.pgvector_too_old',
                  HINT = format('install pgvector %s or later on the server, then repeat', v_oldest);
    ELSIF v_version IS NULL THEN
        BEGIN
            CREATE EXTENSION vector SCHEMA public;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE EXCEPTION 'role % may not install pgvector: %', current_user, v_where
                USING ERRCODE = 'SC478', DETAIL = 'db.no_pgvector',
                      HINT = format('as a superuser in database %I: CREATE EXTENSION vector; then repeat',
                                    current_database());
        END;
    ELSIF v_schema <> 'public' THEN
        RAISE EXCEPTION 'pgvector is in schema % instead of public: %', v_schema, v_where
            USING ERRCODE = 'SC478', DETAIL = 'db.pgvector_elsewhere',
                  HINT = 'as its owner: ALTER EXTENSION vector SET SCHEMA public; then repeat';
    ELSIF string_to_array(substring(v_version FROM '^\d+(?:\.\d+)*'), '.')::integer[]
          < string_to_array(v_oldest, '.')::integer[] THEN
        IF NOT coalesce(v_ready, false) THEN
            RAISE EXCEPTION 'pgvector % is too old: %', v_version, v_where
                USING ERRCODE = 'SC478', DETAIL = 'db.pgvector_too_old',
                      HINT = format('install pgvector %s or later on the server, ALTER EXTENSION vector UPDATE, then repeat',
                                    v_oldest);
        END IF;
        BEGIN
            ALTER EXTENSION vector UPDATE;
        EXCEPTION WHEN OTHERS THEN
            RAISE EXCEPTION 'pgvector % is too old, and updating it failed (%): %', v_version, sqlerrm, v_where
                USING ERRCODE = 'SC478', DETAIL = 'db.pgvector_too_old',
                      HINT = 'as its owner: ALTER EXTENSION vector UPDATE; then repeat';
        END;
    END IF;
END
$$;
