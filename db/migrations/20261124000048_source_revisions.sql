-- migrate:up

-- How a source itself counts what it says of a signal or a line: a late message can then be told from a new one.
ALTER TABLE demand_signals ADD COLUMN source_revision bigint;
ALTER TABLE open_supply ADD COLUMN source_revision bigint;
ALTER TABLE open_supply_revisions ADD COLUMN source_revision bigint;

-- migrate:down
