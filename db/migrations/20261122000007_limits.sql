-- migrate:up

-- From a day until, not including, another; null is without end.
ALTER TABLE products
    ADD COLUMN largest_share double precision,
    ADD COLUMN shelf_life_days integer,
    ADD COLUMN effective_from date,
    ADD COLUMN effective_until date,
    ADD CONSTRAINT products_share_is_one CHECK (largest_share > 0 AND largest_share <= 1) NOT VALID,
    ADD CONSTRAINT products_end_after_their_start CHECK (effective_until > effective_from) NOT VALID;
ALTER TABLE products VALIDATE CONSTRAINT products_share_is_one;
ALTER TABLE products VALIDATE CONSTRAINT products_end_after_their_start;

ALTER TABLE capabilities
    ADD COLUMN yield_share double precision NOT NULL DEFAULT 1,
    ADD COLUMN effective_from date,
    ADD COLUMN effective_until date,
    ADD CONSTRAINT capabilities_yield_is_a_share CHECK (yield_share > 0 AND yield_share <= 1) NOT VALID,
    ADD CONSTRAINT capabilities_end_after_their_start CHECK (effective_until > effective_from) NOT VALID;
ALTER TABLE capabilities VALIDATE CONSTRAINT capabilities_yield_is_a_share;
ALTER TABLE capabilities VALIDATE CONSTRAINT capabilities_end_after_their_start;

ALTER TABLE lanes
    ADD COLUMN effective_from date,
    ADD COLUMN effective_until date,
    ADD CONSTRAINT lanes_end_after_their_start CHECK (effective_until > effective_from) NOT VALID;
ALTER TABLE lanes VALIDATE CONSTRAINT lanes_end_after_their_start;

-- Which node, and which start, a person has pinned the units of a need to.
-- squawk-ignore ban-drop-constraint -- a wider one takes its place in the same transaction
ALTER TABLE plan_needs DROP CONSTRAINT plan_needs_tier_is_known;
ALTER TABLE plan_needs
    ADD COLUMN pinned_node_code text COLLATE "C",
    ADD COLUMN pinned_start_bucket_date date,
    ADD CONSTRAINT plan_needs_tier_is_known
    CHECK (tier IN ('pinned', 'order', 'lead', 'forecast', 'buffer')) NOT VALID;
ALTER TABLE plan_needs VALIDATE CONSTRAINT plan_needs_tier_is_known;

-- Null in plans from before yields: all that was started was good.
ALTER TABLE plan_assignments ADD COLUMN started_units double precision;

-- A price is of a resource or of a share limit on a product; the other code is empty, as a key has no nulls.
ALTER TABLE plan_prices ADD COLUMN product_code text COLLATE "C" NOT NULL DEFAULT '';
-- squawk-ignore ban-drop-constraint -- a wider one takes its place in the same transaction
ALTER TABLE plan_prices DROP CONSTRAINT plan_prices_pkey;
CREATE UNIQUE INDEX plan_prices_by_key
ON plan_prices (plan_id, stage, node_code, resource_code, product_code, bucket_date);
ALTER TABLE plan_prices ADD CONSTRAINT plan_prices_pkey PRIMARY KEY USING INDEX plan_prices_by_key;

-- migrate:down
