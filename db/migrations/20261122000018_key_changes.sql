-- migrate:up

-- A key that is retired, or given an end, is forgotten in every process at once.
CREATE FUNCTION tell_key_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('pullplan_key_changes', new.key_id::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER key_changes AFTER UPDATE OF expires_at, retired_at ON api_keys
FOR EACH ROW EXECUTE FUNCTION tell_key_change();

-- What was done with one key, or to one thing, the newest first.
CREATE INDEX audit_entries_by_key ON audit_entries (key_id, audit_id);
CREATE INDEX audit_entries_by_subject ON audit_entries (subject, audit_id);

-- migrate:down
