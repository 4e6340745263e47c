-- migrate:up

-- What a line of open supply said before it was replaced: of one that is received in parts, each part came at its own instant.
ALTER TABLE open_supply ADD COLUMN revision integer NOT NULL DEFAULT 1;
CREATE TABLE open_supply_revisions (
    LIKE open_supply,
    PRIMARY KEY (source, external_id, revision)
);

-- How much of a line had come at an instant before the last of it did: what the latest revision said that spoke of no later
-- receipt. `received_units` is all that ever came, `receipt_at` when the last of it did.
CREATE FUNCTION received_units_before(line open_supply, instant timestamptz)
RETURNS double precision LANGUAGE sql STABLE AS $$
    SELECT coalesce((
        SELECT said.received_units FROM open_supply_revisions AS said
        WHERE said.source = line.source AND said.external_id = line.external_id AND said.revision < line.revision
            AND (said.receipt_at IS NULL OR said.receipt_at <= instant)
        ORDER BY said.revision DESC LIMIT 1
    ), 0)
$$;

-- migrate:down
