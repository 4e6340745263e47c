-- migrate:up

-- Where it arrives and where it leaves; both empty where none is sent, as in all plans before.
ALTER TABLE plan_ledger ADD COLUMN from_region_stock_units double precision [] NOT NULL DEFAULT '{}';
ALTER TABLE plan_ledger ADD COLUMN sent_to_regions_units double precision [] NOT NULL DEFAULT '{}';

-- migrate:down
