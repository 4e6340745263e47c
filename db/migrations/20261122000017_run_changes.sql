-- migrate:up

-- Whoever waits for a run, in any process, is told of each change as it is committed.
CREATE FUNCTION tell_run_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('pullplan_run_changes', new.run_id::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER run_changes AFTER UPDATE ON runs
FOR EACH ROW EXECUTE FUNCTION tell_run_change();

-- migrate:down
