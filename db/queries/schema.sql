-- name: has_migrations_table
SELECT to_regclass('schema_migrations') IS NOT NULL;

-- name: list_versions
SELECT version FROM schema_migrations ORDER BY version;
