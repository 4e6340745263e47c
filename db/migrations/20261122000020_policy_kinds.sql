-- migrate:up

-- Policies that keep stock between two bounds, that make nothing, and that hold on some days only.
-- Replaced below by ones that allow more.
-- squawk-ignore ban-drop-constraint
ALTER TABLE policies DROP CONSTRAINT policies_policy_is_known;
-- squawk-ignore ban-drop-constraint
ALTER TABLE policies DROP CONSTRAINT policies_pkey;
ALTER TABLE policies
ADD COLUMN minimum_stock_units double precision NOT NULL DEFAULT 0,
ADD COLUMN maximum_stock_units double precision,
ADD COLUMN effective_from date,
ADD COLUMN effective_until date,
ADD CONSTRAINT policies_policy_is_known
CHECK (policy IN ('make_to_order', 'base_stock', 'ddmrp_buffer', 'minimum_maximum', 'do_not_produce')) NOT VALID,
ADD CONSTRAINT policies_have_a_maximum
CHECK (policy <> 'minimum_maximum' OR maximum_stock_units >= minimum_stock_units) NOT VALID,
ADD CONSTRAINT policies_hold_on_a_day CHECK (effective_until > effective_from) NOT VALID;
CREATE UNIQUE INDEX policies_by_pair ON policies (product_code, region_code, effective_from) NULLS NOT DISTINCT;

-- migrate:down
